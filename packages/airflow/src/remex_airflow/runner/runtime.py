# SPDX-License-Identifier: Apache-2.0
"""What the runner asks of the thing that does the work, and what a run of it says at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Work:
    """One attempt's work, as its runtime needs it."""

    spec: dict[str, Any]
    airflow_api_url: str


@dataclass(frozen=True)
class Report:
    """How the work ended by itself, in the terms of the contract's Outcome."""

    kind: str
    reason: str = "UNSPECIFIED"
    exit_code: int | None = None
    signal: str = ""
    message: str = ""


class Runtime(Protocol):
    """Does work of one kind. The runner loads it once and forks for each piece of work."""

    name: str

    def versions(self) -> dict[str, str]:
        """Return the versions that it stands on, without loading it."""

    def load(self) -> None:
        """Import and prepare whatever each fork would need. Must leave no thread behind."""

    def can_run(self, spec: dict[str, Any]) -> bool:
        """Return whether the spec is for this runtime."""

    def log_path(self, spec: dict[str, Any]) -> str:
        """Return the absolute path that the work will log to; empty for none."""

    def run(self, work: Work) -> Report:
        """Do the work, in a child process of its own, and say how it ended."""
