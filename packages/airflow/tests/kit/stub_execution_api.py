# SPDX-License-Identifier: Apache-2.0
"""Airflow's Execution API as far as one task needs it: start, heartbeat, state."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_CONTEXT = {
    "dag_run": {
        "dag_id": "sample",
        "run_id": "run",
        "logical_date": None,
        "data_interval_start": None,
        "data_interval_end": None,
        "run_after": "2026-01-01T00:00:00Z",
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": None,
        "run_type": "manual",
        "state": "running",
        "consumed_asset_events": [],
        "partition_key": None,
    },
    "max_tries": 0,
    "should_retry": False,
}


class StubExecutionApi:
    """Keeps what it was asked; the answers to a start can be set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: list[tuple[str, str, Any]] = []
        self.tokens: list[str] = []
        self.start_answer: tuple[int, Any] = (200, _CONTEXT)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer one call."""
        self.calls.append((method, path, body))
        if path.endswith("/run"):
            return self.start_answer
        if "/xcoms/" in path or path.endswith(("/state", "/heartbeat", "/rtif")):
            return (201 if method == "POST" or path.endswith("/rtif") else 204), None
        return 404, {"detail": {"reason": "not_found"}}

    def states(self) -> list[str]:
        """Return the states that were set, in order."""
        return [body["state"] for _, path, body in self.calls if path.endswith("/state")]


@contextmanager
def stub_execution_api() -> Iterator[StubExecutionApi]:
    """Serve the stub on a free port."""
    stub: StubExecutionApi

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.tokens.append(self.headers.get("Authorization", ""))
            status, body = stub.answer(self.command, self.path, json.loads(raw) if raw else None)
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub = StubExecutionApi(f"http://127.0.0.1:{server.server_port}/secret/execution/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
