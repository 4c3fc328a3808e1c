# SPDX-License-Identifier: Apache-2.0
"""Carries everything between the executor and the gateway on threads of its own, so that Airflow never waits.

The sender submits, looks up and cancels what it is given; the follower reads the deployment's history of
changes by a cursor. What they learn is gathered, and taken by the executor at its next turn.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ..submission import Submission
from .gateway import Gateway, GatewayError, Message

_SERVICE = "remex.scheduler.v1.TaskService"
_LONG_POLL_S = 20.0
_MAX_CHANGES = 2_000
_MAX_LOOKED_UP = 500
_MAX_CANCELED = 500
_CANCEL_RETRY_S = 2.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 10.0
_CANNOT_FOLLOW = "the states of tasks cannot be followed"
# A call holds at most 4 MiB; what JSON adds to quotes and backslashes of a workload is within the rest.
_BATCH_BYTES = 2 * 1024 * 1024
_SPEC_BYTES = 1024


@dataclass(frozen=True)
class SubmitAnswered:
    """The answer to one submission."""

    task: str
    result: Message


@dataclass(frozen=True)
class SubmitFailed:
    """A submission that got no answer."""

    task: str


@dataclass(frozen=True)
class Changed:
    """One change of a task."""

    change: Message


@dataclass(frozen=True)
class HistoryReset:
    """Changes may be missing: everything followed must be looked up."""


@dataclass(frozen=True)
class LookedUp:
    """The tasks that are there, of those that were asked for."""

    asked: Sequence[str]
    tasks: Sequence[Message]


News = SubmitAnswered | SubmitFailed | Changed | HistoryReset | LookedUp


@dataclass(frozen=True)
class _Submit:
    items: Sequence[tuple[str, Submission]]


@dataclass(frozen=True)
class _Look:
    tasks: Sequence[str]
    answer: Future[Sequence[Message]]


@dataclass(frozen=True)
class _Cancel:
    tasks: Sequence[str]


class Courier:
    """Two threads and their queues. Everything public returns at once."""

    def __init__(self, gateway: Gateway, log: Any, jitter: Callable[[], float] = random.random) -> None:
        self._gateway = gateway
        self._log = log
        self._jitter = jitter
        self._orders: queue.SimpleQueue[_Submit | _Look | _Cancel | None] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._stopped = threading.Event()
        # Nothing is submitted before the cursor stands: else a change could come before it.
        self._following = threading.Event()
        self._trouble: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._send_all, name="remex-sender", daemon=True),
            threading.Thread(target=self._follow, name="remex-follower", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Tell the threads to end, without waiting for them."""
        self._stopped.set()
        self._following.set()
        self._orders.put(None)
        self._gateway.close()

    def submit(self, items: Sequence[tuple[str, Submission]]) -> None:
        """Submit tasks; each is answered by a SubmitAnswered or SubmitFailed."""
        if items:
            self._orders.put(_Submit(items))

    def look_up(self, tasks: Sequence[str]) -> Future[Sequence[Message]]:
        """Read tasks; the answer comes by the future, and as a LookedUp unless the call fails."""
        answer: Future[Sequence[Message]] = Future()
        self._orders.put(_Look(tasks, answer))
        return answer

    def cancel(self, tasks: Sequence[str]) -> None:
        """Wish that tasks end; repeated until the control plane has taken it."""
        if tasks:
            self._orders.put(_Cancel(tasks))

    def take_news(self) -> list[News]:
        """Return what was learned since the last call."""
        news = []
        while True:
            try:
                news.append(self._news.get_nowait())
            except queue.Empty:
                return news

    # -- the sender's thread ------------------------------------------------------------------------

    def _send_all(self) -> None:
        cancels: list[str] = []
        while not self._stopped.is_set():
            try:
                order = self._orders.get(timeout=_CANCEL_RETRY_S if cancels else None)
            except queue.Empty:
                order = _Cancel([])
            try:
                match order:
                    case _Submit(items):
                        self._following.wait()
                        for batch in _batches(items, self._gateway.settings.submit_batch_size):
                            self._submit(batch)
                    case _Look(tasks, answer):
                        self._look(tasks, answer)
                    case _Cancel(tasks):
                        cancels = self._cancel([*cancels, *tasks])
            except Exception:  # noqa: BLE001 - logged
                # A fault here must not end the thread: Airflow would wait for its tasks for ever.
                self._log.exception("the courier of RemexExecutor met an unexpected fault")

    def _submit(self, items: Sequence[tuple[str, Submission]]) -> None:
        what = "tasks could not be submitted, Airflow keeps them queued"
        answered: list[News] = [SubmitFailed(task) for task, _ in items]
        try:
            results = self._call_submit(items)
            answered = [
                SubmitAnswered(task, result) for (task, _), result in zip(items, results, strict=True)
            ]
            self._recovered(what)
        except GatewayError as error:
            if error.code != "invalid_argument":
                self._say_trouble(what, error)
            elif len(items) == 1:
                refusal = {"code": error.reason or error.code, "message": error.message}
                answered = [SubmitAnswered(items[0][0], {"refusal": refusal})]
            else:
                # The whole batch was refused: one item in it is to blame, and must not hold up the others.
                answered = []
                middle = len(items) // 2
                self._submit(items[:middle])
                self._submit(items[middle:])
        finally:
            for news in answered:
                self._news.put(news)

    def _call_submit(self, items: Sequence[tuple[str, Submission]]) -> list[Message]:
        tasks = [{"idempotencyKey": made.idempotency_key, "spec": made.spec} for _, made in items]
        results: Any = self._gateway.call(f"{_SERVICE}/SubmitTasks", {"tasks": tasks}).get("results")
        fits = isinstance(results, list) and len(results) == len(items)
        if not fits or not all(isinstance(result, dict) for result in results):
            raise GatewayError(
                "unavailable", f"the answer does not fit the {len(items)} tasks that were submitted"
            )
        return list(results)

    def _look(self, tasks: Sequence[str], answer: Future[Sequence[Message]]) -> None:
        self._following.wait()
        found: list[Message] = []
        try:
            for start in range(0, len(tasks), _MAX_LOOKED_UP):
                part = list(tasks[start : start + _MAX_LOOKED_UP])
                found += self._gateway.call(f"{_SERVICE}/BatchGetTasks", {"tasks": part}).get("tasks", [])
        except GatewayError as error:
            self._say_trouble("tasks could not be looked up", error)
            answer.set_exception(error)
            return
        answer.set_result(found)
        self._news.put(LookedUp(tasks, found))

    def _cancel(self, tasks: list[str]) -> list[str]:
        """Wish that tasks end; return those that the control plane has not taken yet."""
        while tasks:
            try:
                self._gateway.call(f"{_SERVICE}/CancelTasks", {"tasks": tasks[:_MAX_CANCELED]})
            except GatewayError as error:
                self._say_trouble("tasks could not be canceled", error)
                return tasks if error.retryable or error.code == "unauthenticated" else []
            tasks = tasks[_MAX_CANCELED:]
        return []

    # -- the follower's thread ----------------------------------------------------------------------

    def _follow(self) -> None:
        cursor = ""
        backoff_s = _FIRST_BACKOFF_S
        while not self._stopped.is_set():
            began_s = time.monotonic()
            try:
                cursor, news = self._poll(cursor)
                for item in news:
                    self._news.put(item)
                self._following.set()
                self._recovered(_CANNOT_FOLLOW)
                backoff_s = _FIRST_BACKOFF_S
            except GatewayError as error:
                if cursor and error.code in ("invalid_argument", "out_of_range"):
                    # A cursor that the control plane cannot read is no better than none.
                    cursor = ""
                    self._news.put(HistoryReset())
                self._say_trouble(_CANNOT_FOLLOW, error)
                self._stopped.wait(backoff_s * (0.5 + self._jitter() / 2))
                backoff_s = min(_LONGEST_BACKOFF_S, backoff_s * 2)
                continue
            except Exception:  # noqa: BLE001 - logged
                self._log.exception("the courier of RemexExecutor met an unexpected fault")
                self._stopped.wait(_LONGEST_BACKOFF_S)
                continue
            if not news and time.monotonic() - began_s < 0.05:
                # A control plane that answers without waiting must not make this a busy loop.
                self._stopped.wait(0.2)

    def _poll(self, cursor: str) -> tuple[str, list[News]]:
        answer = self._gateway.call(
            f"{_SERVICE}/ListTaskChanges",
            {"cursor": cursor, "limit": _MAX_CHANGES, "wait": f"{_LONG_POLL_S:.0f}s"},
            extra_wait_s=_LONG_POLL_S,
        )
        changes = answer.get("changes", [])
        next_cursor = answer.get("cursor")
        if not isinstance(next_cursor, str) or not next_cursor or not isinstance(changes, list):
            raise GatewayError("unavailable", "the answer holds no cursor: is this address a Remex gateway?")
        news: list[News] = [HistoryReset()] if answer.get("cursorReset") else []
        news += [Changed(change) for change in changes if isinstance(change, dict)]
        return next_cursor, news

    # -- both ---------------------------------------------------------------------------------------

    def _say_trouble(self, what: str, error: GatewayError) -> None:
        """Say a trouble once, and again only when it becomes another one."""
        if self._trouble.get(what) != str(error) and not self._stopped.is_set():
            self._trouble[what] = str(error)
            self._log.error("Remex: %s: %s", what, error)

    def _recovered(self, what: str) -> None:
        if self._trouble.pop(what, None) is not None:
            self._log.info("Remex: the control plane answers again (before: %s)", what)


def _batches(
    items: Sequence[tuple[str, Submission]], most: int
) -> Iterator[Sequence[tuple[str, Submission]]]:
    """Cut submissions into calls, by number and by size."""
    batch: list[tuple[str, Submission]] = []
    size = 0
    for item in items:
        work = item[1].spec["airflow"]
        item_size = len(work["workloadJson"]) + len(work["workloadToken"]) + _SPEC_BYTES
        if batch and (len(batch) >= most or size + item_size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item_size
    if batch:
        yield batch
