# SPDX-License-Identifier: Apache-2.0
"""Starts attempts: journal first, then lease and window as the last act before the fork (PROTOCOL S4)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .attempt import RunningAttempt
from .clock import Clock
from .journal import AttemptKey, Journal
from .leader import Order, fork_leader
from .lease import DEFAULT_STOP_S, Lease, Refusal, check_start
from .log import Log
from .proto_json import (
    PairId,
    ProtoJsonError,
    format_id,
    format_instant,
    parse_duration_s,
    parse_enum,
    parse_id,
)
from .runtime import Runtime, Work
from .state_directory import StateDirectory

_ON_CUT_NUMBERS = {1: "CONTINUE", 2: "ABORT"}
# The agent remembers attempts too (S1); this is the second line, so it may forget the oldest.
_REMEMBERED_TASKS = 10_000
_WORK_CASES = ("command", "noop", "airflow", "trigger", "bundle")


@dataclass(frozen=True)
class StartRequest:
    """A Start of the agent, read."""

    key: AttemptKey
    session: PairId
    window_ends_at_s: float
    spec: dict[str, Any]
    aborts_on_cut: bool
    timeout_s: float | None
    airflow_api_url: str
    idempotency_key: str
    payload_digest: str

    @staticmethod
    def name(key: AttemptKey) -> dict[str, Any]:
        """Return the fields that name an attempt in every event."""
        return {"task": key.task, "attempt": format_id(key.attempt)}

    @property
    def named(self) -> dict[str, Any]:
        """Return the fields that name this attempt."""
        return self.name(self.key)


def parse_start(body: Mapping[str, Any], arrived_at_s: float) -> StartRequest:
    """Read a Start that arrived at `arrived_at_s` by the lease clock."""
    task, spec = body.get("task"), body.get("spec")
    if not isinstance(task, str) or not task:
        raise ProtoJsonError("start.task is missing")
    if not isinstance(spec, dict):
        raise ProtoJsonError("start.spec is missing")
    timeout = spec.get("timeout")
    return StartRequest(
        key=AttemptKey(task, parse_id(body.get("attempt"), "start.attempt")),
        session=parse_id(body.get("session"), "start.session"),
        window_ends_at_s=arrived_at_s + parse_duration_s(body.get("window", "0s"), "start.window"),
        spec=spec,
        aborts_on_cut=parse_enum(body.get("onCut", 0), "ON_CUT_", _ON_CUT_NUMBERS) == "ABORT",
        timeout_s=parse_duration_s(timeout, "start.spec.timeout") if timeout else None,
        airflow_api_url=str(body.get("airflowApiUrl", "")),
        idempotency_key=str(body.get("idempotencyKey", "")),
        payload_digest=str(body.get("payloadDigest", "")),
    )


class Starter:
    """Gathers the starts of a frame, journals them in one go and forks a leader for each."""

    def __init__(
        self, state: StateDirectory, journal: Journal, runtime: Runtime, clock: Clock, log: Log
    ) -> None:
        self.ready = False
        self._state = state
        self._journal = journal
        self._runtime = runtime
        self._clock = clock
        self._log = log
        self._gathered: list[StartRequest] = []
        self._highest: dict[str, PairId] = {}
        for key in journal.entries:
            self._remember(key)

    def gather(self, request: StartRequest) -> None:
        """Take a start; it is followed by the next `start_all`."""
        self._gathered.append(request)

    def start_all(
        self, lease: Lease | None, fds: list[int]
    ) -> Iterator[tuple[StartRequest, RunningAttempt | Refusal]]:
        """Start, or refuse, everything gathered; `fds` are the descriptors that no fork may keep."""
        requests, self._gathered = self._gathered, []
        journaled = []
        for request in requests:
            refusal = self._refuse(request, lease)
            if refusal is not None:
                yield request, refusal
                continue
            self._remember(request.key)
            self._journal.started(request.key, self._entry(request))
            journaled.append(request)
        self._journal.sync()
        fds = list(fds)
        for request in journaled:
            result = self._start(request, lease, fds)
            if isinstance(result, RunningAttempt):
                fds.append(result.control.fileno())
            yield request, result

    def started_event(self, request: StartRequest, attempt: RunningAttempt) -> dict[str, Any]:
        """Return the body of AttemptStarted."""
        return {
            **request.named,
            "pid": attempt.pid,
            "startedAt": format_instant(attempt.started_wall_s),
            "logPath": self._runtime.log_path(request.spec),
        }

    def _refuse(self, request: StartRequest, lease: Lease | None) -> Refusal | None:
        known = self._highest.get(request.key.task)
        if known is not None and request.key.attempt <= known:
            return Refusal("known_attempt", f"attempt {known} of this task was already seen")
        if not self.ready:
            return Refusal(
                "not_ready", f"the runner is not ready: {self._runtime.name} is loading, or it stops"
            )
        if not self._runtime.can_run(request.spec):
            return Refusal("cannot_run", f"this runner runs {self._runtime.name} work alone")
        return check_start(lease, request.session, request.window_ends_at_s, self._clock.now_s())

    def _start(self, request: StartRequest, lease: Lease | None, fds: list[int]) -> RunningAttempt | Refusal:
        work = Work(request.spec, request.airflow_api_url)
        order = Order(
            task=request.key.task,
            attempt=str(request.key.attempt),
            run=partial(self._runtime.run, work),
            lock_fd=self._state.lock_fd,
            default_stop_s=lease.stop_s if lease else DEFAULT_STOP_S,
        )
        # The last act before the fork: nothing stands between this check and the start.
        refusal = check_start(lease, request.session, request.window_ends_at_s, self._clock.now_s())
        if refusal is not None:
            self._journal.forget(request.key)
            return refusal
        try:
            pid, control = fork_leader(order, fds)
        except OSError as error:
            self._journal.forget(request.key)
            return Refusal("cannot_run", f"no process could be made: {os.strerror(error.errno or 0)}")
        started_s = time.monotonic()
        self._log.info("an attempt was started", task=order.task, attempt=order.attempt, leader=pid)
        return RunningAttempt(
            pid=pid,
            control=control,
            aborts_on_cut=request.aborts_on_cut,
            started_s=started_s,
            started_wall_s=time.time(),
            timeout_at_s=None if request.timeout_s is None else started_s + request.timeout_s,
        )

    def _entry(self, request: StartRequest) -> dict[str, Any]:
        """Return the journal's entry: the spec without its work, which may hold credentials."""
        entry = {
            **request.named,
            "session": format_id(request.session),
            "spec": {name: value for name, value in request.spec.items() if name not in _WORK_CASES},
            "logPath": self._runtime.log_path(request.spec),
            "idempotencyKey": request.idempotency_key,
            "payloadDigest": request.payload_digest,
        }
        return {name: value for name, value in entry.items() if value != ""}

    def _remember(self, key: AttemptKey) -> None:
        known = self._highest.pop(key.task, None)
        self._highest[key.task] = key.attempt if known is None else max(known, key.attempt)
        if len(self._highest) > _REMEMBERED_TASKS:
            del self._highest[next(iter(self._highest))]
