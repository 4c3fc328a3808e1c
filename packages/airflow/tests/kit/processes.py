# SPDX-License-Identifier: Apache-2.0
"""Looks at the processes of this machine from outside."""

from __future__ import annotations

from pathlib import Path


def living(marker: str) -> list[int]:
    """Return processes whose command line holds the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in line:
                found.append(int(entry.name))
    return found
