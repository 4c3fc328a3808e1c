# SPDX-License-Identifier: Apache-2.0
"""A small agent: starts a runner as a process, or connects to one, and speaks the runner contract."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from remex_airflow.runner.frames import FrameDecoder, encode_frame

from .polling import eventually

SESSION = {"epoch": "1794000000", "number": "7"}
Event = dict[str, Any]


def attempt_id(number: int) -> dict[str, str]:
    """Return an attempt's id in JSON."""
    return {"epoch": "1794000000", "number": str(number)}


class FakeAgent:
    """Plays the agent's side on the real socket; keeps every event that the runner sent."""

    def __init__(self, state_dir: Path, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.state_dir = state_dir
        self.events: list[Event] = []
        self.log_path = state_dir.parent / f"{state_dir.name}.{time.monotonic_ns()}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--state-dir", os.fspath(state_dir)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **env},
            )
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._decoder = FrameDecoder()

    # -- the socket ---------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect as soon as the runner listens."""
        path = self.state_dir / "runner.sock"

        def try_it() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the runner ended: {self.log()}")
            try:
                self.sock.connect(os.fspath(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

        eventually("the runner listens", try_it)

    def send(self, *events: Event) -> None:
        """Send events in one frame."""
        self.sock.sendall(encode_frame({"events": list(events)}))

    def wait_for(
        self, case: str, where: Callable[[Event], bool] = lambda _: True, within_s: float = 60
    ) -> Event:
        """Return the first event of a case, past or coming, that fits."""
        deadline = time.monotonic() + within_s
        while True:
            for event in self.events:
                if case in event and where(event[case]):
                    body: Event = event[case]
                    return body
            left = deadline - time.monotonic()
            if left <= 0 or not self._receive(left):
                raise AssertionError(f"no {case} came; events: {self.events}; log: {self.log()}")

    def _receive(self, within_s: float) -> bool:
        if not select.select([self.sock], [], [], within_s)[0]:
            return True
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionError:
            return False
        for frame in self._decoder.feed(data):
            self.events.extend(frame["events"])
        return bool(data)

    # -- what an agent says -------------------------------------------------------------------------

    def hello(self, contract: tuple[int, int] = (1, 1)) -> Event:
        """Say hello and return the runner's answer."""
        low, high = contract
        self.send(
            {"hello": {"contractMin": low, "contractMax": high, "agent": "agent-1", "instance": "AAAA"}}
        )
        return self.wait_for("hello")

    def ready(self, within_s: float = 60) -> None:
        """Wait until the runner takes work."""
        self.wait_for("ready", lambda body: body.get("ready") is True, within_s)

    def lease(self, remaining: str = "60s", stop_time: str = "2s", session: Event | None = None) -> None:
        """Renew the lease."""
        self.send({"lease": {"session": session or SESSION, "remaining": remaining, "stopTime": stop_time}})

    def start(self, task: str, work: Event, number: int = 1, **more: Any) -> None:
        """Start an attempt."""
        spec = {"queue": "default", **more.pop("spec", {}), **work}
        self.send(
            {
                "start": {
                    "task": task,
                    "attempt": attempt_id(number),
                    "session": SESSION,
                    "window": "15s",
                    "spec": spec,
                    "onCut": "ON_CUT_CONTINUE",
                    "idempotencyKey": f"key-{task}",
                    "payloadDigest": "qqo=",
                    **more,
                }
            }
        )

    def stop(self, task: str, reason: str, number: int = 1) -> None:
        """Stop an attempt."""
        self.send({"stop": {"task": task, "attempt": attempt_id(number), "reason": f"STOP_REASON_{reason}"}})

    def forget(self, task: str, number: int = 1) -> None:
        """Let the journal forget an attempt."""
        self.send({"forget": {"task": task, "attempt": attempt_id(number)}})

    def started(self, task: str) -> Event:
        """Wait for an attempt's start."""
        return self.wait_for("started", lambda body: body["task"] == task)

    def refused(self, task: str) -> Event:
        """Wait for an attempt's refusal."""
        return self.wait_for("refused", lambda body: body["task"] == task)

    def outcome(self, task: str) -> Event:
        """Wait for an attempt's outcome."""
        outcome: Event = self.wait_for("ended", lambda body: body["task"] == task)["outcome"]
        return outcome

    # -- the process --------------------------------------------------------------------------------

    def log(self) -> str:
        """Return the runner's log so far."""
        return self.log_path.read_text()[-4000:]

    def close(self) -> None:
        """Close the agent's end."""
        self.sock.close()

    def end(self, within_s: float = 60) -> int:
        """Wait for the runner's end; return its exit code."""
        return self.process.wait(within_s)

    def dispose(self) -> None:
        """Leave nothing running, whatever the test did."""
        with contextlib.suppress(OSError):
            self.sock.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


REAL_RUNNER = [sys.executable, "-m", "remex_airflow.command", "runner"]
SCRIPTED_RUNNER = [sys.executable, "-m", "tests.kit.scripted_runner"]
