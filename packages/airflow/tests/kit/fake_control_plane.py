# SPDX-License-Identifier: Apache-2.0
"""The gateway's task service on a real socket, as far as RemexExecutor needs it, with faults to order."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from remex_airflow.submission import remex_task_id

Message = dict[str, Any]
Answer = tuple[int, Any]
KEY = "rmk_test"
DEPLOYMENT = "analytics"


def connect_error(status: int, code: str, message: str, reason: str = "") -> Answer:
    """Return an error as Connect writes it."""
    details = (
        [{"type": "remex.common.v1.ErrorDetail", "value": "", "debug": {"code": reason}}] if reason else []
    )
    return status, {"code": code, "message": message, "details": details}


class FakeControlPlane:
    """Keeps tasks and their history. `faults` answer in the place of methods, by name."""

    def __init__(self) -> None:
        self.url = ""
        self.tasks: dict[str, Message] = {}
        self.submissions: list[list[Message]] = []
        self.canceled: list[str] = []
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refusals: dict[str, Message] = {}
        self.faults: dict[str, Callable[[Message], Answer | bytes | None]] = {}
        self.hold = threading.Event()
        self.logs: dict[str, bytes] = {}
        self.lost_cursor = False
        self._changes: list[Message] = []
        self._moved = threading.Condition()

    # -- what a test does ---------------------------------------------------------------------------

    def change(self, task: str, state: str, stage: str = "", **more: Any) -> None:
        """Move a task and write the change into the history."""
        with self._moved:
            held = self.tasks[task]
            held["state"] = f"TASK_STATE_{state}"
            attempt = held.setdefault("attempt", {})
            attempt |= {"agent": more.get("agent", "agent-1")}
            if stage:
                attempt["stage"] = f"ATTEMPT_STAGE_{stage}"
            if "outcome" in more:
                attempt["outcome"] = {"kind": more["outcome"], "message": more.get("message", "")}
            change = {"task": task, "state": held["state"], "agent": attempt["agent"], **more}
            self._changes.append(change | ({"stage": attempt["stage"]} if stage else {}))
            self._moved.notify_all()

    def start(self, task: str, agent: str = "agent-1") -> None:
        """Let an agent start a task."""
        self.change(task, "ASSIGNED", "STARTED", agent=agent)

    def forget_everything(self) -> None:
        """Lose the store: tasks, and the history that cursors point into."""
        with self._moved:
            self.tasks.clear()
            self._changes.clear()
            self.lost_cursor = True
            self._moved.notify_all()

    def close(self) -> None:
        """Let go of everybody who waits."""
        self.hold.set()
        with self._moved:
            self.lost_cursor = True
            self._moved.notify_all()

    # -- what the executor sees ---------------------------------------------------------------------

    def answer(self, method: str, headers: dict[str, str], request: Message) -> Answer | bytes | None:
        """Answer one call; None closes the connection without an answer."""
        self.calls.append(method)
        self.headers.append(headers)
        if method in self.faults:
            return self.faults[method](request)
        if headers.get("authorization") != f"Bearer {KEY}":
            return connect_error(401, "unauthenticated", "the key is unknown", "key_unknown")
        if request.get("deployment", DEPLOYMENT) != DEPLOYMENT:
            return connect_error(404, "not_found", "there is no such deployment", "deployment_unknown")
        handlers: dict[str, Callable[[Message], Message]] = {
            "SubmitTasks": self._submit,
            "ListTaskChanges": self._list_changes,
            "BatchGetTasks": self._get,
            "CancelTasks": self._cancel,
            "WhoAmI": lambda _: {"key": "k1", "name": "airflow", "role": "ROLE_SUBMITTER"},
            "ListAgents": lambda _: {"agents": [{"health": "AGENT_HEALTH_HEALTHY"}] * 2},
        }
        return 200, handlers[method](request)

    def stream(self, request: Message) -> bytes:
        """Answer ReadTaskLog."""
        parts = [{"data": base64.b64encode(self.logs[request["task"]]).decode(), "complete": True}]
        frames = [(0, part) for part in parts] + [(2, {})]
        out = b""
        for flags, part in frames:
            body = json.dumps(part).encode()
            out += bytes([flags]) + len(body).to_bytes(4, "big") + body
        return out

    def _submit(self, request: Message) -> Message:
        results: list[Message] = []
        with self._moved:
            self.submissions.append(request["tasks"])
            for item in request["tasks"]:
                key = item["idempotencyKey"]
                if key in self.refusals:
                    results.append({"refusal": self.refusals[key]})
                    continue
                task = remex_task_id(DEPLOYMENT, key)
                existing = task in self.tasks
                fresh: Message = {"task": task, "idempotencyKey": key, "spec": item["spec"]}
                held = self.tasks.setdefault(task, fresh | {"state": "TASK_STATE_QUEUED"})
                results.append({"task": task, "existing": existing, "state": held["state"]})
        return {"results": results}

    def _list_changes(self, request: Message) -> Message:
        with self._moved:
            cursor = request["cursor"]
            if not cursor:
                return {"cursor": f"c{len(self._changes)}"}
            position = int(cursor[1:])
            self._moved.wait_for(lambda: self.lost_cursor or len(self._changes) > position, timeout=20)
            if self.lost_cursor:
                self.lost_cursor = False
                return {"cursor": f"c{len(self._changes)}", "cursorReset": True}
            return {"cursor": f"c{len(self._changes)}", "changes": self._changes[position:]}

    def _get(self, request: Message) -> Message:
        with self._moved:
            return {"tasks": [self.tasks[task] for task in request.get("tasks", []) if task in self.tasks]}

    def _cancel(self, request: Message) -> Message:
        self.canceled += request["tasks"]
        return {"results": [{"task": task} for task in request["tasks"]]}


@contextmanager
def fake_control_plane() -> Iterator[FakeControlPlane]:
    """Serve the fake on a free port."""
    fake = FakeControlPlane()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            method = self.path.rsplit("/", 1)[-1]
            headers = {name.lower(): value for name, value in self.headers.items()}
            # A stream's request is one envelope: a byte of flags, four of length, then the message.
            request = json.loads(raw[5:] if method == "ReadTaskLog" else raw)
            if method == "ReadTaskLog" and method not in fake.faults:
                self._send(200, fake.stream(request), "application/connect+json")
                return
            answer = fake.answer(method, headers, request)
            if answer is None:
                self.close_connection = True
            elif isinstance(answer, bytes):
                self._send(200, answer, "text/html")
            else:
                self._send(answer[0], json.dumps(answer[1]).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A caller that hangs up is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.close()
        server.shutdown()
        server.server_close()
        thread.join(5)
