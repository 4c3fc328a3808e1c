# SPDX-License-Identifier: Apache-2.0
"""Waits for a condition of another process, with a bound and a reason when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(what: str, probe: Callable[[], T], within_s: float = 60.0) -> T:
    """Return the probe's first true answer; fail with `what` when none comes in time."""
    deadline = time.monotonic() + within_s
    while not (answer := probe()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"this did not happen within {within_s:.0f} s: {what}")
        time.sleep(0.01)
    return answer
