# SPDX-License-Identifier: Apache-2.0
"""The runner's one loop: serves the agent, starts and stops attempts, keeps the journal (PROTOCOL G1).

Single-threaded, because it forks. It is in one of these states:
    waiting  no agent has said hello yet; leaves with the agent's hello, or when its own parent is gone
    serving  an agent is served; leaves when the agent's end closes, on Shutdown, or on SIGTERM
    closing  everything is being stopped; leaves, to the end, when no attempt runs any more
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .. import __version__
from . import process_tree
from .attempt import RUNNER_LOST, STOP_REASON_NUMBERS, STOP_REASONS, lost_outcome
from .clock import Clock
from .connection import AgentConnection
from .frames import FrameError
from .journal import AttemptKey, Journal
from .lease import DEFAULT_STOP_S, Lease, Refusal, renew
from .log import Log
from .proto_json import ProtoJsonError, parse_duration_s, parse_enum, parse_id
from .running import RunningAttempts
from .runtime import Runtime
from .start import Starter, StartRequest, parse_start
from .state_directory import StateDirectory

CONTRACT = 1
_PARENT_CHECK_S = 1.0
# How long the loop may rest while it serves an agent, so that a pause of the process shows as a longer one.
_TURN_S = 0.5
_PAUSED_S = 1.5
# Time for the agent's hello before Airflow is loaded, which blocks the loop for seconds.
_HELLO_WAIT_S = 1.0


class Guard:
    """Runs until its agent is gone; `run` returns when nothing of it is left."""

    def __init__(
        self,
        state: StateDirectory,
        journal: Journal,
        runtime: Runtime,
        clock: Clock,
        log: Log,
        on_agent: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._state = state
        self._journal = journal
        self._runtime = runtime
        self._clock = clock
        self._log = log
        self._on_agent = on_agent
        self._selector = selectors.DefaultSelector()
        self._agent: AgentConnection | None = None
        self._greeted = False
        self._loaded = False
        self._closing = False
        self._signal: signal.Signals | None = None
        self._arrived_at_s: float | None = None
        self._turned_at_s = clock.now_s()
        self._lease: Lease | None = None
        self._running = RunningAttempts(journal, log)
        self._starter = Starter(state, journal, runtime, clock, log)
        self._parent = os.getppid()
        self._wake_read, self._wake_write = os.pipe()

    # -- life ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve one agent to its end."""
        self._give_up_leftovers()
        process_tree.become_subreaper()
        self._watch_signals()
        listener = self._state.listen()
        self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))
        load_at_s = time.monotonic() + _HELLO_WAIT_S
        while not (self._closing and not self._running):
            self._turn(load_at_s)
            if not self._loaded and not self._closing and (self._greeted or time.monotonic() >= load_at_s):
                self._load()
                self._flush()
        self._end()

    def _turn(self, load_at_s: float) -> None:
        ready = self._selector.select(self._timeout_s(load_at_s))
        self._note_turn()
        for key, _ in ready:
            key.data()
        self._arrived_at_s = None
        if self._signal is not None:
            self._close(f"received {self._signal.name}")
        for attempt, outcome in self._running.reap():
            self._say("ended", {**StartRequest.name(attempt), "outcome": outcome})
        self._running.check_deadlines(self._lease, self._clock.now_s())
        self._flush()

    def _note_turn(self) -> None:
        """Set when a frame that is read in this turn may have arrived.

        Had the process stood still, it may have waited in the socket all the while: what it grants is counted
        from the turn before (PROTOCOL T3).
        """
        now_s = self._clock.now_s()
        self._arrived_at_s = self._turned_at_s if now_s - self._turned_at_s > _PAUSED_S else now_s
        self._turned_at_s = now_s

    def _end(self) -> None:
        self._flush()
        self._journal.close()
        self._state.remove_socket()
        if self._agent is not None:
            self._agent.close()
        self._log.info("the runner has ended")

    def _give_up_leftovers(self) -> None:
        """The lock proves that nothing of an older instance runs: what it left unfinished is lost (G4)."""
        for key, entry in self._journal.entries.items():
            if "outcome" not in entry:
                self._journal.ended(key, lost_outcome())
        self._journal.sync()

    def _watch_signals(self) -> None:
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Handlers run in the middle of anything: they only note the signal, the loop acts on it.
            signal.signal(number, self._note_signal)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)

    def _note_signal(self, number: int, _: object) -> None:
        self._signal = signal.Signals(number)

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass

    def _load(self) -> None:
        self._loaded = True
        began_s = self._clock.now_s()
        self._say("ready", {"ready": False, "note": f"loading {self._runtime.name}"})
        self._flush()
        try:
            self._runtime.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the agent, which shows it
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            self._log.error("the runtime could not be loaded", err=f"{type(error).__name__}: {error}")
            self._say("ready", {"note": f"{self._runtime.name} could not be loaded: {first_line}"})
            return
        if threading.active_count() > 1:
            names = [thread.name for thread in threading.enumerate()]
            self._log.warn("loading left threads behind; forks may hang", threads=names)
        # What arrived while the loop stood still is counted as if it had come when that began.
        self._arrived_at_s = began_s
        self._read_agent()
        self._arrived_at_s = None
        if self._closing:
            return
        self._starter.ready = True
        self._say("ready", {"ready": True})
        self._log.info("the runtime is loaded", durationMs=round((self._clock.now_s() - began_s) * 1000))

    def _close(self, why: str) -> None:
        """Stop everything under every policy; nothing is started from here on."""
        if self._closing:
            return
        self._closing = True
        self._starter.ready = False
        self._log.info("the runner stops", reason=why, running=len(self._running))
        self._running.stop_all(RUNNER_LOST, self._lease)

    # -- the agent ----------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        # One agent, once: whoever comes later is refused by the kernel.
        self._selector.unregister(listener)
        listener.close()
        self._agent = AgentConnection(sock)
        self._selector.register(sock, selectors.EVENT_READ, self._read_agent)

    def _read_agent(self) -> None:
        agent = self._agent
        if agent is None:
            return
        try:
            events = agent.receive()
            if agent.closed:
                # Before what it said last: nothing may be started for an agent that is gone.
                self._close("the agent's end is closed")
            for event in events:
                self._obey(event)
            self._start_gathered()
        except (FrameError, ProtoJsonError, ValueError, TypeError) as error:
            self._log.error("the agent broke the contract", err=str(error))
            agent.closed = True
        if agent.closed:
            with contextlib.suppress(KeyError):
                self._selector.unregister(agent.sock)
            self._close("the agent's end is closed")

    def _obey(self, event: Mapping[str, Any]) -> None:
        for case, body in event.items():
            handler = _HANDLERS.get(case)
            if handler is None:
                # An event of a newer contract.
                continue
            if not isinstance(body, Mapping):
                raise ProtoJsonError(f"{case} is not an object")
            if case == "hello":
                self._hello(body)
            elif not self._greeted:
                raise ProtoJsonError(f"{case} came before hello")
            else:
                if case != "start":
                    self._start_gathered()
                handler(self, body)

    def _hello(self, hello: Mapping[str, Any]) -> None:
        if self._greeted:
            raise ProtoJsonError("hello came twice")
        self._greeted = True
        answer: dict[str, Any] = {
            "contract": CONTRACT,
            "runtimes": [self._runtime.name],
            "runtimeVersions": self._runtime.versions(),
            "journal": list(self._journal.entries.values()),
            "softwareVersion": __version__,
        }
        low, high = int(hello.get("contractMin", 0)), int(hello.get("contractMax", 0))
        if not low <= CONTRACT <= high:
            message = (
                f"this runner speaks contract {CONTRACT}, the agent {low} to {high}: use versions that fit"
            )
            answer["error"] = {"code": "contract_version_unsupported", "message": message}
            self._say("hello", answer)
            self._close(message)
            return
        self._on_agent(str(hello.get("agent", "")))
        self._say("hello", answer)

    def _take_lease(self, body: Mapping[str, Any]) -> None:
        session = parse_id(body.get("session"), "lease.session")
        remaining_s = parse_duration_s(body.get("remaining", "0s"), "lease.remaining")
        stop_s = (
            parse_duration_s(body["stopTime"], "lease.stop_time") if "stopTime" in body else DEFAULT_STOP_S
        )
        self._lease = renew(self._lease, session, remaining_s, stop_s, self._arrival_s())

    def _gather_start(self, body: Mapping[str, Any]) -> None:
        self._starter.gather(parse_start(body, self._arrival_s()))

    def _start_gathered(self) -> None:
        for request, result in self._starter.start_all(self._lease, self._fds()):
            if isinstance(result, Refusal):
                refused = {**request.named, "reason": result.reason, "message": result.message}
                self._say("refused", refused)
            else:
                self._running.add(request.key, result)
                self._say("started", self._starter.started_event(request, result))

    def _stop(self, body: Mapping[str, Any]) -> None:
        reason = parse_enum(body.get("reason", 0), "STOP_REASON_", STOP_REASON_NUMBERS)
        order = STOP_REASONS.get(reason, STOP_REASONS["UNSPECIFIED"])
        self._running.stop(_key_of(body), order, self._lease)

    def _forget(self, body: Mapping[str, Any]) -> None:
        key = _key_of(body)
        if key not in self._running:
            self._journal.forget(key)

    def _shutdown(self, _: Mapping[str, Any]) -> None:
        self._close("the agent asked for it")

    def _timeout_s(self, load_at_s: float) -> float | None:
        """Return how long the loop may wait: until the nearest deadline."""
        now_s = time.monotonic()
        waits = []
        if self._agent is None:
            self._check_parent()
            waits.append(_PARENT_CHECK_S)
        elif not self._closing:
            waits.append(_TURN_S)
        if not self._loaded:
            waits.append(load_at_s - now_s)
        waits += self._running.waits_s(self._lease, self._clock.now_s())
        if self._closing and not self._running:
            return 0.0
        return max(0.0, min(waits)) if waits else None

    def _check_parent(self) -> None:
        # Whoever started the runner died before it could connect: nobody will ever come.
        if os.getppid() != self._parent:
            self._close("the process that started the runner is gone")

    # -- small things -------------------------------------------------------------------------------

    def _arrival_s(self) -> float:
        return self._clock.now_s() if self._arrived_at_s is None else self._arrived_at_s

    def _say(self, case: str, body: dict[str, Any]) -> None:
        if self._agent is not None and (self._greeted or case == "hello"):
            self._agent.say(case, body)

    def _flush(self) -> None:
        agent = self._agent
        if agent is None or agent.closed:
            return
        done = agent.flush()
        if agent.closed:
            self._read_agent()
            return
        wanted = selectors.EVENT_READ if done else selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.modify(agent.sock, wanted, self._read_agent)

    def _fds(self) -> list[int]:
        """Return the descriptors that a fork must not keep: with them a leader would never see the runner's end."""
        fds = [self._wake_read, self._wake_write, self._selector_fd(), self._journal.fileno()]
        fds += self._running.fds()
        if self._agent is not None:
            fds.append(self._agent.sock.fileno())
        return [fd for fd in fds if fd >= 0]

    def _selector_fd(self) -> int:
        fileno = getattr(self._selector, "fileno", None)
        return int(fileno()) if fileno is not None else -1


def _key_of(body: Mapping[str, Any]) -> AttemptKey:
    task = body.get("task")
    if not isinstance(task, str) or not task:
        raise ProtoJsonError("task is missing")
    return AttemptKey(task, parse_id(body.get("attempt"), "attempt"))


_HANDLERS: dict[str, Callable[[Guard, Mapping[str, Any]], None]] = {
    "hello": Guard._hello,
    "lease": Guard._take_lease,
    "start": Guard._gather_start,
    "stop": Guard._stop,
    "forget": Guard._forget,
    "shutdown": Guard._shutdown,
}
