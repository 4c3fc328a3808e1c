# SPDX-License-Identifier: Apache-2.0
"""The journal: what was started and how it ended, on disk before anybody is told (PROTOCOL C1)."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from .log import Log
from .proto_json import PairId, format_id, parse_id

Entry = dict[str, Any]
"""A JournalEntry of the contract, in proto3 JSON."""

_COMPACT_AFTER_LINES = 2_000


class AttemptKey(NamedTuple):
    """An attempt at a task."""

    task: str
    attempt: PairId


class Journal:
    """An append-only file of JSON lines: "start" adds an entry, "end" gives it its outcome, "forget" drops it.

    A line that was cut off by a crash is passed over: nobody had been told of it yet.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._lines = 0
        self._unsynced = False
        self.entries: dict[AttemptKey, Entry] = {}
        self._replay()
        self._fd = -1
        self._compact()

    def started(self, key: AttemptKey, entry: Entry) -> None:
        """Note that an attempt is about to be started; counts once `sync` has returned."""
        self.entries[key] = entry
        self._append({"kind": "start", **_named(key), "entry": entry})

    def ended(self, key: AttemptKey, outcome: dict[str, Any]) -> None:
        """Note how an attempt ended; may be told once `sync` has returned."""
        self.entries[key]["outcome"] = outcome
        self._append({"kind": "end", **_named(key), "outcome": outcome})

    def forget(self, key: AttemptKey) -> None:
        """Drop an attempt. Needs no sync: a forgotten entry that comes back is reported once more, no worse."""
        if self.entries.pop(key, None) is None:
            return
        self._append({"kind": "forget", **_named(key)})
        if self._lines > _COMPACT_AFTER_LINES and self._lines > 10 * len(self.entries):
            self._compact()

    def fileno(self) -> int:
        """Return the file's descriptor, which forks must not keep."""
        return self._fd

    def close(self) -> None:
        """Sync and close the file."""
        os.fsync(self._fd)
        os.close(self._fd)

    def sync(self) -> None:
        """Bring what was noted to the disk: one call for everything of a turn."""
        if self._unsynced:
            os.fsync(self._fd)
            self._unsynced = False

    def _append(self, record: dict[str, Any]) -> None:
        data = (json.dumps(record, separators=(",", ":")) + "\n").encode()
        while data:
            data = data[os.write(self._fd, data) :]
        self._lines += 1
        self._unsynced = True

    def _replay(self) -> None:
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_bytes().split(b"\n"), start=1):
            if not line:
                continue
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                self._log.warn("a line of the journal is unreadable", line=number, err=str(error))

    def _apply(self, record: dict[str, Any]) -> None:
        key = AttemptKey(record["task"], parse_id(record["attempt"], "attempt"))
        match record["kind"]:
            case "start":
                self.entries[key] = record["entry"]
            case "end":
                self.entries[key]["outcome"] = record["outcome"]
            case "forget":
                self.entries.pop(key, None)

    def _compact(self) -> None:
        """Write the entries that count into a new file and put it in the old one's place."""
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._lines = fd, 0
        for key, entry in self.entries.items():
            self._append({"kind": "start", **_named(key), "entry": entry})
        os.fsync(fd)
        self._unsynced = False
        fresh.replace(self._path)
        _sync_directory(self._path.parent)


def _named(key: AttemptKey) -> dict[str, Any]:
    return {"task": key.task, "attempt": format_id(key.attempt)}


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    # Some file systems cannot sync a directory; the rename is then as durable as they make it.
    with contextlib.suppress(OSError):
        os.fsync(fd)
    os.close(fd)
