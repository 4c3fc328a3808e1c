# SPDX-License-Identifier: Apache-2.0
"""Turns Airflow's workloads into Remex tasks, and names them so that a repeated submission meets the first."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

_INT32_MAX = 2**31 - 1
_ANNOTATION_BYTES = 256
_TASK_ID_CHARACTERS = 26


@dataclass(frozen=True)
class Submission:
    """A workload as it travels: the key that names it for good, and the spec."""

    idempotency_key: str
    spec: dict[str, Any]


def make_submission(workload: Any, default_queue: str, on_lost: str) -> Submission:
    """Turn a workload (ExecuteTask, ExecuteCallback or TestConnection) into a submission."""
    dto = getattr(workload, "ti", None)
    raw = {**workload.model_dump(mode="json"), "token": ""}
    spec = {
        "queue": (getattr(dto, "queue", None) or getattr(workload, "queue", None) or default_queue),
        "priority": max(-_INT32_MAX, min(_INT32_MAX, int(getattr(dto, "priority_weight", 0) or 0))),
        "slotCost": max(1, int(getattr(dto, "pool_slots", 1) or 1)),
        "onLost": on_lost,
        "annotations": _annotations(workload),
        "airflow": {
            "workloadJson": json.dumps(raw, separators=(",", ":"), sort_keys=True),
            "workloadToken": workload.token or "",
        },
    }
    return Submission(idempotency_key_of(workload), spec)


def idempotency_key_of(workload: Any) -> str:
    """Return the key of a workload: another one for each time that Airflow queues it.

    A task instance keeps its id and its try when it resumes after a deferral, so the id that the scheduler
    assigns with each QUEUED (external_executor_id) is part of it.
    """
    dto = getattr(workload, "ti", None)
    if dto is not None:
        return task_instance_key(str(dto.id), getattr(dto, "external_executor_id", None))
    kind = "callback" if hasattr(workload, "callback") else "connection-test"
    return f"airflow/{kind}/{workload.key.id}"


def task_instance_key(ti_id: str, external_executor_id: str | None) -> str:
    """Return the key of a task instance that was queued under an id."""
    return f"airflow/task/{ti_id}/{external_executor_id or 'first'}"


def remex_task_id(deployment: str, idempotency_key: str) -> str:
    """Return the id of the Remex task, a pure function of deployment and key."""
    digest = hashlib.sha256(f"{deployment}\0{idempotency_key}".encode()).digest()
    return "t_" + base64.b32encode(digest).decode().lower()[:_TASK_ID_CHARACTERS]


def executor_id(task: str, agent: str) -> str:
    """Return what Airflow shows as external executor id of a running task."""
    return f"{task}@{agent}"


def task_of_executor_id(external_executor_id: str | None) -> str | None:
    """Return the Remex task in an external executor id; None when it is still the scheduler's own."""
    task, at, _ = (external_executor_id or "").partition("@")
    return task if at and task.startswith("t_") else None


def _annotations(workload: Any) -> dict[str, str]:
    dto = getattr(workload, "ti", None)
    if dto is None:
        names = {"airflow.kind": type(workload).__name__, "airflow.name": workload.display_name}
    else:
        names = {
            "airflow.dag_id": dto.dag_id,
            "airflow.run_id": dto.run_id,
            "airflow.task_id": dto.task_id,
            "airflow.try": str(dto.try_number),
            "airflow.map_index": str(dto.map_index),
        }
    return {name: _cut(str(value)) for name, value in names.items()}


def _cut(value: str) -> str:
    return value.encode()[:_ANNOTATION_BYTES].decode(errors="ignore")
