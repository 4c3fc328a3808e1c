# SPDX-License-Identifier: Apache-2.0
"""R5: what Airflow may know on an agent."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from remex_airflow.runner.environment import (
    UNUSABLE_DATABASE,
    DatabaseConfiguredError,
    prepare,
    refuse_database,
)

from .conftest import AgentFactory
from .kit.fake_agent import REAL_RUNNER


@pytest.mark.parametrize("form", ["", "_CMD", "_SECRET"])
def test_r5_a_database_in_the_environment_is_refused(form: str, tmp_path: Path) -> None:
    """R5: agents have no access to the metadata database."""
    name = f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN{form}"
    with pytest.raises(DatabaseConfiguredError, match=name):
        refuse_database({name: "postgresql://db/airflow", "AIRFLOW_HOME": os.fspath(tmp_path)})


def test_r5_a_database_in_airflow_cfg_is_refused(tmp_path: Path) -> None:
    """R5: nor by Airflow's own file."""
    (tmp_path / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = postgresql://db/airflow%20x\n")
    with pytest.raises(DatabaseConfiguredError, match=r"airflow\.cfg"):
        refuse_database({"AIRFLOW_HOME": os.fspath(tmp_path)})


def test_airflows_own_default_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = sqlite:////home/x/airflow.db\n")
    refuse_database({"AIRFLOW_HOME": os.fspath(tmp_path)})
    refuse_database({"AIRFLOW_HOME": os.fspath(tmp_path / "absent")})


def test_r5_keys_of_the_servers_are_dropped_and_the_users_settings_stand(tmp_path: Path) -> None:
    """R5: no Fernet key and no signing key on an agent."""
    environ = {
        "AIRFLOW__CORE__FERNET_KEY": "x",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "cat key",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/my/logs",
        "NO_PROXY": "intranet",
    }
    dropped = prepare(environ, tmp_path, allow_database=False)
    assert set(dropped) == {"AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET_CMD"}
    assert not set(dropped) & set(environ)
    assert environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == UNUSABLE_DATABASE
    assert environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] == "/my/logs"
    assert environ["AIRFLOW_HOME"] == os.fspath(tmp_path / "airflow")
    assert environ["NO_PROXY"] == "intranet,127.0.0.1,localhost"


def test_bash_of_a_task_does_not_run_the_users_bashrc(tmp_path: Path) -> None:
    """Airflow starts tasks with a socket as standard input, which bash takes for a login from afar."""
    (tmp_path / ".bashrc").write_text("echo from bashrc")
    environ = {"HOME": os.fspath(tmp_path), "PATH": os.environ["PATH"]}
    prepare(environ, tmp_path, allow_database=False)
    near, far = socket.socketpair()
    with near, far:
        run = subprocess.run(
            ["bash", "-c", "echo done"], stdin=near.fileno(), env=environ, capture_output=True, check=True
        )
    assert run.stdout == b"done\n"


def test_r5_the_runner_refuses_to_start_with_a_database(agents: AgentFactory) -> None:
    """R5: the runner says so and names the way out."""
    runner = agents(REAL_RUNNER, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql://db/airflow")
    assert runner.end() == 1
    assert "--allow-database" in runner.log()


def test_sec_e5_keys_cannot_be_read_from_the_running_runner(agents: AgentFactory) -> None:
    """SEC-E5: a task of the same user finds no key in the environment that the kernel shows of the runner."""
    runner = agents(REAL_RUNNER, REMEX_AGENT_TOKEN="rmx_secret", AIRFLOW__CORE__FERNET_KEY="very-secret")
    runner.connect()
    runner.hello()
    shown = Path(f"/proc/{runner.process.pid}/environ").read_bytes()
    assert b"secret" not in shown
    assert b"PATH=" in shown
