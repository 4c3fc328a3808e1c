# SPDX-License-Identifier: Apache-2.0
"""One attempt that runs: what the runner knows of it, and the outcome that it ends with."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass, field
from typing import Any

from .proto_json import format_duration, format_instant
from .runtime import Report

_MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class StopOrder:
    """Why an attempt is being stopped: the outcome that it then has, whatever the work itself says."""

    kind: str
    reason: str
    message: str


CANCELED = StopOrder("CANCELED", "CANCELED", "stopped because a cancel was wished")
KILLED = StopOrder("ABORTED", "KILLED", "stopped because the attempt is not current any more")
DRAINED = StopOrder("ABORTED", "DRAINED", "stopped because the agent is drained")
LEASE_ENDED = StopOrder("ABORTED", "LEASE_ENDED", "stopped because the agent's lease ended")
TIMED_OUT = StopOrder("FAILED", "TIMEOUT", "stopped because the task's timeout passed")
RUNNER_LOST = StopOrder("ABORTED", "RUNNER_LOST", "the runner ended or lost its agent")

STOP_REASONS = {"CANCELED": CANCELED, "KILLED": KILLED, "DRAINED": DRAINED, "UNSPECIFIED": KILLED}
STOP_REASON_NUMBERS = {1: "CANCELED", 2: "KILLED", 3: "DRAINED"}


@dataclass
class RunningAttempt:
    """An attempt whose leader lives."""

    pid: int
    control: socket.socket
    aborts_on_cut: bool
    started_s: float
    started_wall_s: float
    timeout_at_s: float | None
    stop: StopOrder | None = None
    kill_at_s: float | None = None
    _said: bytearray = field(default_factory=bytearray)

    def order_stop(self, stop: StopOrder, stop_s: float, kill_at_s: float) -> None:
        """Tell the leader to end the work; the first order decides the outcome."""
        if self.stop is not None:
            return
        self.stop = stop
        self.kill_at_s = kill_at_s
        # A leader that is gone has ended its attempt; its wait status tells the rest.
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps({"stop_s": stop_s}).encode() + b"\n")

    def report(self) -> Report | None:
        """Read the leader's report; call it when the leader has ended."""
        with contextlib.suppress(OSError):
            while data := self.control.recv(65_536):
                self._said += data
        if b"\n" not in self._said:
            return None
        return Report(**json.loads(self._said.split(b"\n", 1)[0]))


def outcome_of(
    report: Report, stop: StopOrder | None, started_wall_s: float, run_time_s: float, ended_wall_s: float
) -> dict[str, Any]:
    """Return the contract's Outcome: of the stop order if there was one, else of the work's own report."""
    kind, reason = (stop.kind, stop.reason) if stop else (report.kind, report.reason)
    message = stop.message if stop else report.message
    outcome: dict[str, Any] = {
        "kind": f"OUTCOME_KIND_{kind}",
        "reason": f"OUTCOME_REASON_{reason}",
        "runTime": format_duration(run_time_s),
        "startedAt": format_instant(started_wall_s),
        "endedAt": format_instant(ended_wall_s),
    }
    if report.exit_code is not None:
        outcome["exitCode"] = report.exit_code
    if report.signal:
        outcome["signal"] = report.signal
    if message:
        outcome["message"] = message.encode()[:_MESSAGE_BYTES].decode(errors="ignore")
    return outcome


def lost_outcome() -> dict[str, Any]:
    """Return the outcome of an attempt that an older instance of the runner left in the journal (G4)."""
    return {
        "kind": f"OUTCOME_KIND_{RUNNER_LOST.kind}",
        "reason": f"OUTCOME_REASON_{RUNNER_LOST.reason}",
        "message": RUNNER_LOST.message,
    }
