# SPDX-License-Identifier: Apache-2.0
"""What news means for Airflow, as pure decisions."""

from __future__ import annotations

from remex_airflow.submission import Submission
from remex_airflow.tracking import LONGEST_RETRY_S, Effect, Tracker, Verdict, change_of

TASK, KEY = "t_one", ("d", "t", "r", 1)
SUBMISSION = Submission("key", {})


def tracker(*steps: str, grace_s: float = 60) -> Tracker:
    """Return a tracker with one task that has come as far as the last step."""
    made = Tracker(grace_s)
    made.offer(KEY, TASK, SUBMISSION)
    if "accepted" in steps:
        made.submitted(TASK, {"task": TASK}, 0)
    if "started" in steps:
        made.changed(started("a"))
    return made


def started(agent: str) -> dict[str, str]:
    return {"task": TASK, "state": "TASK_STATE_ASSIGNED", "stage": "ATTEMPT_STAGE_STARTED", "agent": agent}


def ended(state: str, **more: object) -> dict[str, object]:
    return {"task": TASK, "state": f"TASK_STATE_{state}", "agent": "a", **more}


class TestOffer:
    def test_a_task_is_followed_from_its_offer_to_its_end(self) -> None:
        made = Tracker(60)
        assert not made.follows(TASK)
        made.offer(KEY, TASK, SUBMISSION)
        assert made.follows(TASK)
        made.changed(ended("SUCCEEDED"))
        assert not made.follows(TASK)

    def test_a_workload_queued_anew_takes_the_place_of_the_older_task(self) -> None:
        made = tracker("started")
        made.offer(KEY, "t_two", SUBMISSION)
        assert made.task_of(KEY) == "t_two"
        assert made.changed(ended("SUCCEEDED")) == []


class TestChanges:
    def test_a_change_before_the_answer_counts_as_the_answer(self) -> None:
        made = tracker()
        effects = made.changed(started("a"))
        assert effects == [Effect(Verdict.ACCEPTED, KEY), Effect(Verdict.RUNNING, KEY, "t_one@a")]
        assert made.submitted(TASK, {"task": TASK}, 0) == []

    def test_running_is_told_once_for_each_agent(self) -> None:
        made = tracker("accepted")
        assert len(made.changed(started("a"))) == 1
        assert made.changed(started("a")) == []
        assert made.changed(started("b")) == [Effect(Verdict.RUNNING, KEY, "t_one@b")]

    def test_a_task_that_was_queued_again_and_started_again_is_told(self) -> None:
        """PROTOCOL-H2: under REQUEUE the same try runs again."""
        made = tracker("accepted", "started")
        assert made.changed(ended("QUEUED", stage="ATTEMPT_STAGE_LOST")) == []
        assert made.changed(started("a")) == [Effect(Verdict.RUNNING, KEY, "t_one@a")]

    def test_h1_held_work_counts_as_running(self) -> None:
        """PROTOCOL-H1: nothing is told while it may come back; what follows is told as usual."""
        held = ended("HELD", stage="ATTEMPT_STAGE_STARTED", reason="lease_expired")
        made = tracker("accepted", "started")
        assert made.changed(held) == []
        assert made.changed(started("a")) == []
        assert made.changed(held) == []
        assert made.changed(ended("SUCCEEDED")) == [Effect(Verdict.SUCCEEDED, KEY, "t_one@a")]
        adopting = tracker("accepted")
        assert adopting.changed(held) == [Effect(Verdict.RUNNING, KEY, "t_one@a")]

    def test_an_end_is_told_once(self) -> None:
        made = tracker("accepted", "started")
        assert made.changed(ended("SUCCEEDED")) == [Effect(Verdict.SUCCEEDED, KEY, "t_one@a")]
        assert made.changed(ended("SUCCEEDED")) == []

    def test_h2_duplicate_start_drops_the_task(self) -> None:
        """PROTOCOL-H2: neither success nor failure."""
        for change in (
            ended("CANCELED", outcome="OUTCOME_KIND_DUPLICATE_START"),
            ended("CANCELED", reason="duplicate_start"),
        ):
            made = tracker("accepted")
            assert made.changed(change) == [Effect(Verdict.DROPPED, KEY)]

    def test_a_failure_carries_its_reason(self) -> None:
        made = tracker("accepted", "started")
        (effect,) = made.changed(ended("FAILED", reason="exit_code", exitCode=3, message="it broke"))
        assert effect.info == "failed in Remex on agent a (exit_code), exit code 3: it broke [t_one]"

    def test_a_revoked_task_says_nothing_more(self) -> None:
        made = tracker("accepted")
        assert made.revoke(KEY) == TASK
        assert made.changed(ended("CANCELED")) == []
        assert len(made) == 0


class TestRetries:
    def test_waits_grow_to_a_limit(self) -> None:
        made = tracker()
        now_s = 0.0
        waits = []
        for _ in range(12):
            made.not_submitted(TASK, now_s)
            assert made.due_submissions(now_s) == []
            step_s = next(wait for wait in (0.5, 1, 2, 4, 8, 16, 30) if made.due_submissions(now_s + wait))
            waits.append(step_s)
            now_s += step_s
        assert waits[:7] == [0.5, 1, 2, 4, 8, 16, 30]
        assert waits[-1] == LONGEST_RETRY_S

    def test_r32_queued_work_is_submitted_again_at_once(self) -> None:
        """R32: after the store was lost, queued work is submitted again."""
        made = tracker("accepted")
        assert made.looked_up([TASK], [], 5) == []
        assert made.due_submissions(5) == [(TASK, SUBMISSION)]

    def test_r32_started_work_is_waited_for(self) -> None:
        """R32: started work is given up only when nobody brought it back in time."""
        made = tracker("accepted", "started", grace_s=60)
        assert made.looked_up([TASK], [], 0) == []
        assert made.due_look(10) == [TASK]
        assert made.looked_up([TASK], [], 59) == []
        (effect,) = made.looked_up([TASK], [], 60)
        assert effect.verdict is Verdict.FAILED

    def test_a_sweep_comes_round(self) -> None:
        made = tracker("accepted")
        assert made.due_look(0) == []
        assert made.due_look(299) == []
        assert made.due_look(301) == [TASK]


def test_a_task_that_was_read_is_its_last_change() -> None:
    change = change_of(
        {
            "task": TASK,
            "state": "TASK_STATE_FAILED",
            "attempt": {
                "agent": "a",
                "stage": "ATTEMPT_STAGE_ENDED",
                "outcome": {
                    "kind": "OUTCOME_KIND_FAILED",
                    "reason": "OUTCOME_REASON_EXIT_CODE",
                    "exitCode": 3,
                },
            },
        }
    )
    assert (change["outcome"], change["reason"], change["exitCode"]) == (
        "OUTCOME_KIND_FAILED",
        "exit_code",
        3,
    )
