# SPDX-License-Identifier: Apache-2.0
"""What Airflow learns of this package: its executor, its settings and its commands.

Imported by every call of `airflow`, so it imports nothing.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description."""
    return {
        "package-name": "remex-airflow",
        "name": "Remex",
        "description": "Runs tasks on Remex agents, in networks that Airflow itself cannot reach.",
        "executors": ["remex_airflow.executor.RemexExecutor"],
        "cli": ["remex_airflow.cli.get_cli_commands"],
        "config": {"remex": {"description": "Settings of RemexExecutor.", "options": _options()}},
    }


def _options() -> dict[str, dict[str, Any]]:
    return {
        "url": _option(
            "Address of the Remex gateway.", "string", example="https://remex.example.com", default=""
        ),
        "deployment": _option(
            "Slug of the Remex deployment that the tasks are submitted to. With teams, each has its own.",
            "string",
            example="analytics",
            default="",
        ),
        "key_file": _option(
            "File with an operator key of role submitter. Read again when the gateway refuses the key, so that "
            "it can be replaced while Airflow runs.",
            "string",
            example="/run/secrets/remex-key",
            default="",
        ),
        "key": _option(
            "The operator key itself, where a file is not at hand. Used when key_file is empty.",
            "string",
            default="",
            sensitive=True,
        ),
        "request_timeout": _option(
            "Longest wait for an answer of the gateway, in seconds.", "float", default="10"
        ),
        "submit_batch_size": _option("Most tasks in one submission, 1 to 1,000.", "integer", default="200"),
        "on_lost": _option(
            "What Remex does with a task whose agent is lost after it may have started: fail (Airflow's retries "
            "decide) or requeue (Remex runs it again, under the same try).",
            "string",
            default="fail",
        ),
        "missing_grace": _option(
            "How long a started task may be unknown to the control plane, after its store was lost, before it is "
            "reported failed, in seconds. Agents that come back bring their tasks with them.",
            "float",
            default="180",
        ),
        "adoption_wait": _option(
            "Longest wait for the control plane when a scheduler takes over the tasks of another, in seconds. "
            "Tasks that it was not asked about in time are adopted and looked up later.",
            "float",
            default="2",
        ),
        "ca_file": _option(
            "File with the certificate authorities that the gateway's certificate is checked against, where the "
            "system's are not enough.",
            "string",
            default="",
        ),
    }


def _option(
    description: str, kind: str, *, default: str, example: str | None = None, sensitive: bool = False
) -> dict[str, Any]:
    option: dict[str, Any] = {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
    }
    return option | {"sensitive": True} if sensitive else option
