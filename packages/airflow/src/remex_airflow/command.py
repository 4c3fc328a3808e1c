# SPDX-License-Identifier: Apache-2.0
"""The command `remex-airflow`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import __version__


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(argv)
    from .runner.main import run_runner

    return run_runner(options.state_dir, options.allow_database, options.log_level)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="remex-airflow", description="Runs Airflow work on Remex agents.")
    parser.add_argument("--version", action="version", version=f"remex-airflow {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    runner = commands.add_parser(
        "runner",
        help="run Airflow workloads for an agent (started by remex-agent, or as a container beside it)",
        description="Listens on runner.sock in the state directory for one agent and runs Airflow workloads for it.",
    )
    runner.add_argument(
        "--state-dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="local directory of the agent and this runner: socket, lock, journal, task logs",
    )
    runner.add_argument(
        "--allow-database",
        action="store_true",
        help="start although the environment names an Airflow metadata database, and leave it to the tasks",
    )
    runner.add_argument(
        "--log-level",
        choices=("debug", "info", "warn", "error"),
        default=os.environ.get("REMEX_LOG_LEVEL", "info"),
        help="least level to log, as JSON on standard error (default: info; env REMEX_LOG_LEVEL)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
