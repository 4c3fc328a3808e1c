# SPDX-License-Identifier: Apache-2.0
"""The clock that judges leases: it never runs slower than any of the machine's clocks."""

from __future__ import annotations

import sys
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that only grow, from an arbitrary start."""

    def now_s(self) -> float:
        """Return the current reading."""


class LeaseClock:
    """Counts pauses and suspends of the machine as elapsed (PROTOCOL T3).

    Between two readings it moves by the largest of the monotonic, the boot-time and the forward
    wall-clock delta: a suspended machine stops the first, a container may lack the second.
    """

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._last = _readings()

    def now_s(self) -> float:
        """Return the elapsed seconds since the clock was made."""
        readings = _readings()
        self._elapsed_s += max(0.0, *(new - old for new, old in zip(readings, self._last, strict=True)))
        self._last = readings
        return self._elapsed_s


def _readings() -> tuple[float, float, float]:
    # macOS has no CLOCK_BOOTTIME; its monotonic clock stands in and the wall clock covers a suspend.
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()
    return time.monotonic(), boot, time.time()
