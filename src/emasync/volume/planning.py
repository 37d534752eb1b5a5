"""Which chunks boxes need, what of each goes where, and which bytes are read in one go. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final, NamedTuple

from emasync.model.geometry import Box
from emasync.volume.interface import WHOLE_FILE, ChunkPlaces

MOST_PIECES: Final = 1 << 14
"""Pieces of one plan: what a plan takes of memory does not grow with the boxes, some 10 MB."""


class Piece(NamedTuple):
    """A part of a chunk that goes into a block.

    Attributes
    ----------
    block : int
        Position among the boxes that were asked for.
    source, target : tuple of slice
        In the chunk, and in the block; both in the array's axis order.
    """

    block: int
    source: tuple[slice, ...]
    target: tuple[slice, ...]


Plan = dict[int, list[Piece]]
"""Chunk number → its pieces; each chunk once, whatever number of boxes it serves."""


_Stretch = tuple[int, slice, slice]
"""Part of one axis of a box that lies in one chunk: what it adds to the chunk's number, source, target."""


def _stretches(start: int, stop: int, chunk: int, step: int) -> list[_Stretch]:
    found = []
    low = start
    while low < stop:
        at = low // chunk
        first = at * chunk
        high = min(stop, first + chunk)
        found.append((at * step, slice(low - first, high - first), slice(low - start, high - start)))
        low = high
    return found


def pieces_of(block: int, box: Box, chunks: Sequence[int], grid: Sequence[int]) -> Iterator[tuple[int, Piece]]:
    """Chunks of one box, by number in the C order of the grid, with the part that each gives.

    Parameters
    ----------
    block : int
        What the pieces are to say.
    box : Box
        Inside of the array, voxels from its first one on disk.
    chunks, grid : sequence of int
        Shape of a chunk, and number of chunks, on each axis.
    """
    if not grid:
        yield 0, Piece(block, (), ())
        return
    steps = [prod(grid[axis + 1 :]) for axis in range(len(grid))]
    for cell in product(*map(_stretches, box.start, box.stop, chunks, steps)):
        numbers, source, target = zip(*cell, strict=True)
        yield sum(numbers), Piece(block, source, target)


def plan_of(boxes: Iterable[Box], chunks: Sequence[int], grid: Sequence[int]) -> Plan:
    """All chunks of several boxes; pieces name a box by its position."""
    plan: Plan = {}
    for block, box in enumerate(boxes):
        for number, piece in pieces_of(block, box, chunks, grid):
            plan.setdefault(number, []).append(piece)
    return plan


def _chunk_count(box: Box, chunks: Sequence[int]) -> int:
    count = 1
    for start, stop, chunk in zip(box.start, box.stop, chunks, strict=True):
        count *= max(0, -(-stop // chunk) - start // chunk)
    return count


def split(box: Box, chunks: Sequence[int], most: int = MOST_PIECES) -> Iterator[Box]:
    """Cut a box along chunk borders into boxes of at most `most` chunks, in C order."""
    count = _chunk_count(box, chunks)
    if count <= most:
        if count:
            yield box
        return
    for axis, chunk in enumerate(chunks):
        first, last = box.start[axis] // chunk, -(-box.stop[axis] // chunk)
        if last - first > 1:
            middle = (first + last) // 2 * chunk
            low, high = list(box.stop), list(box.start)
            low[axis] = high[axis] = middle
            yield from split(Box(box.start, tuple(low)), chunks, most)
            yield from split(Box(tuple(high), box.stop), chunks, most)
            return


def portions(boxes: Sequence[Box], chunks: Sequence[int], most: int = MOST_PIECES) -> Iterator[list[tuple[int, Box]]]:
    """Boxes, cut where they are large, in portions of at most `most` chunks: what is planned at one time."""
    portion: list[tuple[int, Box]] = []
    count = 0
    for number, box in enumerate(boxes):
        for part in split(box, chunks, most):
            more = _chunk_count(part, chunks)
            if portion and count + more > most:
                yield portion
                portion, count = [], 0
            portion.append((number, part))
            count += more
    if portion:
        yield portion


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSizes:
    """How reads are put together.

    Attributes
    ----------
    most_gap_bytes : int
        Bytes nobody wants that are read rather than starting another read.
    most_bytes : int
        Of one read, unless one chunk is larger.
    """

    most_gap_bytes: int
    most_bytes: int


LOCAL: Final = ReadSizes(most_gap_bytes=64 << 10, most_bytes=1 << 20)
"""Skipping 64 KiB costs a local disk what a read costs; more than 1 MiB at once leaves threads without work."""


class Read(NamedTuple):
    """Chunks that one read brings.

    Attributes
    ----------
    file : int
    start, size : int
        Bytes; the size is :data:`~emasync.volume.interface.WHOLE_FILE` where nobody knows it.
    rows : list of int
        Rows of the places, by start.
    """

    file: int
    start: int
    size: int
    rows: list[int]


def coalesce(places: ChunkPlaces, rows: Iterable[int], sizes: ReadSizes) -> list[Read]:
    """Put chunks together that lie near each other, in the order of file and offset.

    Parameters
    ----------
    places : ChunkPlaces
    rows : iterable of int
        Those to be read; all have a file.
    sizes : ReadSizes
    """
    files, starts, lengths = (column.tolist() for column in (places.files, places.starts, places.sizes))
    reads: list[Read] = []
    for row in sorted(rows, key=lambda row: (files[row], starts[row])):
        alone = Read(files[row], starts[row], lengths[row], [row])
        joined = _joined(reads[-1], alone, sizes) if reads else None
        if joined is None:
            reads.append(alone)
        else:
            reads[-1] = joined
    return reads


def _joined(one: Read, other: Read, sizes: ReadSizes) -> Read | None:
    """Both reads as one; None where two are better. `other` begins later, or where `one` does."""
    if one.file != other.file or WHOLE_FILE in (one.size, other.size):
        return None
    size = max(one.start + one.size, other.start + other.size) - one.start
    if other.start - (one.start + one.size) > sizes.most_gap_bytes or size > sizes.most_bytes:
        return None
    one.rows.extend(other.rows)
    return Read(one.file, one.start, size, one.rows)
