# SPDX-License-Identifier: Apache-2.0
"""Finds and signals every process of an attempt, whatever its group, session or parent (PROTOCOL G1)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")

# Loaded before any fork: the dynamic linker's locks must not be needed in a child.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def cookie_variables(task: str, attempt: str) -> dict[str, str]:
    """Return the variables that every descendant inherits, and by which a task knows its attempt (G2)."""
    return {"REMEX_TASK": task, "REMEX_ATTEMPT": attempt}


def become_subreaper() -> None:
    """Make orphans among the descendants come to this process."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent, `parent`, ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # The parent was gone before the kernel was told.
        os._exit(1)


def descendants(root: int) -> set[int]:
    """Return the living processes below `root`, without it. Orphans count if `root` is a subreaper."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent in _parents():
        children[parent].append(pid)
    found: set[int] = set()
    stack = [root]
    while stack:
        for pid in children[stack.pop()]:
            if pid not in found:
                found.add(pid)
                stack.append(pid)
    return found


def carriers(task: str, attempt: str) -> set[int]:
    """Return the processes whose environment carries the attempt's cookie."""
    wanted = {f"{name}={value}".encode() for name, value in cookie_variables(task, attempt).items()}
    found = set()
    for pid in _pids():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            # It ended meanwhile, or belongs to another user and cannot be ended by us.
            continue
        if wanted <= set(environment.split(b"\0")):
            found.add(pid)
    return found


def send(pids: set[int], number: signal.Signals) -> None:
    """Signal processes; those that are gone, or another user's, are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _parents() -> list[tuple[int, int]]:
    found = []
    for pid in _pids():
        try:
            stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            continue
        # The program's name stands in parentheses and may hold anything, spaces and parentheses too.
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        if state not in ("Z", "X"):
            found.append((pid, int(parent)))
    return found


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - a hot loop
    except OSError:
        # macOS has no /proc: there only process groups are stopped.
        return []
