"""A dataset's folder on disk: documents, names, bytes of files. Confined to the root; nothing outside is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emasync.disk.interface import Sink
from emasync.errors import EmasyncError
from emasync.formats.json_document import MAX_CONSOLIDATED_BYTES
from emasync.formats.paths import join

MAX_NAMES: Final = 1_000_000
"""In one folder; more are chunks that no metadata tells of."""


@dataclass(frozen=True, slots=True)
class Names:
    """One level of a tree; links are in neither."""

    folders: tuple[str, ...]
    objects: tuple[str, ...]


class LocalTree:
    """Files below one folder of the root.

    Parameters
    ----------
    root : Path
    sink : Sink
        Reads; follows no link.
    folder : str
        Relative to the root.
    """

    def __init__(self, root: Path, sink: Sink, folder: str) -> None:
        self._root = root
        self._sink = sink
        self.folder = folder

    def below(self, path: str) -> LocalTree:
        """The tree at `path`."""
        return LocalTree(self._root, self._sink, join(self.folder, path))

    def document(self, path: str, limit_bytes: int = MAX_CONSOLIDATED_BYTES) -> bytes | None:
        """A file, whole; None where there is none, or a longer one."""
        place = join(self.folder, path)
        try:
            facts = self._sink.stat(place)
            if facts is None or facts.size_bytes > limit_bytes:
                return None
            return self._sink.read_final(place, 0, facts.size_bytes)
        except EmasyncError:
            return None

    def names(self, path: str = "") -> Names:
        """Names right below a folder, sorted; none where there is no folder."""
        place = join(self.folder, path)
        if not self._sink.has_folder(place):
            return Names((), ())
        folders, objects = [], []
        try:
            with os.scandir(self._root / place) as entries:
                for count, entry in enumerate(entries):
                    if count >= MAX_NAMES:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        objects.append(entry.name)
        except OSError:  # vanished, or not ours to read
            return Names((), ())
        return Names(tuple(sorted(folders)), tuple(sorted(objects)))

    def file(self, path: str) -> LocalFile | None:
        """A file to read parts of."""
        place = join(self.folder, path)
        try:
            facts = self._sink.stat(place)
        except EmasyncError:
            return None
        return None if facts is None else LocalFile(self._sink, place, facts.size_bytes, facts.mtime_ns)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file below the root (:class:`~emasync.formats.stored.ByteSource`).

    Attributes
    ----------
    sink : Sink
    name : str
        Relative to the root.
    size_bytes, mtime_ns : int
    """

    sink: Sink
    name: str
    size_bytes: int
    mtime_ns: int

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Up to `size_bytes` bytes at `offset`."""
        return self.sink.read_final(self.name, offset, max(0, min(size_bytes, self.size_bytes - offset)))
