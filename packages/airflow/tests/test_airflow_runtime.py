# SPDX-License-Identifier: Apache-2.0
"""The runner with the real Airflow in it, against a stub of the Execution API."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import AgentFactory
from .kit.fake_agent import REAL_RUNNER, SCRIPTED_RUNNER, FakeAgent
from .kit.polling import eventually
from .kit.processes import living
from .kit.stub_execution_api import StubExecutionApi, stub_execution_api

pytestmark = pytest.mark.airflow

_DAG = """
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator

with DAG("sample", schedule=None):
    @task
    def hello():
        import os, socket
        print("hello from", os.environ["REMEX_ATTEMPT"], os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"))

    @task
    def dies():
        import os
        os._exit(3)

    hello()
    dies()
    BashOperator(task_id="sleeps", bash_command="sleep 600; echo {marker}")
"""


class Airflow:
    """A runner with Airflow loaded, its agent and its Execution API."""

    def __init__(self, agent: FakeAgent, api: StubExecutionApi) -> None:
        self.agent = agent
        self.api = api

    def start(self, task_id: str, name: str = "") -> str:
        """Start a task of the sample DAG; return the name of the Remex task."""
        name = name or task_id
        workload = {
            "token": "",
            "dag_rel_path": "sample.py",
            "bundle_info": {"name": "dags-folder", "version": None},
            "log_path": f"dag_id=sample/task_id={name}/attempt=1.log",
            "ti": {
                "id": str(uuid.uuid4()),
                "task_id": task_id,
                "dag_id": "sample",
                "run_id": "run",
                "try_number": 1,
                "dag_version_id": str(uuid.uuid4()),
                "map_index": -1,
                "pool_slots": 1,
                "priority_weight": 1,
                "queue": "default",
            },
            "type": "ExecuteTask",
        }
        work = {"airflow": {"workloadJson": json.dumps(workload), "workloadToken": "the-token"}}
        self.agent.start(name, work, airflowApiUrl=self.api.url)
        return name


@pytest.fixture(scope="module")
def marker() -> str:
    """Return a word by which processes of these tests are known."""
    return f"airflow-runtime-{os.getpid()}"


@pytest.fixture
def airflow(agents: AgentFactory, tmp_path: Path, marker: str) -> Iterator[Airflow]:
    """Run the real runner over a folder with the sample DAG."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "sample.py").write_text(_DAG.replace("{marker}", marker))
    with stub_execution_api() as api:
        agent = agents(
            REAL_RUNNER,
            AIRFLOW__CORE__DAGS_FOLDER=os.fspath(dags),
            AIRFLOW__WORKERS__EXECUTION_API_RETRIES="1",
            AIRFLOW__API_AUTH__JWT_SECRET="must not reach the tasks",
        )
        agent.connect()
        agent.hello()
        agent.ready()
        agent.lease()
        yield Airflow(agent, api)


def test_hello_names_airflow(airflow: Airflow) -> None:
    hello = airflow.agent.wait_for("hello")
    assert hello["runtimes"] == ["airflow"]
    assert hello["runtimeVersions"]["airflow"].startswith("3.3.")


def test_r5_tasks_run_without_a_database(airflow: Airflow, marker: str) -> None:
    """R5: Airflow's own supervisor runs tasks by the Execution API alone."""
    _succeeds(airflow)
    _fails_by_itself(airflow)
    _is_a_duplicate(airflow)
    _is_turned_away(airflow)
    _is_malformed(airflow)
    _is_stopped(airflow, marker)
    log = airflow.agent.log_path.read_text()
    assert "threads behind" not in log
    assert "AIRFLOW__API_AUTH__JWT_SECRET" in log


def _succeeds(airflow: Airflow) -> None:
    task = airflow.start("hello")
    log_path = airflow.agent.started(task)["logPath"]
    outcome = airflow.agent.outcome(task)
    log = Path(log_path).read_text()
    assert outcome["kind"] == "OUTCOME_KIND_SUCCEEDED", (outcome, log, airflow.agent.log())
    assert "hello from 1794000000.1 airflow-db-not-allowed" in log
    assert airflow.api.states() == ["success"]
    assert set(airflow.api.tokens) == {"Bearer the-token"}
    (run,) = (body for _, path, body in airflow.api.calls if path.endswith("/run"))
    assert run["hostname"] == "agent-1"
    assert all(path.startswith("/secret/execution/") for _, path, _ in airflow.api.calls)


def _fails_by_itself(airflow: Airflow) -> None:
    outcome = airflow.agent.outcome(airflow.start("dies"))
    assert (outcome["kind"], outcome["reason"]) == ("OUTCOME_KIND_FAILED", "OUTCOME_REASON_EXIT_CODE")
    assert outcome["exitCode"] == 3
    assert airflow.api.states()[-1] == "failed"


def _is_a_duplicate(airflow: Airflow) -> None:
    """PROTOCOL-H2: a task that runs already is neither success nor failure."""
    with answering(airflow, 409, {"detail": {"reason": "invalid_state", "previous_state": "running"}}):
        outcome = airflow.agent.outcome(airflow.start("hello", "duplicate"))
    assert outcome["kind"] == "OUTCOME_KIND_DUPLICATE_START"


def _is_turned_away(airflow: Airflow) -> None:
    with answering(airflow, 404, {"detail": {"reason": "not_found"}}):
        outcome = airflow.agent.outcome(airflow.start("hello", "turned-away"))
    assert outcome["reason"] == "OUTCOME_REASON_RUNTIME_ERROR"
    assert "not_found" in outcome["message"] or "404" in outcome["message"], outcome


def _is_malformed(airflow: Airflow) -> None:
    airflow.agent.start("t_bad", {"airflow": {"workloadJson": "{"}}, airflowApiUrl=airflow.api.url)
    outcome = airflow.agent.outcome("t_bad")
    assert (outcome["kind"], outcome["reason"]) == ("OUTCOME_KIND_FAILED", "OUTCOME_REASON_RUNTIME_ERROR")


def _is_stopped(airflow: Airflow, marker: str) -> None:
    """PROTOCOL-G1: a BashOperator's command has a session of its own, and is stopped with its attempt."""
    task = airflow.start("sleeps")
    eventually("the command runs", lambda: living(marker))
    airflow.agent.stop(task, "CANCELED")
    assert airflow.agent.outcome(task)["kind"] == "OUTCOME_KIND_CANCELED"
    assert living(marker) == []


def test_g1_a_bash_command_ends_with_its_killed_runner(
    airflow: Airflow, agents: AgentFactory, marker: str
) -> None:
    """PROTOCOL-G1: after kill -9 of the runner the lock falls only when the BashOperator's command is gone."""
    airflow.agent.lease(stop_time="2s")
    airflow.start("sleeps", "orphaned")
    eventually("the command runs", lambda: living(marker))
    airflow.agent.process.kill()
    next_one = agents(SCRIPTED_RUNNER, "--lock-wait-s", "30")
    next_one.connect()
    assert living(marker) == []
    assert next_one.hello()["journal"][0]["outcome"]["reason"] == "OUTCOME_REASON_RUNNER_LOST"


@contextmanager
def answering(airflow: Airflow, status: int, body: Any) -> Iterator[None]:
    """Let the Execution API answer starts like this for a while."""
    before, airflow.api.start_answer = airflow.api.start_answer, (status, body)
    yield
    airflow.api.start_answer = before
