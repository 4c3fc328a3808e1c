# SPDX-License-Identifier: Apache-2.0
"""Frames of the runner contract: a length of four bytes, big-endian, then one JSON object."""

from __future__ import annotations

import json
from typing import Any

MAX_FRAME_BYTES = 4 * 1024 * 1024
_HEADER_BYTES = 4


class FrameError(Exception):
    """The other side broke the contract; the connection cannot be used any more."""


def encode_frame(message: dict[str, Any]) -> bytes:
    """Turn one message into the bytes of a frame."""
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return len(body).to_bytes(_HEADER_BYTES, "big") + body


class FrameDecoder:
    """Cuts a stream of bytes into messages, whatever way the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take bytes in and return the messages that are complete now."""
        self._buffer += data
        messages: list[dict[str, Any]] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> dict[str, Any] | None:
        if len(self._buffer) < _HEADER_BYTES:
            return None
        length = int.from_bytes(self._buffer[:_HEADER_BYTES], "big")
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
        end = _HEADER_BYTES + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_HEADER_BYTES:end])
        del self._buffer[:end]
        try:
            message = json.loads(body)
        except ValueError as error:
            raise FrameError(f"a frame is not JSON: {error}") from error
        if not isinstance(message, dict):
            raise FrameError("a frame is not a JSON object")
        return message
