# SPDX-License-Identifier: Apache-2.0
"""The leader of one attempt: a small process between the runner and the work.

It holds the state directory's lock, so that the lock falls only when the attempt has ended; it reaps
and stops whatever the work starts; and when the runner is gone it ends the attempt by itself (G1).

    runner -- socket pair -- leader (subreaper) -- fork -- the work -- whatever the work starts
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import process_tree
from .runtime import Report

_BLOCKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# After KILL the kernel needs a moment to take processes down; a process in uninterruptible sleep may not go.
_KILL_WAIT_S = 2.0


@dataclass(frozen=True)
class Order:
    """What a leader is to lead."""

    task: str
    attempt: str
    run: Callable[[], Report]
    lock_fd: int
    default_stop_s: float


def fork_leader(order: Order, close_in_child: list[int]) -> tuple[int, socket.socket]:
    """Fork a leader; return its process id and the runner's end of the control channel."""
    ours, theirs = socket.socketpair()
    runner = os.getpid()
    pid = os.fork()
    if pid != 0:
        theirs.close()
        ours.setblocking(False)
        return pid, ours
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        ours.close()
        for fd in close_in_child:
            os.close(fd)
        status = _Leader(order, theirs, runner).lead()
    except BaseException as error:  # noqa: BLE001 - a fork must never run the runner's own code
        _say(theirs, Report("FAILED", "RUNTIME_ERROR", message=f"the leader failed: {error!r}"))
    finally:
        os._exit(status)


class _Leader:
    """Lives in the forked child; `lead` returns its exit status."""

    def __init__(self, order: Order, control: socket.socket, runner: int) -> None:
        self._order = order
        self._control = control
        self._runner = runner
        self._kill_at_s: float | None = None
        self._killed_at_s: float | None = None
        self._pending = b""

    def lead(self) -> int:
        """Start the work, wait for its end or for the order to stop it, and leave nothing behind."""
        os.setsid()
        process_tree.become_subreaper()
        # What to do is the runner's business, which tells it by the control channel. Blocked, not ignored: a
        # TERM that reaches the worker before it is ready must wait for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        reports_read, reports_write = os.pipe()
        worker = self._fork_worker(reports_write, [reports_read, wake_read, wake_write])
        os.close(reports_write)
        status = self._wait(worker, wake_read)
        _say(self._control, _read_report(reports_read, status))
        return 0

    def _fork_worker(self, reports: int, not_for_it: list[int]) -> int:
        leader = os.getpid()
        pid = os.fork()
        if pid != 0:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            for number in (*_BLOCKED, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
            process_tree.die_with_parent(leader)
            for fd in not_for_it:
                os.close(fd)
            control_fd = self._control.detach()
            os.close(control_fd)
            # The worker's own children, above all the task process, get neither lock nor report.
            _close_in_first_fork(self._order.lock_fd, reports)
            os.environ.update(process_tree.cookie_variables(self._order.task, self._order.attempt))
            report = self._order.run()
            os.write(reports, json.dumps(asdict(report)).encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the fork ends here
            with contextlib.suppress(OSError):
                failure = Report("FAILED", "RUNTIME_ERROR", message=f"{type(error).__name__}: {error}"[:1024])
                os.write(reports, json.dumps(asdict(failure)).encode())
        finally:
            os._exit(0)

    def _wait(self, worker: int, wake: int) -> int:
        """Serve the control channel until the worker and everything below it has ended."""
        status: int | None = None
        watched: list[Any] = [self._control, wake]
        while True:
            ready, _, _ = select.select(watched, [], [], self._timeout_s())
            if self._control in ready and not self._obey(worker, status):
                watched = [wake]
            if wake in ready:
                _drain(wake)
            status = _reap(worker, status)
            if status is not None:
                left = self._left()
                if not left or self._gave_up():
                    return status
                self._end_rest(left)
            elif self._kill_due():
                self._kill(self._left())

    def _timeout_s(self) -> float | None:
        if self._killed_at_s is not None:
            return 0.02
        if self._kill_at_s is None:
            return None
        return max(0.0, self._kill_at_s - time.monotonic())

    def _obey(self, worker: int, status: int | None) -> bool:
        """Read the control channel; its end means that the runner is gone. False when it is closed."""
        try:
            data = self._control.recv(4096)
        except ConnectionError:
            data = b""
        self._pending += data
        stop_s = self._order.default_stop_s
        if data:
            if b"\n" not in self._pending:
                return True
            line, self._pending = self._pending.split(b"\n", 1)
            stop_s = float(json.loads(line)["stop_s"])
        if self._kill_at_s is None:
            self._kill_at_s = time.monotonic() + stop_s
            # Airflow's supervisor passes TERM on to the task, whose on_kill ends what the task started.
            process_tree.send({worker} if status is None else self._left(), signal.SIGTERM)
        return bool(data)

    def _left(self) -> set[int]:
        found = process_tree.descendants(os.getpid())
        found |= process_tree.carriers(self._order.task, self._order.attempt)
        return found - {os.getpid()}

    def _end_rest(self, left: set[int]) -> None:
        """End what outlived the worker: at once after a normal end, else with the rest of the stop time."""
        if self._kill_at_s is None or self._kill_due():
            self._kill(left)
        elif self._killed_at_s is None:
            process_tree.send(left, signal.SIGTERM)

    def _kill_due(self) -> bool:
        return self._kill_at_s is not None and time.monotonic() >= self._kill_at_s

    def _kill(self, pids: set[int]) -> None:
        if self._killed_at_s is None:
            self._killed_at_s = time.monotonic()
        process_tree.send(pids, signal.SIGKILL)

    def _gave_up(self) -> bool:
        return self._killed_at_s is not None and time.monotonic() - self._killed_at_s > _KILL_WAIT_S


def _reap(worker: int, status: int | None) -> int | None:
    """Reap every ended child; return the worker's wait status once it is known."""
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == worker:
            status = ended


def _read_report(fd: int, status: int) -> Report:
    os.set_blocking(fd, False)
    try:
        data = os.read(fd, 65_536)
    except BlockingIOError:
        data = b""
    if data:
        return Report(**json.loads(data))
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return Report(
            "FAILED", "SIGNAL", signal=signal.Signals(-code).name, message="the supervisor was killed"
        )
    return Report("FAILED", "EXIT_CODE", exit_code=code, message="the supervisor ended without a report")


def _say(control: socket.socket, report: Report) -> None:
    # Without a runner there is nobody to tell: the next one reports the attempt as lost.
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(asdict(report)).encode() + b"\n")


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass


def _close_in_first_fork(*fds: int) -> None:
    """Close descriptors in each child of this process, but not in the child's children.

    There the same numbers may long be other files.
    """
    owner = os.getpid()

    def close_here() -> None:
        if os.getppid() != owner:
            return
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    os.register_at_fork(after_in_child=close_here)
