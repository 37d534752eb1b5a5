"""Where chunks are: the ways in which an index keeps it, each a :class:`~emasync.volume.interface.ChunkMap`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from emasync.volume.index_columns import Columns
from emasync.volume.index_paths import FileTable
from emasync.volume.interface import ChunkPlaces, Numbers

_MOST_BYTES: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class AffineMap:
    """One piece that is the whole array.

    Attributes
    ----------
    files : FileTable
    file : int
    start : int
        First byte.
    size_bytes : int
    """

    files: FileTable
    file: int
    start: int
    size_bytes: int

    @property
    def kind(self) -> Literal["affine"]:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return "affine"

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`; there is one chunk."""
        count = len(numbers)
        return ChunkPlaces(
            files=np.full(count, self.file), starts=np.full(count, self.start), sizes=np.full(count, self.size_bytes)
        )

    def path(self, file: int) -> str:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self.files.path(file)


@dataclass(frozen=True, slots=True)
class RecordMap:
    """A record for each chunk of the grid, in C order.

    Attributes
    ----------
    columns : Columns
    files : FileTable
    first : int
        Number of the array's first record.
    kind : {"dense", "pages"}
        ``pages``: chunks are the planes of a stack, or strips of them.
    skipped, crc32c : int or None
        First row in the column of that name.
    """

    columns: Columns
    files: FileTable
    first: int
    kind: Literal["dense", "pages"] = "dense"
    skipped: int | None = None
    crc32c: int | None = None

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        pairs = self.columns.pairs().take(numbers + self.first, axis=0)
        where = pairs[:, 0]  # the file in the lower half, with its sign, and the size in the upper one, without
        return ChunkPlaces(
            files=where << 32 >> 32,
            starts=pairs[:, 1],
            sizes=where >> 32 & _MOST_BYTES,
            skipped=None if self.skipped is None else self.columns.get("skipped").take(numbers + self.skipped),
            crc32c=None if self.crc32c is None else self.columns.get("crc32c").take(numbers + self.crc32c),
        )

    def path(self, file: int) -> str:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self.files.path(file)


@dataclass(frozen=True, slots=True)
class SparseMap:
    """A record for each chunk that is there, found by its number; all others are in one state.

    Attributes
    ----------
    columns : Columns
    files : FileTable
    keys : int
        First row of the array's chunk numbers in ``keys``; they rise.
    first : int
        First record.
    count : int
        Chunks that have one.
    missing : int
        Mark of the others: :data:`~emasync.volume.interface.ABSENT` or one of its neighbours.
    skipped, crc32c : int or None
        As :class:`RecordMap`.
    """

    columns: Columns
    files: FileTable
    keys: int
    first: int
    count: int
    missing: int
    skipped: int | None = None
    crc32c: int | None = None

    @property
    def kind(self) -> Literal["sparse"]:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return "sparse"

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        keys = self.columns.get("keys")[self.keys : self.keys + self.count]
        at = np.searchsorted(keys, numbers.astype(np.uint64))
        at[at == self.count] = 0
        there = keys[at] == numbers.astype(np.uint64) if self.count else np.zeros(len(numbers), np.bool_)
        rows = np.where(there, at, 0)
        found = RecordMap(self.columns, self.files, self.first, "dense", self.skipped, self.crc32c)
        places = found.find(rows) if self.count else ChunkPlaces(files=rows, starts=rows, sizes=rows)
        return ChunkPlaces(
            files=np.where(there, places.files, self.missing),
            starts=np.where(there, places.starts, 0),
            sizes=np.where(there, places.sizes, 0),
            skipped=places.skipped,
            crc32c=places.crc32c,
        )

    def path(self, file: int) -> str:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self.files.path(file)
