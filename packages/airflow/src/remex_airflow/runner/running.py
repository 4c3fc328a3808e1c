# SPDX-License-Identifier: Apache-2.0
"""The attempts that run: stops them at their deadlines, reaps their leaders, journals how they ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from . import process_tree
from .attempt import LEASE_ENDED, TIMED_OUT, RunningAttempt, StopOrder, outcome_of
from .journal import AttemptKey, Journal
from .lease import DEFAULT_STOP_S, Lease
from .log import Log
from .runtime import Report

# What a leader may take over the stop time before the runner ends the attempt in its place.
_LEADER_GRACE_S = 4.0
# What KILL itself may take within the stop time of work under ABORT.
_KILL_RESERVE_S = 0.5
_ORPHAN_ROUNDS = 50
_ORPHAN_PAUSE_S = 0.01


class RunningAttempts:
    """Every attempt with a living leader."""

    def __init__(self, journal: Journal, log: Log) -> None:
        self._journal = journal
        self._log = log
        self._attempts: dict[AttemptKey, RunningAttempt] = {}

    def __len__(self) -> int:
        return len(self._attempts)

    def __contains__(self, key: AttemptKey) -> bool:
        return key in self._attempts

    def add(self, key: AttemptKey, attempt: RunningAttempt) -> None:
        """Take an attempt that was just started."""
        self._attempts[key] = attempt

    def fds(self) -> list[int]:
        """Return the ends of the leaders' control channels."""
        return [attempt.control.fileno() for attempt in self._attempts.values()]

    def stop(self, key: AttemptKey, stop: StopOrder, lease: Lease | None) -> None:
        """Stop one attempt; one that has ended is in the journal and was told already."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            _order(attempt, stop, lease)

    def stop_all(self, stop: StopOrder, lease: Lease | None) -> None:
        """Stop every attempt."""
        for attempt in self._attempts.values():
            _order(attempt, stop, lease)

    def check_deadlines(self, lease: Lease | None, lease_now_s: float) -> None:
        """Stop what has run too long, or without the lease that it needs; kill what did not stop."""
        now_s = time.monotonic()
        lease_over = lease is None or lease_now_s >= lease.ends_at_s
        for key, attempt in self._attempts.items():
            if attempt.stop is not None:
                self._check_stopped(key, attempt, now_s)
            elif attempt.aborts_on_cut and lease_over:
                attempt.order_stop(LEASE_ENDED, *_until_lost(lease, lease_now_s, now_s))
            elif attempt.timeout_at_s is not None and now_s >= attempt.timeout_at_s:
                _order(attempt, TIMED_OUT, lease)

    def waits_s(self, lease: Lease | None, lease_now_s: float) -> Iterator[float]:
        """Give the times until the next deadlines."""
        now_s = time.monotonic()
        for attempt in self._attempts.values():
            if attempt.stop is not None:
                if attempt.kill_at_s is not None:
                    yield attempt.kill_at_s - now_s
                continue
            if attempt.timeout_at_s is not None:
                yield attempt.timeout_at_s - now_s
            if attempt.aborts_on_cut and lease is not None:
                yield lease.ends_at_s - lease_now_s

    def reap(self) -> list[tuple[AttemptKey, dict[str, Any]]]:
        """Reap leaders, and orphans that came to this subreaper; return outcomes, which are on the disk."""
        leaders = {attempt.pid: key for key, attempt in self._attempts.items()}
        ended: list[tuple[AttemptKey, dict[str, Any]]] = []
        while (child := _ended_child()) is not None:
            pid, status = child
            if pid in leaders:
                key = leaders.pop(pid)
                ended.append((key, self._finish(key, status)))
        self._journal.sync()
        return ended

    def _finish(self, key: AttemptKey, status: int) -> dict[str, Any]:
        attempt = self._attempts.pop(key)
        report = attempt.report()
        attempt.control.close()
        if report is None:
            self._end_orphans(key)
            report = _report_of_dead_leader(status)
        run_time_s = time.monotonic() - attempt.started_s
        outcome = outcome_of(report, attempt.stop, attempt.started_wall_s, run_time_s, time.time())
        self._journal.ended(key, outcome)
        self._log.info("an attempt ended", task=key.task, attempt=str(key.attempt), outcome=outcome["kind"])
        return outcome

    def _end_orphans(self, key: AttemptKey) -> None:
        """Kill what a dead leader left behind: it came to this process, or carries the cookie."""
        for _ in range(_ORPHAN_ROUNDS):
            left = self._strays() | process_tree.carriers(key.task, str(key.attempt))
            if not left:
                return
            process_tree.send(left, signal.SIGKILL)
            # New ones may have been forked meanwhile, and the dying take a moment.
            time.sleep(_ORPHAN_PAUSE_S)

    def _strays(self) -> set[int]:
        """Return the processes below this one that belong to no living leader."""
        leaders = {attempt.pid for attempt in self._attempts.values()}
        strays = process_tree.descendants(os.getpid()) - leaders
        for leader in leaders:
            strays -= process_tree.descendants(leader)
        return strays

    def _check_stopped(self, key: AttemptKey, attempt: RunningAttempt, now_s: float) -> None:
        if attempt.kill_at_s is None or now_s < attempt.kill_at_s:
            return
        self._log.error("a leader did not stop its attempt in time", task=key.task, attempt=str(key.attempt))
        process_tree.send(process_tree.descendants(attempt.pid) | {attempt.pid}, signal.SIGKILL)
        attempt.kill_at_s = now_s + _LEADER_GRACE_S


def _order(attempt: RunningAttempt, stop: StopOrder, lease: Lease | None) -> None:
    stop_s = lease.stop_s if lease else DEFAULT_STOP_S
    attempt.order_stop(stop, stop_s, time.monotonic() + stop_s + _LEADER_GRACE_S)


def _until_lost(lease: Lease | None, lease_now_s: float, now_s: float) -> tuple[float, float]:
    """Return the time until KILL, and when the leader itself is ended.

    Work under ABORT is gone by the lease's end and the stop time, however late the end was noticed.
    """
    if lease is None:
        return DEFAULT_STOP_S, now_s + DEFAULT_STOP_S + _LEADER_GRACE_S
    reserve_s = min(_KILL_RESERVE_S, lease.stop_s / 4)
    stop_s = max(0.0, lease.ends_at_s + lease.stop_s - reserve_s - lease_now_s)
    return stop_s, now_s + stop_s + _LEADER_GRACE_S


def _ended_child() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid != 0 else None


def _report_of_dead_leader(status: int) -> Report:
    code = os.waitstatus_to_exitcode(status)
    message = "the process that led the attempt was ended from outside"
    if code < 0:
        return Report("FAILED", "SIGNAL", signal=signal.Signals(-code).name, message=message)
    return Report("FAILED", "RUNTIME_ERROR", message=message)
