# SPDX-License-Identifier: Apache-2.0
"""RemexExecutor, with Airflow's own base class, against a control plane on a real socket."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .kit.fake_control_plane import DEPLOYMENT, KEY, FakeControlPlane, connect_error, fake_control_plane
from .kit.polling import eventually

pytestmark = pytest.mark.airflow

# A heartbeat that waits for the control plane would wait for this: the fake holds its answers back.
_NEVER_S = 120.0


@pytest.fixture(scope="session", autouse=True)
def _airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let Airflow make its files in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "0" * 64)
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        yield


@pytest.fixture
def plane() -> Iterator[FakeControlPlane]:
    """Serve a control plane."""
    with fake_control_plane() as fake:
        yield fake


@pytest.fixture
def configure(plane: FakeControlPlane, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the settings of section [remex]."""

    def set_all(**settings: Any) -> None:
        values = {"url": plane.url, "deployment": DEPLOYMENT, "key": KEY, **settings}
        for name, value in values.items():
            monkeypatch.setenv(f"AIRFLOW__REMEX__{name.upper()}", str(value))

    set_all()
    return set_all


Factory = Callable[[], Any]


@pytest.fixture
def make_executor(configure: Callable[..., None]) -> Iterator[Factory]:
    """Make executors, started, that end with the test."""
    from remex_airflow.executor import RemexExecutor

    made = []

    def make() -> Any:
        executor = RemexExecutor(parallelism=1000)
        executor.start()
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.end()


@pytest.fixture
def executor(make_executor: Factory) -> Any:
    """Return a started executor."""
    return make_executor()


def workload(task_id: str = "t", ti_id: str | None = None, **more: Any) -> Any:
    """Return a workload as the scheduler makes it."""
    from airflow.executors import workloads
    from airflow.executors.workloads.base import BundleInfo
    from airflow.executors.workloads.task import TaskInstanceDTO

    ti = TaskInstanceDTO(
        id=uuid.UUID(ti_id) if ti_id else uuid.uuid4(),
        task_id=task_id,
        dag_id="d",
        run_id="r",
        try_number=1,
        dag_version_id=uuid.uuid4(),
        map_index=-1,
        external_executor_id=more.pop("external_executor_id", str(uuid.uuid4())),
        **{"queue": "default", "pool_slots": 1, "priority_weight": 1, **more},
    )
    return workloads.ExecuteTask(
        ti=ti,
        dag_rel_path=Path("d.py"),
        token="secret-token",
        log_path="d.log",
        bundle_info=BundleInfo(name="dags-folder"),
    )


def queue(executor: Any, *items: Any) -> list[str]:
    """Queue workloads the way the scheduler does; return their Remex tasks."""
    for item in items:
        executor.queue_workload(item, session=None)
    executor.heartbeat()
    return [executor._tracker.task_of(item.key) for item in items]


def beat_until(executor: Any, what: str, probe: Callable[[], Any]) -> Any:
    """Let heartbeats go by until something holds."""

    def once() -> Any:
        executor.heartbeat()
        return probe()

    return eventually(what, once)


def events(executor: Any, count: int = 1) -> dict[Any, tuple[str, str]]:
    """Let heartbeats go by until there are events; return them by key, as the scheduler takes them."""
    gathered: dict[Any, tuple[str, str]] = {}

    def enough() -> bool:
        for key, (state, info) in executor.get_event_buffer().items():
            gathered[key] = (str(state), info)
        return len(gathered) >= count

    beat_until(executor, f"{count} events", enough)
    return gathered


def accepted(executor: Any, *items: Any) -> list[str]:
    """Queue workloads and wait until the control plane has them."""
    tasks = queue(executor, *items)
    beat_until(executor, "all are accepted", lambda: all(item.key in executor.running for item in items))
    return tasks


def never_blocks(call: Callable[[], Any]) -> Any:
    """Make a call while the control plane is silent; it must return before the control plane speaks."""
    done = threading.Event()
    answer: list[Any] = []

    def run() -> None:
        answer.append(call())
        done.set()

    threading.Thread(target=run, daemon=True).start()
    assert done.wait(_NEVER_S / 2), "the call waits for the control plane"
    return answer[0]


class TestSubmit:
    def test_what_travels(self, executor: Any, plane: FakeControlPlane) -> None:
        item = workload("t", queue="gpu", pool_slots=3, priority_weight=7)
        (task,) = accepted(executor, item)
        spec = plane.tasks[task]["spec"]
        assert (spec["queue"], spec["slotCost"], spec["priority"]) == ("gpu", 3, 7)
        assert spec["onLost"] == "ON_LOST_FAIL"
        assert spec["annotations"]["airflow.task_id"] == "t"
        sent = json.loads(spec["airflow"]["workloadJson"])
        assert sent["token"] == ""
        assert sent["ti"]["id"] == str(item.ti.id)
        assert spec["airflow"]["workloadToken"] == "secret-token"
        headers = plane.headers[plane.calls.index("SubmitTasks")]
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["connect-protocol-version"] == "1"
        assert item.key not in executor.queued_tasks

    def test_one_call_for_many(self, executor: Any, plane: FakeControlPlane) -> None:
        accepted(executor, *(workload(f"t{index}") for index in range(50)))
        assert [len(batch) for batch in plane.submissions] == [50]

    def test_batches_are_limited(
        self, make_executor: Factory, configure: Callable[..., None], plane: FakeControlPlane
    ) -> None:
        configure(submit_batch_size=20)
        accepted(make_executor(), *(workload(f"t{index}") for index in range(50)))
        assert [len(batch) for batch in plane.submissions] == [20, 20, 10]

    def test_heartbeats_do_not_submit_again_what_is_in_flight(
        self, executor: Any, plane: FakeControlPlane
    ) -> None:
        submit = plane._submit

        def slowly(request: Any) -> Any:
            plane.hold.wait(_NEVER_S)
            return 200, submit(request)

        plane.faults["SubmitTasks"] = slowly
        item = workload()
        queue(executor, item)
        eventually("the submission is under way", lambda: "SubmitTasks" in plane.calls)
        for _ in range(5):
            never_blocks(executor.heartbeat)
        assert item.key in executor.queued_tasks
        assert item.key not in executor.running
        plane.hold.set()
        beat_until(executor, "it is accepted", lambda: item.key in executor.running)
        assert item.key not in executor.queued_tasks
        assert len(plane.submissions) == 1

    def test_a_refused_task_fails_with_the_reason(self, executor: Any, plane: FakeControlPlane) -> None:
        from remex_airflow.submission import idempotency_key_of

        bad, good = workload("bad"), workload("good")
        refusal = {
            "code": "queue_unknown",
            "message": 'there is no queue "gpu": create it',
            "retryable": False,
        }
        plane.refusals[idempotency_key_of(bad)] = refusal
        queue(executor, bad, good)
        ((key, (state, info)),) = events(executor).items()
        assert (key, state) == (bad.key, "failed")
        assert "queue_unknown" in info
        assert "create it" in info
        assert bad.key not in executor.queued_tasks
        assert good.key in executor.running

    def test_a_retryable_refusal_keeps_it_queued(self, executor: Any, plane: FakeControlPlane) -> None:
        from remex_airflow.submission import idempotency_key_of

        item = workload()
        plane.refusals[idempotency_key_of(item)] = {"code": "x", "message": "later", "retryable": True}
        queue(executor, item)
        eventually("it was refused", lambda: plane.submissions)
        plane.refusals.clear()
        beat_until(executor, "it is accepted", lambda: item.key in executor.running)

    def test_one_bad_item_does_not_hold_up_a_batch_that_is_refused_whole(
        self, executor: Any, plane: FakeControlPlane
    ) -> None:
        bad, *good = [workload("bad"), *(workload(f"t{index}") for index in range(6))]
        submit = plane._submit

        def picky(request: Any) -> Any:
            if any('"bad"' in item["spec"]["airflow"]["workloadJson"] for item in request["tasks"]):
                return connect_error(400, "invalid_argument", "tasks[0].spec.annotations: too many")
            return 200, submit(request)

        plane.faults["SubmitTasks"] = picky
        queue(executor, bad, *good)
        ((key, (state, info)),) = events(executor).items()
        assert (key, state) == (bad.key, "failed")
        assert "annotations" in info
        beat_until(executor, "the others are in", lambda: all(item.key in executor.running for item in good))

    def test_callbacks_and_connection_tests(self, executor: Any, plane: FakeControlPlane) -> None:
        from airflow.executors import workloads

        item = workloads.TestConnection.make(
            connection_test_id=uuid.uuid4(), connection_id="pg", timeout=10, queue="gpu"
        )
        (task,) = accepted(executor, item)
        assert plane.tasks[task]["spec"]["queue"] == "gpu"
        plane.start(task)
        assert events(executor) == {item.key: ("running", f"{task}@agent-1")}
        plane.change(task, "SUCCEEDED", outcome="OUTCOME_KIND_SUCCEEDED")
        assert events(executor)[item.key][0] == "success"


class TestFollow:
    def test_running_then_success(self, executor: Any, plane: FakeControlPlane) -> None:
        item = workload()
        (task,) = accepted(executor, item)
        plane.start(task, "agent-9")
        assert events(executor) == {item.key: ("running", f"{task}@agent-9")}
        assert item.key in executor.running
        plane.change(task, "SUCCEEDED", outcome="OUTCOME_KIND_SUCCEEDED")
        assert events(executor)[item.key][0] == "success"
        assert item.key not in executor.running

    def test_r19_failure_says_why(self, executor: Any, plane: FakeControlPlane) -> None:
        """R19: a task whose agent was lost after its start fails, and Airflow's retries decide."""
        item = workload()
        (task,) = accepted(executor, item)
        plane.start(task)
        events(executor)
        plane.change(task, "FAILED", reason="agent_lost", message="agent agent-1 missed 3 heartbeats")
        state, info = events(executor)[item.key]
        assert state == "failed"
        assert "agent-1" in info
        assert "agent_lost" in info
        assert task in info

    def test_cancel_elsewhere_is_a_failure(self, executor: Any, plane: FakeControlPlane) -> None:
        item = workload()
        (task,) = accepted(executor, item)
        plane.change(task, "CANCELED", outcome="OUTCOME_KIND_CANCELED")
        assert events(executor)[item.key][0] == "failed"

    def test_h2_duplicate_start_is_neither(self, executor: Any, plane: FakeControlPlane) -> None:
        """PROTOCOL-H2: DUPLICATE_START is reported as neither success nor failure."""
        item, other = workload("a"), workload("b")
        task, witness = accepted(executor, item, other)
        plane.change(task, "CANCELED", outcome="OUTCOME_KIND_DUPLICATE_START")
        plane.change(witness, "SUCCEEDED")
        assert list(events(executor)) == [other.key]
        assert item.key not in executor.running

    def test_a_task_that_resumes_after_a_deferral_is_a_task_of_its_own(
        self, executor: Any, plane: FakeControlPlane
    ) -> None:
        """Airflow keeps id and try over a deferral: the first part's end must not end the second."""
        ti_id = str(uuid.uuid4())
        first = workload("t", ti_id)
        (first_task,) = accepted(executor, first)
        again = workload("t", ti_id)
        (second_task,) = queue(executor, again)
        assert first.key == again.key
        assert first_task != second_task
        beat_until(
            executor, "the second is accepted", lambda: len(plane.tasks) == 2 and not executor.queued_tasks
        )
        plane.change(first_task, "SUCCEEDED")
        plane.start(second_task)
        assert events(executor) == {again.key: ("running", f"{second_task}@agent-1")}
        assert again.key in executor.running

    def test_strangers_and_nonsense_are_passed_over(self, executor: Any, plane: FakeControlPlane) -> None:
        item = workload()
        (task,) = accepted(executor, item)
        plane.tasks["t_strange"] = {}
        plane.change("t_strange", "FAILED")
        plane.change(task, "OF_THE_FUTURE", "OF_THE_FUTURE")
        plane.change(task, "SUCCEEDED")
        assert events(executor)[item.key][0] == "success"


class TestTrouble:
    @pytest.mark.parametrize(
        "fault",
        [
            lambda _: None,
            lambda _: b"<html>not a gateway</html>",
            lambda _: (200, {"results": "?"}),
            lambda _: (502, {}),
            lambda _: connect_error(503, "unavailable", "the store is away", "store_unavailable"),
            lambda _: connect_error(403, "permission_denied", "a viewer cannot submit"),
        ],
        ids=["hangs up", "garbage", "misfit", "proxy", "store", "rights"],
    )
    def test_r24_submission_is_repeated_until_it_is_answered(
        self, executor: Any, plane: FakeControlPlane, fault: Callable[[Any], Any]
    ) -> None:
        """R24: trouble of the control plane loses no task and raises nothing."""
        plane.faults["SubmitTasks"] = fault
        item = workload()
        queue(executor, item)
        eventually("it was tried", lambda: "SubmitTasks" in plane.calls)
        executor.heartbeat()
        assert item.key in executor.queued_tasks
        del plane.faults["SubmitTasks"]
        beat_until(executor, "it is accepted", lambda: item.key in executor.running)

    @pytest.mark.parametrize(
        "fault",
        [
            lambda _: None,
            lambda _: b"garbage",
            lambda _: (200, {"cursor": 7}),
            lambda _: connect_error(503, "unavailable", "away"),
        ],
        ids=["hangs up", "garbage", "misfit", "store"],
    )
    def test_the_cursor_is_kept_through_trouble(
        self, executor: Any, plane: FakeControlPlane, fault: Callable[[Any], Any]
    ) -> None:
        item = workload()
        (task,) = accepted(executor, item)
        failed = threading.Event()

        def fails(request: Any) -> Any:
            failed.set()
            return fault(request)

        plane.faults["ListTaskChanges"] = fails
        plane.start(task)
        assert failed.wait(_NEVER_S)
        plane.change(task, "SUCCEEDED")
        del plane.faults["ListTaskChanges"]
        assert events(executor)[item.key][0] == "success"
        assert "BatchGetTasks" not in plane.calls

    def test_nothing_listens(self, make_executor: Factory, configure: Callable[..., None]) -> None:
        configure(url="http://127.0.0.1:9")
        executor = make_executor()
        item = workload()
        queue(executor, item)
        for _ in range(3):
            never_blocks(executor.heartbeat)
        assert item.key in executor.queued_tasks

    def test_a_silent_control_plane_holds_nothing_up(self, executor: Any, plane: FakeControlPlane) -> None:
        (task,) = accepted(executor, item := workload())

        def silent(_: Any) -> None:
            plane.hold.wait(_NEVER_S)

        for method in ("SubmitTasks", "ListTaskChanges", "BatchGetTasks", "CancelTasks"):
            plane.faults[method] = silent
        queue(executor, workload("other"))
        never_blocks(executor.heartbeat)
        never_blocks(lambda: executor.revoke_task(ti=as_instance(item)))
        never_blocks(lambda: executor.try_adopt_task_instances([as_instance(workload("third"))]))
        never_blocks(executor.end)
        assert task

    def test_sec_a_key_that_was_replaced_in_its_file_is_read_again(
        self, make_executor: Factory, configure: Callable[..., None], plane: FakeControlPlane, tmp_path: Path
    ) -> None:
        file = tmp_path / "key"
        file.write_text("rmk_old\n")
        configure(key="", key_file=file)
        executor = make_executor()
        item = workload()
        queue(executor, item)
        eventually("it was refused", lambda: "ListTaskChanges" in plane.calls)
        file.write_text(KEY + "\n")
        beat_until(executor, "it is accepted", lambda: item.key in executor.running)

    def test_a_fault_in_the_executor_does_not_reach_the_scheduler(
        self, executor: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError("bug")

        monkeypatch.setattr(executor, "_process_workloads", broken)
        monkeypatch.setattr(executor._courier, "take_news", broken)
        executor.queue_workload(workload(), session=None)
        executor.heartbeat()
        executor.sync()
        monkeypatch.setattr(executor, "_adopt", broken)
        instance = as_instance(workload())
        assert executor.try_adopt_task_instances([instance]) == [instance]

    def test_wrong_settings_are_told_all_at_once(self, configure: Callable[..., None]) -> None:
        from airflow.exceptions import AirflowConfigException

        from remex_airflow.executor import RemexExecutor

        configure(url="localhost", deployment="", key="", submit_batch_size="many", on_lost="shrug")
        with pytest.raises(AirflowConfigException) as caught:
            RemexExecutor(parallelism=1).start()
        for name in ("url", "deployment", "key_file", "submit_batch_size", "on_lost"):
            assert name in str(caught.value)


def as_instance(item: Any, state: str = "queued", external_executor_id: str | None = None) -> Any:
    """Return a workload's task instance as the scheduler reads it from the database."""
    return SimpleNamespace(
        id=item.ti.id,
        key=item.key,
        state=state,
        try_number=item.ti.try_number,
        external_executor_id=external_executor_id or item.ti.external_executor_id,
    )


class TestReset:
    def test_r32_queued_tasks_are_submitted_again(self, executor: Any, plane: FakeControlPlane) -> None:
        """R32: after the store was lost, what was queued is submitted again under the same id."""
        item = workload()
        (task,) = accepted(executor, item)
        plane.forget_everything()
        beat_until(executor, "it is submitted again", lambda: task in plane.tasks)
        plane.start(task)
        assert events(executor) == {item.key: ("running", f"{task}@agent-1")}

    def test_r32_a_running_task_that_its_agent_brings_back_goes_on(
        self, executor: Any, plane: FakeControlPlane
    ) -> None:
        """R32: running work is adopted from the agents' inventories; until then it is not given up."""
        item, other = workload("a"), workload("b")
        task, witness = accepted(executor, item, other)
        plane.start(task)
        events(executor)
        kept = dict(plane.tasks[task])
        plane.forget_everything()
        beat_until(executor, "the other is submitted again", lambda: witness in plane.tasks)
        assert item.key in executor.running
        plane.tasks[task] = kept
        plane.change(task, "SUCCEEDED")
        assert events(executor) == {item.key: ("success", f"{task}@agent-1")}

    def test_a_running_task_that_nobody_brings_back_fails_with_the_reason(
        self, make_executor: Factory, configure: Callable[..., None], plane: FakeControlPlane
    ) -> None:
        configure(missing_grace=0)
        executor = make_executor()
        item = workload()
        (task,) = accepted(executor, item)
        plane.start(task)
        events(executor)
        plane.forget_everything()
        state, info = events(executor)[item.key]
        assert state == "failed"
        assert "does not know task" in info

    def test_an_end_that_fell_into_the_gap_is_found(self, executor: Any, plane: FakeControlPlane) -> None:
        item = workload()
        (task,) = accepted(executor, item)
        plane.tasks[task]["state"] = "TASK_STATE_SUCCEEDED"
        plane.lost_cursor = True
        plane.change(task, "SUCCEEDED")
        assert events(executor)[item.key][0] == "success"


class TestAdoption:
    def test_living_ended_and_unknown_tasks(
        self, executor: Any, make_executor: Factory, plane: FakeControlPlane
    ) -> None:
        queued, running, ended, unknown = (
            workload(name) for name in ("queued", "running", "ended", "unknown")
        )
        _, running_task, ended_task = accepted(executor, queued, running, ended)
        plane.start(running_task, "agent-5")
        plane.start(ended_task)
        events(executor, 2)
        executor.end()
        plane.change(ended_task, "FAILED", reason="agent_lost")
        successor = make_executor()
        instances = [
            as_instance(queued),
            as_instance(running, "running", f"{running_task}@agent-5"),
            as_instance(ended, "running", f"{ended_task}@agent-1"),
            as_instance(unknown),
        ]
        assert successor.try_adopt_task_instances(instances) == [instances[3]]
        assert {queued.key, running.key} == successor.running
        told = events(successor, 2)
        assert told[running.key] == ("running", f"{running_task}@agent-5")
        assert told[ended.key][0] == "failed"
        plane.change(running_task, "SUCCEEDED")
        assert events(successor)[running.key][0] == "success"

    def test_without_the_control_plane_tasks_are_adopted_and_looked_up_later(
        self, executor: Any, make_executor: Factory, configure: Callable[..., None], plane: FakeControlPlane
    ) -> None:
        item = workload()
        (task,) = accepted(executor, item)
        plane.start(task)
        events(executor)
        executor.end()
        plane.faults["BatchGetTasks"] = lambda _: None
        plane.change(task, "SUCCEEDED")
        successor = make_executor()
        assert successor.try_adopt_task_instances([as_instance(item, "running", f"{task}@agent-1")]) == []
        assert item.key in successor.running
        del plane.faults["BatchGetTasks"]
        successor._tracker.look_soon(0)
        assert events(successor)[item.key][0] == "success"


class TestRevoke:
    def test_it_is_canceled_and_its_end_means_nothing(self, executor: Any, plane: FakeControlPlane) -> None:
        item, other = workload("a"), workload("b")
        task, witness = accepted(executor, item, other)
        executor.revoke_task(ti=as_instance(item))
        eventually("it is canceled", lambda: plane.canceled == [task])
        assert item.key not in executor.running
        plane.change(task, "CANCELED")
        plane.change(witness, "SUCCEEDED")
        assert list(events(executor)) == [other.key]

    def test_a_cancel_is_repeated_until_it_is_taken(
        self, executor: Any, plane: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("remex_airflow.control_plane.courier._CANCEL_RETRY_S", 0.05)
        item = workload()
        (task,) = accepted(executor, item)
        plane.faults["CancelTasks"] = lambda _: None
        executor.revoke_task(ti=as_instance(item))
        eventually("it was tried", lambda: "CancelTasks" in plane.calls)
        del plane.faults["CancelTasks"]
        eventually("it is canceled", lambda: plane.canceled == [task])


class TestLogsAndStatus:
    def test_log_of_a_running_task(self, configure: Callable[..., None], plane: FakeControlPlane) -> None:
        from remex_airflow.executor import RemexExecutor

        plane.logs["t_x"] = b'{"event":"one"}\n{"event":"two"}\n'
        item = workload()
        executor = RemexExecutor(parallelism=1)
        sources, lines = executor.get_task_log(as_instance(item, "running", "t_x@agent-1"), 1)
        assert "t_x@agent-1" in sources[0]
        assert lines == ['{"event":"one"}', '{"event":"two"}']
        assert executor.get_task_log(as_instance(item), 1) == ([], [])

    def test_a_log_that_cannot_be_read_says_so(
        self, configure: Callable[..., None], plane: FakeControlPlane
    ) -> None:
        from remex_airflow.executor import RemexExecutor

        plane.faults["ReadTaskLog"] = lambda _: connect_error(
            503, "unavailable", "agent-1 is away", "agent_away"
        )
        instance = as_instance(workload(), "running", "t_x@agent-1")
        sources, lines = RemexExecutor(parallelism=1).get_task_log(instance, 1)
        assert "agent-1 is away" in sources[0]
        assert lines == []

    def test_status(self, configure: Callable[..., None], plane: FakeControlPlane) -> None:
        from airflow.configuration import conf

        from remex_airflow.control_plane.gateway import Gateway
        from remex_airflow.settings import load_settings
        from remex_airflow.status import describe

        text = "\n".join(describe(Gateway(load_settings(conf))))
        assert plane.url in text
        assert "role submitter" in text
        assert "2 healthy" in text


def test_a_team_has_its_own_deployment(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DESIGN section 4: one Airflow team maps to one Remex deployment."""
    from remex_airflow.executor import RemexExecutor

    monkeypatch.setenv("AIRFLOW__BLUE___REMEX__DEPLOYMENT", "blue-deployment")
    executor = RemexExecutor(parallelism=1, team_name="blue")
    for name in ("URL", "KEY"):
        monkeypatch.setenv(f"AIRFLOW__BLUE___REMEX__{name}", "http://x" if name == "URL" else "k")
    assert executor._load_settings().deployment == "blue-deployment"
