# SPDX-License-Identifier: Apache-2.0
"""Reads the log of a running task from its agent, within a time and a size that a page can wait for."""

from __future__ import annotations

from .gateway import Gateway, decode_bytes

_WITHIN_S = 5.0
_MOST_BYTES = 4 * 1024 * 1024


def read_log(gateway: Gateway, task: str) -> list[str]:
    """Return the lines of a task's log so far; raises GatewayError."""
    request = {"task": task, "limit": str(_MOST_BYTES)}
    data = bytearray()
    for part in gateway.stream("remex.registry.v1.AgentService/ReadTaskLog", request, _WITHIN_S):
        data += decode_bytes(part.get("data"))
    text = bytes(data[:_MOST_BYTES]).decode(errors="replace")
    return text.splitlines()
