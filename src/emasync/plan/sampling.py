"""Boxes that hold data: drawn again, with a bound, until enough of the chunks looked at are more than fill value.

A chunk holds data when it exists and its voxels are not all zero or fill value. At most 27 chunks of a box are looked
at, spread over it, at the level that the box is counted in: so a seed finds the same box as long as the publisher
changes nothing. A box that was found once is kept beside the dataset, and not looked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from typing import Final, NamedTuple

import numpy as np

from emasync.errors import AccessDeniedError, ErrorKind, NotFoundError, SourceError
from emasync.formats.chunk_places import broken_shard
from emasync.formats.compression import decompress
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError, TellsContent
from emasync.formats.interface import ArrayDescription, Format
from emasync.manifest.crop import DrawnCrop
from emasync.model.digest import Span
from emasync.model.geometry import Box
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location
from emasync.model.packing import unpack_validator
from emasync.model.slices import Packing
from emasync.plan.boxes import place_name
from emasync.plan.choice import Choice
from emasync.plan.choose import Picked, at_box, drawn_boxes, reference_array
from emasync.plan.draw import Draw
from emasync.plan.indexes import Indexes, require_same, side_by_side
from emasync.plan.select import Chosen, select_array
from emasync.plan.sharded import shards_at_once, wanted_shards
from emasync.plan.shards import shard_reader
from emasync.plan.spread import chunk_shape, chunk_voxels, spread
from emasync.sources.interface import Tree
from emasync.transport.interface import Fetcher

MAX_DRAWS: Final = 64
"""Boxes; with 27 chunks each that is 1,728 requests, beside those for the indexes of shards."""

MAX_SAMPLED_BYTES: Final = 4 << 30
"""Of all boxes drawn for one image; the box that this is passed in is looked at to its end."""

MAX_CHUNK_BYTES: Final = 256 << 20
"""Of voxels; a larger chunk is not fetched and decoded only to see whether it is empty."""

CHUNKS_AT_ONCE: Final = 8
BYTES_AT_ONCE: Final = 64 << 20

SLACK_BYTES: Final = 64 << 10
"""What a chunk may be longer than its voxels: headers, and what does not compress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What chunks are looked at with.

    Attributes
    ----------
    tree : Tree
    form : Format
    fetcher : Fetcher
    indexes : Indexes
        Keeps those of the box that is taken in the end, and tells what is missing from what is denied.
    """

    tree: Tree
    form: Format
    fetcher: Fetcher
    indexes: Indexes


class Sample(NamedTuple):
    """A chunk that may be there: its number, and where its bytes lie. Of a slice: the version of its object, packed."""

    number: int
    place: Location
    span: Span | None = None
    validator: bytes | None = None
    packing: Packing = "raw"


async def draw_with_data(
    picked: Sequence[Picked], choice: Choice, kept: Callable[[Picked], tuple[Box, Draw] | None], look: Look
) -> tuple[Picked, ...]:
    """Replace the box of each image by the first one drawn that holds enough data.

    Parameters
    ----------
    picked : sequence of Picked
    choice : Choice
        Its crop is drawn, and has ``min_nonzero``.
    kept : callable
        Gives the box that an earlier plan of this very choice has found.
    look : Look

    Raises
    ------
    SourceError
        ``no_data``: no box holds enough. ``not_built``: nothing here looks into these chunks.
    FormatError
        A chunk or an index is broken.
    TransportError
        As :meth:`~emasync.transport.interface.Fetcher.read`.
    """
    found = []
    for item in picked:
        box, draw = kept(item) or await _first_with_data(item, choice, look)
        found.append(at_box(item, choice, box, draw))
    return tuple(found)


async def _first_with_data(item: Picked, choice: Choice, look: Look) -> tuple[Box, Draw]:
    crop, array = choice.crop, reference_array(item)
    if not isinstance(crop, DrawnCrop) or crop.min_nonzero is None:
        raise AssertionError(f"{choice.dataset} draws no box that must hold data")
    looker = _Looker(look, _content_test(item, array, look.form))
    tried: dict[Box, Draw] = {}
    for number, box in enumerate(islice(drawn_boxes(array, crop), MAX_DRAWS), 1):
        if box in tried:
            continue
        sampled, nonzero = await looker.count(select_array(array, box=box, select=choice.select))
        draw = tried[box] = Draw(draws=number, sampled=sampled, nonzero=nonzero)
        if draw.share >= crop.min_nonzero:
            return box, draw
        if looker.fetched_bytes > MAX_SAMPLED_BYTES:
            break
    raise _no_data(array, crop.min_nonzero, tried)


def _content_test(item: Picked, array: ArrayDescription, form: Format) -> ContentTest:
    documents = {**(item.image.documents if item.image is not None else {}), **array.documents}
    try:
        if not isinstance(form, TellsContent):
            raise NoDecoderError(f"nothing here decodes chunks of the format {form.name}")  # noqa: TRY301 - one place says what to do
        return form.content_test(array, documents)
    except NoDecoderError as error:
        raise SourceError(
            f"{place_name(array.path)}: min_nonzero looks into chunks, which cannot be decoded: {error.message}; leave "
            "min_nonzero out, or write the box as start and shape",
            kind=error.kind,
            location=array.path,
        ) from error


def _no_data(array: ArrayDescription, wanted: float, tried: dict[Box, Draw]) -> SourceError:
    best = max(tried, key=lambda box: tried[box].share)
    draw = tried[best]
    return SourceError(
        f"{place_name(array.path)}: none of {len(tried)} different boxes drawn holds data in {wanted:.0%} of "
        f"the chunks looked at; the best, number {draw.draws} at {list(best.start)} (z, y, x), in "
        f"{draw.nonzero} of {draw.sampled}. Lower min_nonzero, draw inside another within, or write the box as start "
        "and shape",
        kind=ErrorKind.NO_DATA,
        location=array.path,
    )


@dataclass(slots=True)
class _Looker:
    """Looks at boxes of one array, and counts what it fetches."""

    look: Look
    test: ContentTest
    fetched_bytes: int = 0

    async def count(self, chosen: Chosen) -> tuple[int, int]:
        """How many chunks of a box are looked at, and how many of them hold data."""
        numbers, grid, array = spread(chosen), chosen.grid, chosen.array
        if grid is None:
            return 0, 0
        shape = chunk_shape(chosen)
        size_bytes = prod(shape) * (array.itemsize_bytes or 1)
        if size_bytes > MAX_CHUNK_BYTES:
            raise SourceError(
                f"{place_name(array.path)}: its chunks have {size_bytes:,} bytes of voxels; up to {MAX_CHUNK_BYTES:,} "
                "are fetched to see whether one holds data. Leave min_nonzero out",
                location=array.path,
            )
        samples = await self._samples(chosen, grid, numbers)
        slots = asyncio.Semaphore(max(1, min(CHUNKS_AT_ONCE, BYTES_AT_ONCE // size_bytes)))
        answers = await side_by_side([self._holds_data(sample, chosen, slots) for sample in samples])
        return len(numbers), sum(answers)

    async def _samples(self, chosen: Chosen, grid: ChunkGrid, numbers: Sequence[int]) -> list[Sample]:
        """Where their bytes lie; without those that an index says are not there."""
        if not chosen.unsharded:
            return [Sample(number, self.look.tree.base.join(grid.key(number))) for number in numbers]
        base = self.look.tree.base.join(chosen.array.path)
        reader = shard_reader(chosen, base, self.look.indexes)
        shards = list(wanted_shards(reader, np.array(numbers, dtype=np.uint64)))
        found, at_once = list[Sample](), shards_at_once(reader)
        for start in range(0, len(shards), at_once):
            for slices in await side_by_side([reader.find(shard) for shard in shards[start : start + at_once]]):
                place, seen = base.join(slices.shard), slices.validator
                found += [Sample(number, place, span, seen, reader.packing) for number, span in slices.rows()]
        return found

    async def _holds_data(self, sample: Sample, chosen: Chosen, slots: asyncio.Semaphore) -> bool:
        shape = chunk_voxels(chosen, sample.number)
        limit_bytes = 2 * prod(shape) * (chosen.array.itemsize_bytes or 1) + SLACK_BYTES
        async with slots:
            data = await self._read(sample, limit_bytes)
            if data is None:
                return False
            self.fetched_bytes += len(data)
            name = str(sample.place) if sample.span is None else f"{sample.place}, byte {sample.span.start}"
            chunk = ChunkBytes(name, shape, data)
            return await asyncio.to_thread(_test, self.test, chunk, sample.packing, limit_bytes)

    async def _read(self, sample: Sample, limit_bytes: int) -> bytes | None:
        """Bytes of a chunk; None where there is none."""
        if sample.span is not None and sample.span.size_bytes > limit_bytes:
            raise broken_shard(
                str(sample.place), f"a chunk has {sample.span.size_bytes:,} bytes at byte {sample.span.start}"
            )
        try:
            answer = await self.look.fetcher.read(sample.place, span=sample.span, limit_bytes=limit_bytes)
        except (NotFoundError, AccessDeniedError) as error:
            if not await self.look.indexes.says_missing(sample.place, error):
                raise
            return None
        if sample.span is not None:
            require_same(sample.place, answer.head.validator, unpack_validator(sample.validator))
        return answer.data


def _test(test: ContentTest, chunk: ChunkBytes, packing: Packing, limit_bytes: int) -> bool:
    if packing == "raw":
        return test(chunk)
    try:
        return test(replace(chunk, data=decompress(packing, chunk.data, limit_bytes)))
    except ValueError as error:
        raise broken_shard(chunk.name, f"the chunk {error}") from error
