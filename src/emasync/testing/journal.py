"""Kernel calls that write themselves down, for the disk whose history can be cut."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from typing_extensions import Buffer

from emasync.disk.system import System
from emasync.testing.powercut import ROOT, Base, Made, Moved, Operation, Removed, Sized, Synced, Wrote


class JournalingSystem(System):
    """Real kernel calls below one root, each written down after it happened. One call at a time.

    Parameters
    ----------
    root : Path
        Existing folder; what lies in it counts as durable.
    partial_folder : str
        Relative; within the state folder only this one is looked at.
    """

    def __init__(self, root: Path, partial_folder: str) -> None:
        super().__init__()
        self.base = Base()
        self.operations: list[Operation] = []
        self._lock = threading.RLock()
        self._nodes: dict[tuple[int, int], int] = {}
        self._next = ROOT
        self._number(root.stat())
        self._scan(root, ROOT, "", partial_folder)

    def _number(self, facts: os.stat_result) -> int:
        """A new node for an inode, whose number may have belonged to a file that is gone."""
        node = self._nodes[facts.st_dev, facts.st_ino] = self._next
        self._next += 1
        return node

    def _scan(self, folder: Path, node: int, path: str, partial_folder: str) -> None:
        for entry in sorted(folder.iterdir()):
            below = f"{path}/{entry.name}" if path else entry.name
            ours = path == partial_folder.rpartition("/")[0] and path != "" and below != partial_folder
            mode = entry.lstat().st_mode
            if ours or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                continue  # ledger and locks are not the sink's
            made = self._found(entry.lstat(), node, entry.name)
            if made.folder:
                self._scan(entry, made.node, below, partial_folder)
            else:
                self.base.content[made.node] = entry.read_bytes()

    def _found(self, facts: os.stat_result, parent: int, name: str) -> Made:
        made = Made(self._number(facts), parent, name, stat.S_ISDIR(facts.st_mode))
        self.base.made.append(made)
        return made

    def _node(self, facts: os.stat_result) -> int | None:
        return self._nodes.get((facts.st_dev, facts.st_ino))

    def _of(self, fd: int) -> int:
        node = self._node(os.fstat(fd))
        if node is None:
            raise LookupError(f"descriptor {fd} was not opened through the journal")
        return node

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        """As the kernel; a creation is written down."""
        with self._lock:
            fd = super().open(name, flags, dir_fd, mode)
            facts = os.fstat(fd)
            if flags & os.O_CREAT:
                self.operations.append(Made(self._number(facts), self._of(dir_fd), name, folder=False))
            elif self._node(facts) is None:  # made by somebody else since the scan
                made = self._found(facts, self._of(dir_fd), name)
                if stat.S_ISREG(facts.st_mode):
                    self.base.content[made.node] = os.pread(fd, facts.st_size, 0)
            return fd

    def mkdir(self, name: str, dir_fd: int) -> None:
        """As the kernel, written down."""
        with self._lock:
            super().mkdir(name, dir_fd)
            facts = super().stat(name, dir_fd)
            self.operations.append(Made(self._number(facts), self._of(dir_fd), name, folder=True))

    def unlink(self, name: str, dir_fd: int) -> None:
        """As the kernel, written down."""
        with self._lock:
            node = self._node(super().stat(name, dir_fd))
            super().unlink(name, dir_fd)
            if node is not None:
                self.operations.append(Removed(node, self._of(dir_fd), name))

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        """As the kernel; keeps a copy of the bytes."""
        with self._lock:
            count = super().pwrite(fd, data, offset)
            self.operations.append(Wrote(self._of(fd), offset, bytes(memoryview(data)[:count])))
            return count

    def truncate(self, fd: int, size_bytes: int) -> None:
        """As the kernel, written down."""
        with self._lock:
            super().truncate(fd, size_bytes)
            self.operations.append(Sized(self._of(fd), size_bytes))

    def fdatasync(self, fd: int) -> None:
        """Written down only: the simulated cut decides, not the real disk."""
        with self._lock:
            self.operations.append(Synced(self._of(fd)))

    def fsync(self, fd: int) -> None:
        """As :meth:`fdatasync`."""
        self.fdatasync(fd)

    def start_writeback(self, fd: int) -> None:
        """Nothing: what has begun to be written may be lost as well."""

    def syncfs(self, fd: int) -> None:  # noqa: ARG002  # there is one filesystem
        """Written down for every file; names are kept back: law 1 does not lean on them."""
        with self._lock:
            written = {item.node for item in self.operations if isinstance(item, Wrote | Sized)}
            self.operations.extend(Synced(node) for node in sorted(written))

    def filesystem_type(self, path: str) -> str:  # noqa: ARG002  # as above
        """A disk, wherever the real files lie: in memory nothing would be synced."""
        return "ext4"

    def kernel(self) -> tuple[str, str]:
        """One that knows every way to sync."""
        return "Linux", "6.1.0"

    def rename(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        """As the kernel, written down."""
        self._move(super().rename, old, old_fd, new, new_fd)

    def rename_exclusive(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        """As the kernel, written down."""
        self._move(super().rename_exclusive, old, old_fd, new, new_fd)

    def _move(self, call: Callable[[str, int, str, int], None], old: str, old_fd: int, new: str, new_fd: int) -> None:
        with self._lock:
            node = self._node(super().stat(old, old_fd))
            call(old, old_fd, new, new_fd)
            if node is not None:
                self.operations.append(Moved(node, self._of(old_fd), old, self._of(new_fd), new))
