# SPDX-License-Identifier: Apache-2.0
"""The runner's process: checks the environment, takes the state directory and runs the guard."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .airflow_runtime import AirflowRuntime
from .clock import LeaseClock
from .environment import AGENT_NAME, DatabaseConfiguredError, prepare, refuse_database
from .guard import Guard
from .journal import Journal
from .log import Log
from .state_directory import LockHeldError, StateDirectory

EXIT_OK = 0
EXIT_REFUSED = 1
EXIT_CONFLICT = 75
RETRY = "REMEX_RUNNER_RETRY"
# Twice the stop time: by then the work of an older instance has been stopped (PROTOCOL T6).
_LOCK_WAIT_S = 12.0


def run_runner(state_dir: Path, allow_database: bool, log_level: str) -> int:
    """Run a runner to its end; return the exit code."""
    log = Log(log_level)
    # Standard output is nobody's: Airflow's own log lines go where the runner's go.
    os.dup2(2, 1)
    try:
        if not allow_database:
            refuse_database(os.environ)
        state = StateDirectory(state_dir)
        dropped = prepare(os.environ, state.path, allow_database)
        if dropped:
            log.warn("keys were taken out of the environment", names=dropped)
            _start_afresh()
        state.take_lock(_LOCK_WAIT_S)
    except (DatabaseConfiguredError, OSError) as error:
        log.error("the runner cannot start", err=str(error))
        return EXIT_REFUSED
    except LockHeldError as error:
        # An agent that goes on trying has told it once.
        told = os.environ.get(RETRY) is not None
        (log.debug if told else log.error)("the runner cannot start", err=str(error))
        return EXIT_CONFLICT
    journal = Journal(state.journal_path, log)
    Guard(state, journal, AirflowRuntime(), LeaseClock(), log, on_agent=_name_agent).run()
    return EXIT_OK


def _start_afresh() -> None:
    """Run this program anew: the kernel shows a process's first environment to its user's other processes."""
    os.execv(sys.executable, [sys.executable, "-m", "remex_airflow.command", *sys.argv[1:]])  # noqa: S606


def _name_agent(name: str) -> None:
    os.environ[AGENT_NAME] = name
