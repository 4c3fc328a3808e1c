# SPDX-License-Identifier: Apache-2.0
"""The state directory: its lock, which falls only with the last process of an attempt's leaders (G1)."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

SOCKET_NAME = "runner.sock"
LOCK_NAME = "lock"
JOURNAL_NAME = "journal.jsonl"


class LockHeldError(Exception):
    """Another runner, or work that it left behind, still holds the state directory."""


class SharedFileSystemError(OSError):
    """The state directory is on a file system whose locks prove nothing."""


_SHARED_TYPES = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    ]
)
_MOUNTS = Path("/proc/self/mountinfo")


def is_shared(file_system: str) -> bool:
    """Return whether other hosts may use this type of file system, or nobody knows (PROTOCOL G1)."""
    local_fuse = "fuse.fuse-overlayfs"
    return file_system in _SHARED_TYPES or (file_system.startswith("fuse.") and file_system != local_fuse)


def type_of_mount(mountinfo: str, path: Path) -> str:
    """Return the type of the file system that a path is on, from the text of /proc/self/mountinfo."""
    longest, found = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].replace("\\040", " "))
        # Of two mounts on one point the later line is the one that is seen.
        if path.is_relative_to(point) and len(point.parts) >= longest:
            longest, found = len(point.parts), after.split(" ")[0]
    return found


class StateDirectory:
    """A directory that belongs to one runner at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock_fd = -1

    def take_lock(self, wait_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the lock, waiting for an older instance's work to end.

        The lock is one of the open file description: it stays as long as any process holds the
        descriptor, so taking it proves that nothing of an older instance runs.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_shared()
        self.lock_fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise LockHeldError(
                        f"{self.path / LOCK_NAME} is still held after {wait_s:.0f} s: another runner or work that it "
                        "left behind is running; end it, or use another --state-dir"
                    ) from None
                sleep(0.1)
            else:
                return

    def _refuse_shared(self) -> None:
        if not _MOUNTS.exists():
            # macOS: the type stays unknown.
            return
        kind = type_of_mount(_MOUNTS.read_text(), self.path.resolve())
        if is_shared(kind):
            raise SharedFileSystemError(
                f"{self.path} is on {kind}, where a lock does not prove that nothing else runs; "
                "give --state-dir a directory of a local disk"
            )

    def listen(self) -> socket.socket:
        """Listen for the agent on the socket of the directory. Needs the lock."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.remove_socket()
        # A Unix socket's path is limited to about 100 bytes; bound from inside, only its name counts.
        before = Path.cwd()
        os.chdir(self.path)
        old_mask = os.umask(0o177)
        try:
            listener.bind(SOCKET_NAME)
        finally:
            os.umask(old_mask)
            os.chdir(before)
        listener.listen(1)
        listener.setblocking(False)
        return listener

    def remove_socket(self) -> None:
        """Take the socket out of the directory, if it is there."""
        (self.path / SOCKET_NAME).unlink(missing_ok=True)

    @property
    def journal_path(self) -> Path:
        """Where the journal is kept."""
        return self.path / JOURNAL_NAME
