"""Whole arrays out of their chunks: what an index and a reader do, in its plainest form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import decoder_for, layout_of, layout_of_stored
from emasync.formats.fill_values import fill_voxel
from emasync.formats.interface import ArrayDescription
from emasync.formats.stored import StoredArray
from emasync.formats.zarr.shard_file import inner_places
from emasync.formats.zarr.sharding import shard_layout
from emasync.model.grid import ChunkGrid, VoxelGrid

Cell = tuple[int, ...]
Chunks = Iterator[tuple[Cell, str, bytes, int]]
"""Cell, name, bytes, codecs it went without."""


class FileBytes:
    """A file as :class:`~emasync.formats.stored.ByteSource`."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._data = path.read_bytes()
        self.size_bytes = len(self._data)

    def read(self, offset: int, size_bytes: int) -> bytes:
        return self._data[offset : offset + size_bytes]


def assemble(shape: tuple[int, ...], layout: ChunkLayout, chunks: Chunks) -> Any:
    """All voxels; chunks that are not given have the fill value."""
    whole = np.full(shape, fill_voxel(layout), layout.dtype)
    decoder = decoder_for(layout)
    for cell, name, data, skipped in chunks:
        starts = [at * size for at, size in zip(cell, layout.chunks, strict=True)]
        inside = tuple(min(size, most - start) for size, most, start in zip(layout.chunks, shape, starts, strict=True))
        out = np.empty(layout.chunks, layout.dtype)
        found = decoder.decode(name, data, inside, skipped=skipped, out=out)
        assert found.dtype == np.dtype(layout.dtype)
        place = tuple(slice(start, start + size) for start, size in zip(starts, inside, strict=True))
        whole[place] = found[tuple(map(slice, inside))]
        again = decoder.decode(name, data, inside, skipped=skipped)
        assert np.array_equal(again, found, equal_nan=found.dtype.kind in "fc")
    return whole


def of_tree(folder: Path, array: ArrayDescription, documents: Mapping[str, bytes] | None = None) -> Any:
    """An array that is a tree of objects on disk."""
    layout = layout_of(array, documents)
    return assemble(array.shape, layout, _objects(folder, array))


def _objects(folder: Path, array: ArrayDescription) -> Chunks:
    grid = grid_of_array(array)
    for number in range(len(grid)):
        path = folder / grid.key(number)
        cell = grid.coordinates(number)
        if path.is_file() and array.inner_chunks is None:
            yield (0,) * (len(array.shape) - len(cell)) + cell, grid.key(number), path.read_bytes(), 0
        elif path.is_file():
            yield from _inner(array, path, cell)


def _inner(array: ArrayDescription, path: Path, shard: Cell) -> Chunks:
    layout = shard_layout(array)
    file = FileBytes(path)
    table = inner_places(file, layout)
    for cell in product(*map(range, layout.per_shard)):
        at = tuple(outer * count + inner for outer, count, inner in zip(shard, layout.per_shard, cell, strict=True))
        inside = all(part * size < most for part, size, most in zip(at, layout.inner, array.shape, strict=True))
        if inside and table.sizes[cell]:
            yield at, f"{path.name}{list(cell)}", file.read(int(table.starts[cell]), int(table.sizes[cell])), 0


def grid_of_array(array: ArrayDescription) -> ChunkGrid:
    prefix = f"{array.path}/" if array.path else ""
    start = (0,) * len(array.shape)
    if array.encoding == "voxels":
        lead = len(array.shape) - 3
        return VoxelGrid(
            start=start[lead:],
            shape=array.grid_shape[lead:],
            prefix=prefix,
            chunk=array.chunks[lead:],
            origin=(array.origin or start)[lead:],
            size=array.shape[lead:],
        )
    return ChunkGrid(
        start=start, shape=array.grid_shape, prefix=prefix, encoding=array.encoding, separator=array.separator
    )


def of_file(path: Path, array: StoredArray) -> Any:
    """An array that is inside of a file."""
    layout = layout_of_stored(array)
    return assemble(array.shape, layout, _stored(FileBytes(path), array))


def _stored(file: FileBytes, array: StoredArray) -> Chunks:
    if array.whole is not None:
        yield (0,) * len(array.shape), file.name, file.read(array.whole.start, array.whole.size_bytes), 0
        return
    table = array.table
    assert table is not None
    for cell in np.ndindex(table.starts.shape):
        if size := int(table.sizes[cell]):
            skipped = 0 if table.skipped is None else int(table.skipped[cell])
            yield cell, f"{file.name}{list(cell)}", file.read(int(table.starts[cell]), size), skipped


def voxels(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    """Smooth numbers with noise, of any type; some are zero."""
    random = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(shape[0]) * 3.0, random.integers(0, 40, shape[1:])) if shape else np.float64(7)
    numbers = np.where(random.random(shape) < 0.2, 0, ramp)
    return (numbers % 2).astype(dtype) if dtype.endswith("b1") else numbers.astype(dtype)


def digest(voxels: Any) -> str:
    """As ``TRUTH.json`` has it: C order, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(voxels.astype(voxels.dtype.newbyteorder("<"))).tobytes()).hexdigest()


def tensorstore_open(folder: Path, spec: dict[str, Any]) -> Any:
    import tensorstore

    kvstore = {"driver": "file", "path": f"{folder}/"}
    return tensorstore.open({**spec, "kvstore": kvstore, "create": True}).result()


@cache
def truth(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "TRUTH.json").read_bytes())
    return loaded
