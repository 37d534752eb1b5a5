"""Arrays of known voxels on disk, in several layouts, and volumes over them: only the index is in memory."""

from __future__ import annotations

import gzip
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from crc32c import crc32c

from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import decoder_for
from emasync.formats.json_document import Json
from emasync.formats.stored import Codec, Measure
from emasync.model.geometry import Box
from emasync.volume.cache import ChunkCache
from emasync.volume.files import LocalFiles
from emasync.volume.interface import WHOLE_FILE, ChunkPlaces, IndexedArray, Numbers
from emasync.volume.orientation import orient
from emasync.volume.reading import DirectEngine
from emasync.volume.threads import Threads
from emasync.volume.volume import Volume

Array = np.ndarray[Any, np.dtype[Any]]

GZIP = (Codec("gzip", {"level": 1}),)


@dataclass
class ListedMap:
    """Places in lists, one row a chunk."""

    names: list[str]
    files: list[int]
    starts: list[int]
    sizes: list[int]
    crcs: list[int] | None = None
    asked: list[int] = field(default_factory=list)
    kind: Literal["dense", "formula"] = "dense"

    def find(self, numbers: Numbers) -> ChunkPlaces:
        self.asked.append(len(numbers))
        crcs = None if self.crcs is None else np.array(self.crcs, np.uint32)[numbers]
        files, starts, sizes = (np.array(column, np.int64)[numbers] for column in (self.files, self.starts, self.sizes))
        return ChunkPlaces(files=files, starts=starts, sizes=sizes, crc32c=crcs)

    def path(self, file: int) -> str:
        return self.names[file]


class CountedFiles:
    """Files that tell what was read of them."""

    def __init__(self, root: str) -> None:
        self.files = LocalFiles(root)
        self.reads: list[tuple[str, int, int]] = []
        self.looks: list[tuple[str, int, int]] = []

    def read(self, path: str, start: int, size_bytes: int) -> bytes:
        self.reads.append((path, start, size_bytes))
        return self.files.read(path, start, size_bytes)

    def mapped(self, path: str, start: int, size_bytes: int) -> mmap.mmap:
        self.looks.append((path, start, size_bytes))
        return self.files.mapped(path, start, size_bytes)


def voxels(shape: Sequence[int], dtype: str = "<u2", seed: int = 1) -> Array:
    """Smooth in part, so that it can be compressed, and different everywhere."""
    random = np.random.default_rng(seed)
    ramp = np.arange(int(np.prod(shape))).reshape(shape)
    return ((ramp + random.integers(0, 50, shape)) % 60_000).astype(dtype)


def chunk_cells(data: Array, chunks: Sequence[int], edges: str) -> list[Array]:
    """Chunks in C order, as they are stored."""
    cells = []
    for at in product(*(range(-(-size // chunk)) for size, chunk in zip(data.shape, chunks, strict=True))):
        part = data[tuple(slice(cell * chunk, (cell + 1) * chunk) for cell, chunk in zip(at, chunks, strict=True))]
        if edges == "full":
            whole = np.zeros(chunks, data.dtype)
            whole[tuple(map(slice, part.shape))] = part
            part = whole
        cells.append(np.ascontiguousarray(part))
    return cells


@dataclass
class Stored:
    """An array on disk."""

    root: Path
    data: Array
    array: IndexedArray
    places: ListedMap
    opened: list[CountedFiles] = field(default_factory=list)

    def volume(
        self, *, cache_bytes: int = 0, threads: int = 1, check: bool = True, select: Mapping[str, int] | None = None
    ) -> Volume:
        files = CountedFiles(str(self.root))
        self.opened.append(files)
        engine = DirectEngine(
            self.array,
            files,
            decoder_for(self.array.layout),
            cache=ChunkCache(cache_bytes),
            threads=Threads(threads),
            check=check,
        )
        return Volume(self.array, engine, orient(self.array, select))

    @property
    def reads(self) -> list[tuple[str, int, int]]:
        """Of the volume that was opened last."""
        return self.opened[-1].reads

    @property
    def looks(self) -> list[tuple[str, int, int]]:
        """Into the memory of files, of the volume that was opened last."""
        return self.opened[-1].looks


def store(
    root: Path,
    data: Array,
    chunks: Sequence[int],
    *,
    axes: str = "zyx",
    codecs: tuple[Codec, ...] = GZIP,
    edges: Literal["full", "cut"] = "full",
    files: Literal["chunk", "one"] = "chunk",
    crcs: bool = False,
    origin: Sequence[int] | None = None,
    fill_value: Json = 0,
    measures: Sequence[Measure | None] | None = None,
) -> Stored:
    """Write `data` below `root`: a file a chunk, or all in one."""
    stored = [cell.tobytes() for cell in chunk_cells(data, chunks, edges)]
    if codecs:
        stored = [packed(codecs[0], one) for one in stored]
    names = [f"set/a/{number}" for number in range(len(stored))] if files == "chunk" else ["set/a/all"]
    (root / "set/a").mkdir(parents=True)
    if files == "chunk":
        for name, one in zip(names, stored, strict=True):
            (root / name).write_bytes(one)
        places = ListedMap(names, list(range(len(stored))), [0] * len(stored), [WHOLE_FILE] * len(stored))
    else:
        (root / "set/a/all").write_bytes(b"head" + b"".join(stored))
        sizes = [len(one) for one in stored]
        starts = [4 + sum(sizes[:number]) for number in range(len(sizes))]
        places = ListedMap(names, [0] * len(stored), starts, sizes)
    if crcs:
        places.crcs = [crc32c(one) for one in stored]
    start = tuple(origin or [0] * data.ndim)
    layout = ChunkLayout(chunks=tuple(chunks), dtype=data.dtype.str, codecs=codecs, edges=edges, fill_value=fill_value)
    array = IndexedArray(
        dataset="set",
        asset="",
        array="a",
        scale=0,
        path="a",
        format="zarr2",
        shape=data.shape,
        axes=tuple(axes),
        layout=layout,
        chunks=places,
        origin=start,
        bounds=Box.from_shape(start, data.shape),
        measures=tuple(measures or [None] * data.ndim),
    )
    return Stored(root, data, array, places)


def packed(codec: Codec, chunk: bytes) -> bytes:
    """By gzip, or by what numcodecs has under that name."""
    if codec == GZIP[0]:
        return gzip.compress(chunk, 1)
    from numcodecs import get_codec

    return bytes(get_codec({"id": codec.name, **codec.configuration}).encode(chunk))


def with_bounds(stored: Stored, start: Sequence[int], stop: Sequence[int]) -> Stored:
    """The same, where less was asked for than is on disk."""
    stored.array = replace(stored.array, bounds=Box(tuple(start), tuple(stop)))
    return stored
