# SPDX-License-Identifier: Apache-2.0
"""Commands `airflow remex ...`; imported by every call of `airflow`, so the work is in other modules."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, GroupCommand, lazy_load_command


def get_cli_commands() -> list[GroupCommand]:
    """Return the command group of this provider."""
    return [
        GroupCommand(
            name="remex",
            help="Remote execution with Remex",
            subcommands=[
                ActionCommand(
                    name="status",
                    help="Show the control plane, the deployment, the key's rights and the agents",
                    func=lazy_load_command("remex_airflow.status.show_status"),
                    args=(),
                )
            ],
        )
    ]
