# SPDX-License-Identifier: Apache-2.0
"""What RemexExecutor knows of its tasks, and what each piece of news means for Airflow. Pure: no calls, no clock.

A task that the executor follows is in one of these phases:
    SUBMITTING  on its way to the control plane; leaves with the answer
    WAITING     the control plane was not reached, or asked to come again; leaves when its time has come
    ACCEPTED    the control plane has it; leaves when an attempt starts, or it ends
    STARTED     an attempt runs, or is HELD: its agent is lost and may still run it (H1); leaves when the task
                ends, or is queued again
A task that has ended, was revoked, or whose workload Airflow has queued anew is not followed any more:
news of it changes nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .submission import Submission, executor_id

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 30.0
_SWEEP_S = 300.0
_MISSING_LOOK_S = 10.0
_TERMINAL = frozenset({"TASK_STATE_SUCCEEDED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED"})


class Phase(Enum):
    """How far a task is; see the module's text."""

    SUBMITTING = "submitting"
    WAITING = "waiting"
    ACCEPTED = "accepted"
    STARTED = "started"


@dataclass
class Followed:
    """A task that the executor follows."""

    task: str
    key: Hashable
    submission: Submission | None
    """Absent for tasks that were adopted: they cannot be submitted again."""
    phase: Phase
    agent: str = ""
    failures: int = 0
    retry_at_s: float = 0.0
    missing_since_s: float | None = None


class Verdict(Enum):
    """What the executor is to do with a workload."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Effect:
    """A verdict on one workload. `info` is what Airflow shows with it."""

    verdict: Verdict
    key: Hashable
    info: str = ""


class Tracker:
    """The tasks that are followed, by the id of the Remex task."""

    def __init__(self, missing_grace_s: float) -> None:
        self._missing_grace_s = missing_grace_s
        self._tasks: dict[str, Followed] = {}
        self._by_key: dict[Hashable, str] = {}
        self._look_at_s: float | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def task_of(self, key: Hashable) -> str | None:
        """Return the Remex task of a workload; None when none is followed."""
        return self._by_key.get(key)

    def follows(self, task: str) -> bool:
        """Return whether a task is followed: then it is not to be sent once more."""
        return task in self._tasks

    # -- what Airflow says --------------------------------------------------------------------------

    def offer(self, key: Hashable, task: str, submission: Submission) -> None:
        """Take a workload that Airflow has queued, as on its way."""
        # The same try was queued anew, after a deferral: the older task's end means nothing any more.
        self._forget(self._by_key.get(key))
        self._follow(Followed(task, key, submission, Phase.SUBMITTING))

    def adopt(self, key: Hashable, task: str, started: bool) -> None:
        """Take over a task of another scheduler."""
        self._follow(Followed(task, key, None, Phase.STARTED if started else Phase.ACCEPTED))

    def revoke(self, key: Hashable) -> str | None:
        """Stop following a workload; return its task, which is to be canceled."""
        task = self._by_key.get(key)
        self._forget(task)
        return task

    # -- what the control plane says ----------------------------------------------------------------

    def submitted(self, task: str, result: Mapping[str, Any], now_s: float) -> list[Effect]:
        """Take the answer to one submission."""
        followed = self._tasks.get(task)
        if followed is None or followed.phase is not Phase.SUBMITTING:
            # Its first change came before the answer, or it is not followed any more.
            return []
        refusal = result.get("refusal")
        if not refusal:
            if result.get("existing"):
                # What happened to it before may be older than the cursor.
                self.look_soon(now_s)
            return self._accept(followed)
        if refusal.get("retryable"):
            self._wait(followed, now_s)
            return []
        self._forget(task)
        reason = f"Remex refused the task: {refusal.get('message')} ({refusal.get('code')})"
        return [Effect(Verdict.FAILED, followed.key, reason)]

    def not_submitted(self, task: str, now_s: float) -> None:
        """Note that a submission got no answer; it is repeated later, which is safe."""
        followed = self._tasks.get(task)
        if followed is not None and followed.phase is Phase.SUBMITTING:
            self._wait(followed, now_s)

    def changed(self, change: Mapping[str, Any]) -> list[Effect]:
        """Take one change of the deployment's history."""
        followed = self._tasks.get(str(change.get("task")))
        if followed is None:
            return []
        effects = [] if followed.phase in (Phase.ACCEPTED, Phase.STARTED) else self._accept(followed)
        followed.missing_since_s = None
        state = str(change.get("state"))
        agent = str(change.get("agent", ""))
        if state in _TERMINAL:
            self._forget(followed.task)
            return [*effects, _end_of(followed, state, agent, change)]
        started = change.get("stage") == "ATTEMPT_STAGE_STARTED"
        if not started and state == "TASK_STATE_QUEUED":
            followed.phase = Phase.ACCEPTED
        elif started and (followed.phase is not Phase.STARTED or followed.agent != agent):
            followed.phase, followed.agent = Phase.STARTED, agent
            effects.append(Effect(Verdict.RUNNING, followed.key, executor_id(followed.task, agent)))
        return effects

    def looked_up(
        self, asked: Iterable[str], tasks: Iterable[Mapping[str, Any]], now_s: float
    ) -> list[Effect]:
        """Take the answer to a look-up: the tasks that are there, of those that were asked for."""
        effects: list[Effect] = []
        found = {str(task.get("task")): task for task in tasks}
        for name in asked:
            if name in found:
                effects += self.changed(change_of(found[name]))
            elif name in self._tasks:
                effects += self._missing(self._tasks[name], now_s)
        return effects

    # -- what is to be done now ---------------------------------------------------------------------

    def due_submissions(self, now_s: float) -> list[tuple[str, Submission]]:
        """Return submissions whose time has come again, as on their way from now on."""
        due = []
        for followed in self._tasks.values():
            if followed.phase is Phase.WAITING and now_s >= followed.retry_at_s and followed.submission:
                followed.phase = Phase.SUBMITTING
                due.append((followed.task, followed.submission))
        return due

    def look_soon(self, now_s: float) -> None:
        """Ask for everything that is followed with the next `due_look`."""
        self._look_at_s = now_s

    def due_look(self, now_s: float) -> list[str]:
        """Return the tasks to look up now, if it is time: after a reset, and as a slow sweep."""
        if self._look_at_s is None:
            self._look_at_s = now_s + _SWEEP_S
        if now_s < self._look_at_s:
            return []
        missing = any(followed.missing_since_s is not None for followed in self._tasks.values())
        self._look_at_s = now_s + (_MISSING_LOOK_S if missing else _SWEEP_S)
        known = (Phase.ACCEPTED, Phase.STARTED)
        return [followed.task for followed in self._tasks.values() if followed.phase in known]

    # -- within -------------------------------------------------------------------------------------

    def _follow(self, followed: Followed) -> None:
        self._tasks[followed.task] = followed
        self._by_key[followed.key] = followed.task

    def _forget(self, task: str | None) -> None:
        followed = self._tasks.pop(task, None) if task is not None else None
        if followed is not None and self._by_key.get(followed.key) == task:
            del self._by_key[followed.key]

    def _accept(self, followed: Followed) -> list[Effect]:
        followed.phase = Phase.ACCEPTED
        followed.failures = 0
        return [Effect(Verdict.ACCEPTED, followed.key)]

    def _wait(self, followed: Followed, now_s: float) -> None:
        followed.phase = Phase.WAITING
        followed.retry_at_s = now_s + min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**followed.failures)
        followed.failures = min(followed.failures + 1, 10)

    def _missing(self, followed: Followed, now_s: float) -> list[Effect]:
        """Deal with a task that the control plane does not know: its store was lost."""
        if followed.phase in (Phase.SUBMITTING, Phase.WAITING):
            return []
        if followed.phase is Phase.ACCEPTED and followed.submission is not None:
            # Not started as far as is known. If it was, its agent brings it back and both meet in one task.
            followed.phase, followed.retry_at_s = Phase.WAITING, now_s
            return []
        if followed.missing_since_s is None:
            followed.missing_since_s = now_s
            self._look_at_s = now_s + min(_MISSING_LOOK_S, self._missing_grace_s)
        if now_s - followed.missing_since_s < self._missing_grace_s:
            return []
        self._forget(followed.task)
        reason = f"the Remex control plane does not know task {followed.task} any more, and no agent came back with it"
        return [Effect(Verdict.FAILED, followed.key, reason)]


def change_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task, as it was read, in the form of its last change."""
    attempt = task.get("attempt") or {}
    outcome = attempt.get("outcome") or {}
    change = {
        "task": task.get("task"),
        "state": task.get("state"),
        "stage": attempt.get("stage"),
        "agent": attempt.get("agent", ""),
        "outcome": outcome.get("kind"),
        "reason": task.get("reason")
        or str(outcome.get("reason", "")).removeprefix("OUTCOME_REASON_").lower(),
        "message": outcome.get("message", ""),
    }
    return change | ({"exitCode": outcome["exitCode"]} if "exitCode" in outcome else {})


def is_ended(task: Mapping[str, Any]) -> bool:
    """Return whether a task, as it was read, has ended."""
    return task.get("state") in _TERMINAL


def _end_of(followed: Followed, state: str, agent: str, change: Mapping[str, Any]) -> Effect:
    if change.get("outcome") == "OUTCOME_KIND_DUPLICATE_START" or change.get("reason") == "duplicate_start":
        # It runs elsewhere: a failure reported here would fail the one that lives.
        return Effect(Verdict.DROPPED, followed.key)
    if state == "TASK_STATE_SUCCEEDED":
        return Effect(Verdict.SUCCEEDED, followed.key, executor_id(followed.task, agent))
    words = ["canceled in Remex" if state == "TASK_STATE_CANCELED" else "failed in Remex"]
    if agent:
        words.append(f"on agent {agent}")
    if change.get("reason"):
        words.append(f"({change['reason']})")
    text = " ".join(words)
    if "exitCode" in change:
        text += f", exit code {change['exitCode']}"
    if change.get("message"):
        text += f": {change['message']}"
    return Effect(Verdict.FAILED, followed.key, f"{text} [{followed.task}]")
