"""Chunks inside of shards that are not here: the index of a shard is fetched, and of its chunks those that are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Protocol, TypeVar, final

import numpy as np
import numpy.typing as npt

from emasync.formats.chunk_places import broken_shard
from emasync.formats.precomputed.placement import chunk_ids, locate
from emasync.formats.precomputed.shard_index import minishard_span, parse_minishard_index
from emasync.formats.precomputed.sharding import Sharding
from emasync.formats.stored import ChunkTable
from emasync.formats.zarr.shard_file import inner_places
from emasync.formats.zarr.sharding import ShardLayout
from emasync.model.digest import Span
from emasync.model.grid import ChunkGrid
from emasync.volume.forking import begin_anew_after_fork
from emasync.volume.interface import ABSENT, NOT_DOWNLOADED, ChunkMap, ChunkPlaces, Numbers
from emasync.volume.lazy_files import LazyFiles
from emasync.volume.lazy_stream import LazyContent

FIRST_FILE: Final = 1 << 40
"""Numbers of shards begin here: an index has none of these."""

KEPT_TABLES: Final = 64
"""Indexes of shards that are kept parsed; their bytes are on disk anyway."""

T = TypeVar("T")

Places = npt.NDArray[np.int64]
"""A row a chunk: number of its shard, first byte, length; length 0 where it was left out."""


class ShardFinder(Protocol):
    """Where chunks lie in shards."""

    def path(self, shard: int) -> str:
        """Of a shard, relative to the root."""
        ...

    def find(self, numbers: Numbers, files: LazyFiles) -> Places:
        """Places of chunks, by what the shards tell; what is missing of their indexes is fetched, all at once.

        Raises
        ------
        FormatError
            An index is damaged.
        EmasyncError
            What kept it from coming, see :meth:`~emasync.volume.lazy_files.LazyFiles.need`.
        """
        ...


class _Kept(OrderedDict[object, object]):
    """The last few results, by what they were made of."""

    def of(self, key: object, make: Callable[[], T]) -> T:
        if key not in self:
            self[key] = make()
            if len(self) > KEPT_TABLES:
                self.popitem(last=False)
        found: T = self[key]  # type: ignore[assignment] # a key is always made the same way
        return found


@final
@dataclass(frozen=True)
class PlacedShards:
    """Shards that are named by their place (Zarr v3, ``sharding_indexed``).

    Attributes
    ----------
    folder : str
        That names of shards are below of, relative to the root.
    grid : ChunkGrid
        Of the shards.
    layout : ShardLayout
    cells : tuple of int
        Chunks of the array on each axis.
    """

    folder: str
    grid: ChunkGrid
    layout: ShardLayout
    cells: tuple[int, ...]

    @cached_property
    def _tables(self) -> _Kept:
        return _Kept()

    def path(self, shard: int) -> str:
        """See :class:`ShardFinder`."""
        return f"{self.folder}/{self.grid.destination(shard)}"

    def find(self, numbers: Numbers, files: LazyFiles) -> Places:
        """See :class:`ShardFinder`."""
        at = np.stack(np.unravel_index(numbers, self.cells))
        per_shard = np.array(self.layout.per_shard)[:, None]
        shards = np.ravel_multi_index(tuple(at // per_shard), self.grid.shape).astype(np.int64)
        inner = np.ravel_multi_index(tuple(at % per_shard), self.layout.per_shard)
        found = np.zeros((len(numbers), 3), np.int64)
        found[:, 0] = shards
        asked = np.unique(shards).tolist()
        self._have(asked, files)
        for shard in asked:
            if not files.is_absent(self.path(shard)):
                rows = np.flatnonzero(shards == shard)
                table = self._tables.of(shard, lambda shard=shard: self._table(shard, files))  # type: ignore[misc] # mypy 1808
                found[rows, 1], found[rows, 2] = table.starts.flat[inner[rows]], table.sizes.flat[inner[rows]]
        return found

    def _have(self, shards: Sequence[int], files: LazyFiles) -> None:
        """Fetch the indexes of all shards."""
        paths = [self.path(shard) for shard in shards if shard not in self._tables]
        files.look(paths)
        here = [path for path in paths if not files.is_absent(path)]
        files.need({path: (self._span(files.size_bytes(path)),) for path in here})

    def _span(self, size_bytes: int) -> Span:
        length = self.layout.index_bytes
        return Span(0, length) if self.layout.location == "start" else Span(max(0, size_bytes - length), size_bytes)

    def _table(self, shard: int, files: LazyFiles) -> ChunkTable:
        return inner_places(LazyContent(files, self.path(shard)), self.layout)


@final
@dataclass(frozen=True)
class HashedShards:
    """Shards that are named by what is in them (Neuroglancer precomputed).

    Attributes
    ----------
    folder : str
        Of the scale, relative to the root.
    sharding : Sharding
    grid : tuple of int
        Chunks of the whole scale on each axis, z, y, x.
    cells : tuple of int
        Chunks of the array on each axis; the last three are those of `grid`.
    start : tuple of int
        Chunk of the scale that the first one of the array is, z, y, x.
    """

    folder: str
    sharding: Sharding
    grid: tuple[int, int, int]
    cells: tuple[int, ...]
    start: tuple[int, int, int]

    @cached_property
    def _tables(self) -> _Kept:
        return _Kept()

    def path(self, shard: int) -> str:
        """See :class:`ShardFinder`."""
        return f"{self.folder}/{self.sharding.shard_name(shard)}"

    def find(self, numbers: Numbers, files: LazyFiles) -> Places:
        """See :class:`ShardFinder`."""
        cells = np.unravel_index(numbers, self.cells)[-3:]
        moved = [(cell + at).astype(np.uint64) for cell, at in zip(cells, self.start, strict=True)]
        ids = chunk_ids(moved, self.grid)
        shards, minishards = locate(self.sharding, ids)
        pairs, inverse = np.unique(np.stack([shards, minishards]), axis=1, return_inverse=True)
        spans = self._minishards([(int(shard), int(mini)) for shard, mini in pairs.T], files)
        found = np.zeros((len(numbers), 3), np.int64)
        found[:, 0] = shards
        for number, (shard, span) in enumerate(spans):
            if span is not None:
                rows = np.flatnonzero(inverse.reshape(-1) == number)
                found[rows, 1:] = self._places(shard, span, ids[rows], files)
        return found

    def _minishards(self, pairs: Sequence[tuple[int, int]], files: LazyFiles) -> list[tuple[int, Span | None]]:
        """Shard, and where the index of each minishard lies in it: their bytes are here then."""
        length = self.sharding.index_bytes
        paths = sorted({self.path(shard) for shard, _ in pairs})
        files.look(paths)
        files.need({path: (Span(0, length),) for path in paths if not files.is_absent(path)})
        heads = {path: files.read(path, 0, length) for path in paths if not files.is_absent(path)}
        found: list[tuple[int, Span | None]] = []
        wants: dict[str, list[Span]] = {}
        for shard, minishard in pairs:
            path = self.path(shard)
            span = minishard_span(path, heads[path], self.sharding, minishard) if path in heads else None
            found.append((shard, span))
            if span is not None:
                wants.setdefault(path, []).append(span)
        files.need(wants)
        return found

    def _places(self, shard: int, span: Span, ids: npt.NDArray[np.uint64], files: LazyFiles) -> Places:
        """First byte and length of some chunks of one minishard."""
        path = self.path(shard)
        index = self._tables.of(
            (shard, span),
            lambda: parse_minishard_index(path, files.read(path, span.start, span.size_bytes), self.sharding),
        )
        at = np.minimum(np.searchsorted(index.ids, ids), max(0, len(index.ids) - 1))
        there = index.ids[at] == ids if len(index.ids) else np.zeros(len(ids), np.bool_)
        places = np.stack([index.starts[at], index.sizes[at]], axis=1) if len(index.ids) else np.zeros((len(ids), 2))
        found = np.where(there[:, None], places, 0).astype(np.int64)
        if (found.sum(axis=1) > files.size_bytes(path)).any():
            raise broken_shard(path, f"a chunk lies beyond its {files.size_bytes(path)} bytes")
        return found


@final
class LazyShardMap:
    """A map of chunks in shards, which finds those of shards that are not here by asking the shards.

    Parameters
    ----------
    chunks : ChunkMap
        Of the index.
    shards : callable
        Makes the finder, when one is needed.
    files : LazyFiles
    """

    def __init__(self, chunks: ChunkMap, shards: Callable[[], ShardFinder], files: LazyFiles) -> None:
        self._chunks = chunks
        self._make = shards
        self._files = files
        self._finder: ShardFinder | None = None
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """A lock of one's own."""
        self._lock = threading.Lock()

    @property
    def kind(self) -> Literal["affine", "pages", "formula", "dense", "sparse"]:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self._chunks.kind

    def path(self, file: int) -> str:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self._chunks.path(file) if file < FIRST_FILE else self._shards().path(file - FIRST_FILE)

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`.

        Raises
        ------
        EmasyncError
            What kept the index of a shard from coming.
        """
        places = self._chunks.find(numbers)
        rows = np.flatnonzero(places.files == NOT_DOWNLOADED)
        if not len(rows):
            return places
        with self._lock:
            found = self._shards().find(numbers[rows], self._files)
        files, starts, sizes = places.files.copy(), places.starts.copy(), places.sizes.copy()
        files[rows] = np.where(found[:, 2] > 0, found[:, 0] + FIRST_FILE, ABSENT)
        starts[rows], sizes[rows] = found[:, 1], found[:, 2]
        return ChunkPlaces(files=files, starts=starts, sizes=sizes, skipped=places.skipped)

    def _shards(self) -> ShardFinder:
        if self._finder is None:
            self._finder = self._make()
        return self._finder
