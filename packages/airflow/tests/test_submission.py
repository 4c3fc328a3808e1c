# SPDX-License-Identifier: Apache-2.0
"""Names of tasks: the same on both sides of the wire, and for every repetition."""

from __future__ import annotations

from remex_airflow.submission import executor_id, remex_task_id, task_instance_key, task_of_executor_id


def test_s6_the_task_id_is_the_control_planes() -> None:
    """PROTOCOL-S6: a pure function of deployment and key; the vector was made with sha256sum and base32."""
    assert remex_task_id("acme", "key-1") == "t_uhqo3wzdj7abpcrstvlg4cuuaf"


def test_each_queuing_has_a_key_of_its_own() -> None:
    assert task_instance_key("ti", "first-id") != task_instance_key("ti", "second-id")
    assert task_instance_key("ti", None) == task_instance_key("ti", None)


def test_the_executor_id_of_a_running_task_names_it() -> None:
    assert task_of_executor_id(executor_id("t_abc", "agent-1")) == "t_abc"


def test_an_executor_id_of_the_scheduler_or_another_executor_names_none() -> None:
    for foreign in (None, "", "0189-uuid", "celery@host", "t_abc"):
        assert task_of_executor_id(foreign) is None
