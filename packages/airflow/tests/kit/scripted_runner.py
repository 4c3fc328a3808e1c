# SPDX-License-Identifier: Apache-2.0
"""The real guard over a runtime that needs no Airflow: it runs argv the way Airflow's supervisor runs a task."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from remex_airflow.runner.clock import LeaseClock
from remex_airflow.runner.guard import Guard
from remex_airflow.runner.journal import Journal
from remex_airflow.runner.log import Log
from remex_airflow.runner.runtime import Report, Work
from remex_airflow.runner.state_directory import LockHeldError, StateDirectory


class ScriptedRuntime:
    """Forks a task process of its own group, passes TERM on to it, reports its exit."""

    name = "scripted"

    def __init__(self, load_s: float, load_fails: bool) -> None:
        self._load_s = load_s
        self._load_fails = load_fails

    def versions(self) -> dict[str, str]:
        return {"scripted": "1"}

    def load(self) -> None:
        time.sleep(self._load_s)
        if self._load_fails:
            raise RuntimeError("it is broken")

    def can_run(self, spec: dict[str, Any]) -> bool:
        return "command" in spec

    def log_path(self, spec: dict[str, Any]) -> str:
        return "/logs/of/" + str(spec.get("queue"))

    def run(self, work: Work) -> Report:
        argv = work.spec["command"]["argv"]
        if argv == ["raise"]:
            raise RuntimeError("no such provider")
        if argv == ["duplicate"]:
            return Report("DUPLICATE_START", message="it runs elsewhere")
        task = os.fork()
        if task == 0:
            os.setpgid(0, 0)
            if argv == ["fork only"]:
                time.sleep(600)
            os.execvp(argv[0], argv)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: _pass_on(task, number))
        _, status = os.waitpid(task, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return Report("FAILED", "SIGNAL", signal=signal.Signals(-code).name)
        return Report(
            "FAILED" if code else "SUCCEEDED", "EXIT_CODE" if code else "UNSPECIFIED", exit_code=code
        )


def _pass_on(task: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(task, number)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--load-s", type=float, default=0)
    parser.add_argument("--load-fails", action="store_true")
    parser.add_argument("--lock-wait-s", type=float, default=5)
    options = parser.parse_args()
    log = Log("debug")
    state = StateDirectory(options.state_dir)
    try:
        state.take_lock(options.lock_wait_s)
    except LockHeldError as error:
        log.error("the runner cannot start", err=str(error))
        return 75
    runtime = ScriptedRuntime(options.load_s, options.load_fails)
    Guard(state, Journal(state.journal_path, log), runtime, LeaseClock(), log).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
