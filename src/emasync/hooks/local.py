"""A dataset's folder on disk: documents, names, bytes of files. Confined to the root; nothing outside is opened."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emasync.disk.interface import Sink
from emasync.disk.spread import SpreadSink
from emasync.errors import EmasyncError
from emasync.formats.json_document import MAX_CONSOLIDATED_BYTES
from emasync.formats.paths import join

MAX_NAMES: Final = 1_000_000
"""In one folder; more are chunks that no metadata tells of."""


@dataclass(frozen=True, slots=True)
class Names:
    """One level of a tree; links are in neither, but for folders outside the root that data are laid into."""

    folders: tuple[str, ...]
    objects: tuple[str, ...]


class Own:
    """What of a folder is one dataset's.

    Parameters
    ----------
    folder : str
        Relative to the root.
    places : sequence of str or None
        As :attr:`emasync.hooks.interface.DatasetFacts.places`; None: all of it.
    """

    def __init__(self, folder: str, places: Sequence[str] | None) -> None:
        self._all, named = places is None, places or ()
        self._whole = frozenset(join(folder, place) for place in named if not place.endswith("/"))
        self._files = frozenset(join(folder, place[:-1]) for place in named if place.endswith("/"))
        self._above = frozenset(above for place in self._whole | self._files for above in _ancestors(place))

    def inside(self, place: str) -> bool:
        """Whether all that lies in a folder is the dataset's."""
        return self._all or place in self._whole or any(above in self._whole for above in _ancestors(place))

    def has_folder(self, place: str) -> bool:
        """Whether a folder, in one of which not all is, leads to some of it."""
        return place in self._whole or place in self._above or place in self._files

    def has_file(self, place: str) -> bool:
        """Whether a file in such a folder is the dataset's."""
        return place in self._whole or place.rpartition("/")[0] in self._files


def _ancestors(place: str) -> Iterator[str]:
    while place := place.rpartition("/")[0]:
        yield place


class LocalTree:
    """Files below one folder of the root.

    Parameters
    ----------
    root : Path
    sink : Sink
        Reads; follows no link.
    folder : str
        Relative to the root.
    own : Own, optional
        What of it is to be found; all of it by default.
    """

    def __init__(self, root: Path, sink: Sink, folder: str, own: Own | None = None) -> None:
        self._root = root
        self._own = own if own is not None else Own(folder, None)
        self._sink = sink
        self.folder = folder

    def below(self, path: str) -> LocalTree:
        """The tree at `path`."""
        return LocalTree(self._root, self._sink, join(self.folder, path), self._own)

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
                    if not _is_text(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False) or join(place, entry.name) in self._outlying():
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        objects.append(entry.name)
        except OSError:  # vanished, or not ours to read
            return Names((), ())
        if not self._own.inside(place):
            folders = [name for name in folders if self._own.has_folder(join(place, name))]
            objects = [name for name in objects if self._own.has_file(join(place, name))]
        return Names(tuple(sorted(folders)), tuple(sorted(objects)))

    def some_file(self, path: str) -> str | None:
        """Name of the first file that a folder gives, of maybe a million; None where there is none."""
        place = join(self.folder, path)
        if not self._sink.has_folder(place):
            return None
        try:
            with os.scandir(self._root / place) as entries:
                return next((entry.name for entry in entries if entry.is_file(follow_symlinks=False)), None)
        except OSError:  # vanished, or not ours to read
            return None

    def _outlying(self) -> Collection[str]:
        return self._sink.told.folders if isinstance(self._sink, SpreadSink) else ()

    def file(self, path: str) -> LocalFile | None:
        """A file to read parts of."""
        place = join(self.folder, path)
        try:
            facts = self._sink.stat(place)
        except EmasyncError:
            return None
        return None if facts is None else LocalFile(self._sink, place, facts.size_bytes, facts.mtime_ns)


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8: another one is none of ours, and no document can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
