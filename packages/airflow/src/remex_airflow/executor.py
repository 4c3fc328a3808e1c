# SPDX-License-Identifier: Apache-2.0
"""RemexExecutor: hands Airflow's workloads to the Remex control plane and tells Airflow how they went.

Airflow calls it from the scheduler's loop, which an exception ends and a wait holds up. So every call of the
network is made by the courier's threads, and what they learn is applied here at the next heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.exceptions import AirflowConfigException
from airflow.executors.base_executor import BaseExecutor

from .control_plane.courier import (
    Changed,
    Courier,
    HistoryReset,
    LookedUp,
    News,
    SubmitAnswered,
    SubmitFailed,
)
from .control_plane.gateway import Gateway, GatewayError, Message
from .control_plane.task_log import read_log
from .settings import Settings, SettingsError, load_settings
from .submission import (
    Submission,
    idempotency_key_of,
    make_submission,
    remex_task_id,
    task_instance_key,
    task_of_executor_id,
)
from .tracking import Effect, Tracker, Verdict, change_of, is_ended

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance


class RemexExecutor(BaseExecutor):
    """Runs tasks on the agents of a Remex deployment."""

    is_local = False
    serve_logs = False
    supports_callbacks = True
    supports_connection_test = True
    supports_multi_team = True
    # The scheduler assigns an id with each QUEUED, in the same commit: the name of the submission stands on it.
    pre_assigns_external_executor_id: ClassVar[bool] = True

    _settings: Settings
    _tracker: Tracker
    _courier: Courier | None = None
    _log_gateway: Gateway | None = None

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow the deployment. Called in the scheduler alone, never in the api-server."""
        self._settings = self._load_settings()
        self._tracker = Tracker(self._settings.missing_grace_s)
        self._default_queue = self.conf.get("operators", "default_queue", fallback="default") or "default"
        self._courier = Courier(Gateway(self._settings), self.log)
        self._courier.start()
        self.log.info("Remex deployment %s at %s", self._settings.deployment, self._settings.url)

    def end(self) -> None:
        """Stop following. Tasks run on: the next scheduler adopts them."""
        if self._courier is not None:
            self._courier.stop()

    def terminate(self) -> None:
        """Stop following; the same as `end`."""
        self.end()

    # -- the scheduler's loop -----------------------------------------------------------------------

    def heartbeat(self) -> None:
        """Hand over what is queued and apply what is known. An exception here would end the scheduler."""
        try:
            super().heartbeat()
        except Exception:
            self.log.exception("RemexExecutor met an unexpected fault; it goes on with the next heartbeat")

    def sync(self) -> None:
        """Apply what the courier has learned, and send what is due."""
        try:
            self._sync()
        except Exception:
            self.log.exception("RemexExecutor met an unexpected fault; it goes on with the next heartbeat")

    def _sync(self) -> None:
        if self._courier is None:
            return
        for news in self._courier.take_news():
            try:
                self._perform(self._effects_of(news))
            except Exception:
                # One message that cannot be read must not hold up the others.
                self.log.exception("RemexExecutor cannot read what the control plane said")
        now_s = time.monotonic()
        self._courier.submit(self._tracker.due_submissions(now_s))
        if tasks := self._tracker.due_look(now_s):
            self._courier.look_up(tasks)

    def _effects_of(self, news: News) -> list[Effect]:
        now_s = time.monotonic()
        match news:
            case SubmitAnswered(task, result):
                return self._tracker.submitted(task, result, now_s)
            case SubmitFailed(task):
                self._tracker.not_submitted(task, now_s)
            case Changed(change):
                return self._tracker.changed(change)
            case HistoryReset():
                self.log.warning("the history of changes begins anew; every task is looked up")
                self._tracker.look_soon(now_s)
            case LookedUp(asked, tasks):
                return self._tracker.looked_up(asked, tasks, now_s)
        return []

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        """Hand workloads to the courier. They stay queued until the control plane has answered."""
        if self._courier is None:
            return
        new: list[tuple[str, Submission]] = []
        for workload in workload_items:
            key = workload.key
            try:
                task = remex_task_id(self._settings.deployment, idempotency_key_of(workload))
                if self._tracker.follows(task):
                    continue
                submission = make_submission(workload, self._default_queue, self._settings.on_lost)
            except Exception as error:
                self.log.exception("the workload of %s cannot be submitted", key)
                self._perform([Effect(Verdict.FAILED, key, f"the workload cannot be submitted: {error}")])
                continue
            self._tracker.offer(key, task, submission)
            new.append((task, submission))
        self._courier.submit(new)

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            key: Any = effect.key
            self._unqueue(key)
            match effect.verdict:
                case Verdict.ACCEPTED:
                    self.running.add(key)
                case Verdict.RUNNING:
                    self.running_state(key, effect.info)
                case Verdict.SUCCEEDED:
                    self.success(key, effect.info)
                case Verdict.FAILED:
                    self.log.warning("%s: %s", key, effect.info)
                    self.fail(key, effect.info)
                case Verdict.DROPPED:
                    self.log.info("%s runs elsewhere already; this start of it counts for nothing", key)
                    self.running.discard(key)

    def _unqueue(self, key: Any) -> None:
        for queued in (self.queued_tasks, self.queued_callbacks, self.queued_connection_tests):
            queued.pop(key, None)

    # -- other calls of the scheduler ---------------------------------------------------------------

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Take over tasks of a scheduler that is gone; return those that Remex does not know."""
        try:
            return self._adopt(tis)
        except Exception:
            self.log.exception("tasks could not be adopted; Airflow resets them")
            return tis

    def _adopt(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        if self._courier is None:
            return tis
        named = [(ti, self._task_of(ti)) for ti in tis]
        found = self._await_tasks(self._courier.look_up([task for _, task in named]))
        unknown: list[TaskInstance] = []
        for ti, task in named:
            if found is not None and task not in found:
                unknown.append(ti)
                continue
            self._tracker.adopt(ti.key, task, started=str(ti.state) == "running")
            self.running.add(ti.key)
            if found is None:
                continue
            self._perform(self._tracker.changed(change_of(found[task])))
            if is_ended(found[task]):
                self.log.info("%s ended while no scheduler followed it", ti.key)
        if found is None:
            self._tracker.look_soon(time.monotonic())
        self.log.info(
            "%d tasks were adopted, %d are unknown to Remex", len(named) - len(unknown), len(unknown)
        )
        return unknown

    def _await_tasks(self, answer: Future[Sequence[Message]]) -> dict[str, Message] | None:
        """Wait a short while for a look-up; None when the control plane did not answer in time."""
        try:
            tasks = answer.result(self._settings.adoption_wait_s)
        except (FutureTimeoutError, GatewayError) as error:
            self.log.warning("adopting without the control plane's word, which comes later: %r", error)
            return None
        return {str(task.get("task")): task for task in tasks}

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Take a task back: it is canceled in Remex, and its end means nothing to Airflow any more."""
        try:
            self._unqueue(ti.key)
            self.running.discard(ti.key)
            if self._courier is not None:
                self._courier.cancel([self._tracker.revoke(ti.key) or self._task_of(ti)])
        except Exception:
            self.log.exception("%s could not be revoked", ti)

    def _task_of(self, ti: TaskInstance) -> str:
        """Return the Remex task of a task instance as it stands in Airflow's database."""
        known = task_of_executor_id(ti.external_executor_id)
        key = task_instance_key(str(ti.id), ti.external_executor_id)
        return known or remex_task_id(self._settings.deployment, key)

    # -- the api-server -----------------------------------------------------------------------------

    def get_task_log(self, ti: TaskInstance, try_number: int) -> tuple[list[str], list[str]]:
        """Read the log of a running task from its agent. Called in the api-server."""
        task = task_of_executor_id(ti.external_executor_id)
        if task is None or try_number != ti.try_number:
            return [], []
        try:
            if self._log_gateway is None:
                self._log_gateway = Gateway(self._load_settings())
            return [f"Remex task {ti.external_executor_id}"], read_log(self._log_gateway, task)
        except GatewayError as error:
            return [f"Remex task {ti.external_executor_id}: its log cannot be read now: {error}"], []
        except Exception:
            self.log.exception("the log of %s cannot be read", ti)
            return [f"Remex task {ti.external_executor_id}: its log cannot be read"], []

    def _load_settings(self) -> Settings:
        try:
            return load_settings(self.conf)
        except SettingsError as error:
            raise AirflowConfigException(str(error)) from error
