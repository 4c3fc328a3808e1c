# SPDX-License-Identifier: Apache-2.0
"""The runner's end of the socket to its agent: never blocks, and sends one frame per turn of the loop."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from .frames import FrameDecoder, FrameError, encode_frame
from .proto_json import parse_events

_READ_BYTES = 256 * 1024


class AgentConnection:
    """Reads events of the agent and gathers events for it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = False
        self._decoder = FrameDecoder()
        self._events: list[dict[str, Any]] = []
        self._unsent = bytearray()

    def receive(self) -> list[Mapping[str, Any]]:
        """Read what has arrived; raises FrameError or ProtoJsonError when the agent breaks the contract."""
        events: list[Mapping[str, Any]] = []
        while not self.closed:
            try:
                data = self.sock.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            self.closed = not data
            for frame in self._decoder.feed(data):
                events.extend(parse_events(frame))
        return events

    def say(self, case: str, body: dict[str, Any]) -> None:
        """Add an event to the frame of this turn."""
        self._events.append({case: body})

    def flush(self) -> bool:
        """Send what was gathered, as far as the socket takes it; False while some is left."""
        if self._events:
            self._unsent += _encode(self._events)
            self._events = []
        while self._unsent and not self.closed:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError:
                self.closed = True
                break
            del self._unsent[:sent]
        return True

    def close(self) -> None:
        """Close the socket."""
        self.closed = True
        self.sock.close()


def _encode(events: list[dict[str, Any]]) -> bytes:
    """Encode events as one frame, or as several when one would be over the limit."""
    try:
        return encode_frame({"events": events})
    except FrameError:
        if len(events) == 1:
            raise
        middle = len(events) // 2
        return _encode(events[:middle]) + _encode(events[middle:])
