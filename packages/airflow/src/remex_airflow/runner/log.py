# SPDX-License-Identifier: Apache-2.0
"""The runner's own log: one JSON object per line on standard error."""

from __future__ import annotations

import json
import os
import time
from typing import Any

_LEVELS = {"debug": 20, "info": 30, "warn": 40, "error": 50}
_STDERR = 2


class Log:
    """Writes constant messages with facts as fields; written in one call, so lines never mix."""

    def __init__(self, minimum: str = "info") -> None:
        self._minimum = _LEVELS.get(minimum, _LEVELS["info"])

    def debug(self, message: str, **facts: Any) -> None:
        """Say what helps only while looking for a fault."""
        self._write("debug", message, facts)

    def info(self, message: str, **facts: Any) -> None:
        """Say that something of the life cycle changed."""
        self._write("info", message, facts)

    def warn(self, message: str, **facts: Any) -> None:
        """Say that something is degraded."""
        self._write("warn", message, facts)

    def error(self, message: str, **facts: Any) -> None:
        """Say what a person must see."""
        self._write("error", message, facts)

    def _write(self, level: str, message: str, facts: dict[str, Any]) -> None:
        if _LEVELS[level] < self._minimum:
            return
        line = {
            "level": _LEVELS[level],
            "time": int(time.time() * 1000),
            "service": "runner",
            "pid": os.getpid(),
        }
        text = json.dumps({**line, "msg": message, **facts}, default=str)
        try:
            os.write(_STDERR, text.encode() + b"\n")
        except OSError:
            # Whoever reads the log is gone; the work goes on.
            return
