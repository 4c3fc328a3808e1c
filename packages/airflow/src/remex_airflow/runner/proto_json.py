# SPDX-License-Identifier: Apache-2.0
"""The scalars of proto3 JSON that the contract uses: durations, instants, ids, enums, bytes."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class ProtoJsonError(Exception):
    """A field does not hold what its type asks for."""


class PairId(NamedTuple):
    """A session or an attempt: ordered by epoch, then by number."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


def parse_id(value: Any, field: str) -> PairId:
    """Read a SessionId or AttemptId; 64-bit numbers travel as text."""
    if not isinstance(value, Mapping):
        raise ProtoJsonError(f"{field} is missing")
    try:
        return PairId(int(value.get("epoch", 0)), int(value.get("number", 0)))
    except (TypeError, ValueError) as error:
        raise ProtoJsonError(f"{field} does not hold two numbers") from error


def format_id(value: PairId) -> dict[str, str]:
    """Write a SessionId or AttemptId."""
    return {"epoch": str(value.epoch), "number": str(value.number)}


def parse_duration_s(value: Any, field: str) -> float:
    """Read a Duration ("1.500s") as seconds."""
    if not isinstance(value, str) or not value.endswith("s"):
        raise ProtoJsonError(f"{field} is not a duration")
    try:
        seconds = float(value[:-1])
    except ValueError as error:
        raise ProtoJsonError(f"{field} is not a duration") from error
    if not math.isfinite(seconds):
        raise ProtoJsonError(f"{field} is not a duration")
    return seconds


def format_duration(seconds: float) -> str:
    """Write a Duration, to the millisecond."""
    return f"{seconds:.3f}s"


def format_instant(wall_s: float) -> str:
    """Write a Timestamp from wall-clock seconds."""
    instant = datetime.datetime.fromtimestamp(wall_s, tz=datetime.timezone.utc)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_enum(value: Any, prefix: str, names: Mapping[int, str]) -> str:
    """Read an enum, by name or by number, as its name without the prefix; unknown ones are UNSPECIFIED."""
    if isinstance(value, str) and value.startswith(prefix):
        return value[len(prefix) :]
    if isinstance(value, int):
        return names.get(value, "UNSPECIFIED")
    return "UNSPECIFIED"


def parse_events(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Read the events of a frame; anything else in it is passed over."""
    events = frame.get("events", [])
    if not isinstance(events, list) or not all(isinstance(event, Mapping) for event in events):
        raise ProtoJsonError("events is not a list of objects")
    return events
