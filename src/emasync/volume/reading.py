"""Boxes of one array out of its files: chunks found, read, decoded once, and put where they belong."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, Protocol, final

import numpy as np
from typing_extensions import Buffer

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkDecoder
from emasync.model.geometry import Box
from emasync.volume.absence import fill_of, inside_of, require_here
from emasync.volume.cache import ChunkCache, Flight, Voxels
from emasync.volume.checking import MOST_CHECKED_BYTES, Checks, require_crc
from emasync.volume.interface import ABSENT, WHOLE_FILE, FileReader, IndexedArray
from emasync.volume.planning import LOCAL, Plan, Read, ReadSizes, coalesce, plan_of, portions
from emasync.volume.stacks import MOST_BYTES, Stack, stack_of
from emasync.volume.threads import Threads
from emasync.volume.uncompressed import Patch, is_uncompressed, patch_of, stored_strides

WORTH_A_THREAD_S: Final = 100e-6
"""A chunk that is decoded faster than this costs more when two threads pass the interpreter to each other."""


SLOW_READ_S: Final = 2e-3
"""Reads that take longer on average wait for a disk or a network, not for the page cache: several wait at once."""

SPARSE: Final = 4
"""Bytes read for one that is wanted, beyond which uncompressed chunks are looked into as memory instead."""

SMALL_BYTES: Final = 64 << 10
"""Reading so much costs less than making memory out of a file."""

LARGE_BYTES: Final = 1 << 20
"""More is looked into as memory: a copy of it would be cold when it is copied again."""


def go_on() -> None:
    """Nobody has anything against it."""


class BlockFiles(FileReader, Protocol):
    """Files that blocks are read from."""

    def mapped(self, path: str, start: int, size_bytes: int) -> memoryview | mmap.mmap:
        """A file as memory, at least up to byte ``start + size_bytes``.

        Raises
        ------
        FormatError
            The file is shorter.
        NotDownloaded
            There is no such file.
        """
        ...


class BlockEngine(Protocol):
    """Boxes of one array into memory."""

    def fill(self, boxes: Sequence[Box], targets: Sequence[Voxels], gone_on: Callable[[], None] = go_on) -> None:
        """Put the voxels of each box into its target.

        Parameters
        ----------
        boxes : sequence of Box
            Inside of what is on disk; voxels from its first one, in the array's axis order.
        targets : sequence of ndarray
            One a box, of its shape, writable; strides and byte order as they are.
        gone_on : callable
            Called now and then; what it raises ends the work.

        Raises
        ------
        NotDownloaded
            A box needs a chunk that is not here.
        FormatError, IntegrityError
            Bytes are not what they must be; names file and offset.
        """
        ...


@final
class DirectEngine:
    """Reads chunks with this package's own index and decoders.

    Parameters
    ----------
    array : IndexedArray
    files : BlockFiles
    decoder : ChunkDecoder
    cache : ChunkCache
    threads : Threads
    check : bool
        Whether the CRC-32C of a chunk is compared the first time it is touched, where the index has one.
    sizes : ReadSizes
    """

    def __init__(
        self,
        array: IndexedArray,
        files: BlockFiles,
        decoder: ChunkDecoder,
        *,
        cache: ChunkCache,
        threads: Threads,
        check: bool = True,
        sizes: ReadSizes = LOCAL,
    ) -> None:
        self.array = array
        self.files = files
        self.decoder = decoder
        self.cache = cache
        self.threads = threads
        self.sizes = sizes
        self.checks = Checks(wanted=check)
        self.dtype = np.dtype(array.layout.dtype)
        self.fill_value = fill_of(array.layout)
        self.identity = object()
        self.chunk_s: float | None = None
        self.read_s = 0.0
        self._grid = array.grid_shape
        self._strides = stored_strides(array, 0) if array.layout.edges == "full" else None
        self._scratch = threading.local()

    def fill(self, boxes: Sequence[Box], targets: Sequence[Voxels], gone_on: Callable[[], None] = go_on) -> None:
        """Put the voxels of each box into its target; see :class:`BlockEngine`."""
        stack = self._stack
        if stack is not None and all(target.nbytes <= MOST_BYTES for target in targets):
            for box, target in zip(boxes, targets, strict=True):
                gone_on()
                self._look(stack, box, target)
            return
        chunks, grid = self.array.layout.chunks, self._grid
        for portion in portions(boxes, chunks):
            gone_on()
            plan = plan_of((box for _, box in portion), chunks, grid)
            views = [_part(targets[number], boxes[number], box) for number, box in portion]
            _Filling(self, plan, views, gone_on).run()

    @cached_property
    def _stack(self) -> Stack | None:
        return stack_of(self.array)

    def _look(self, stack: Stack, box: Box, target: Voxels) -> None:
        """Copy a box out of the file's memory."""
        if not box.empty:
            data = self.files.mapped(stack.path, stack.first(box), stack.span(box, self.dtype.itemsize))
            target[...] = stack.view(data, box, self.dtype)

    def note_chunk(self, chunk_s: float) -> None:
        """Remember what a chunk took its thread (not waiting for others): whether more threads pay depends on it."""
        self.chunk_s = chunk_s if self.chunk_s is None else self.chunk_s + (chunk_s - self.chunk_s) / 8

    def note_read(self, read_s: float) -> None:
        """Remember how long a read took on the clock."""
        self.read_s += (read_s - self.read_s) / 8

    @property
    def slow(self) -> bool:
        """Whether reads wait for the storage."""
        return self.read_s >= SLOW_READ_S

    def room(self) -> Voxels:
        """Memory for one decoded chunk: new where it is kept, else the thread's own."""
        if self.cache.limit_bytes:
            return np.empty(self.array.layout.chunks, self.dtype)
        room: Voxels | None = getattr(self._scratch, "room", None)
        if room is None:
            room = self._scratch.room = np.empty(self.array.layout.chunks, self.dtype)
        return room

    def strides(self, number: int) -> tuple[int, ...]:
        """Bytes from voxel to voxel of an uncompressed chunk."""
        return stored_strides(self.array, number) if self._strides is None else self._strides

    def patch(self, path: str, start: int, patch: Patch) -> Voxels:
        """Voxels of an uncompressed chunk, in a copy of the file's bytes or where they are."""
        if patch.span <= min(LARGE_BYTES, max(SMALL_BYTES, SPARSE * patch.dense)):
            return patch.view(self.files.read(path, start, patch.span), 0, self.dtype)
        return patch.view(self.files.mapped(path, start, patch.span), start, self.dtype)


def _part(target: Voxels, whole: Box, box: Box) -> Voxels:
    if box is whole:
        return target
    inner = box.moved([-low for low in whole.start])
    return target[tuple(map(slice, inner.start, inner.stop))]


class _Filling:
    """One plan at work: what it does not find in the cache it reads."""

    def __init__(self, engine: DirectEngine, plan: Plan, targets: list[Voxels], gone_on: Callable[[], None]) -> None:
        self._engine = engine
        self._targets = targets
        self._gone_on = gone_on
        self._numbers = sorted(plan)
        self._pieces = [plan[number] for number in self._numbers]
        self._places = engine.array.chunks.find(np.array(self._numbers, np.int64))
        self._own: set[int] = set()  # rows that other threads may wait for

    def run(self) -> None:
        engine, there = self._engine, self._there()
        if is_uncompressed(engine.array.layout):
            for row in there:
                self._gone_on()
                self._copy(row)
        elif engine.cache.limit_bytes:
            self._run_cached(there)
        else:
            self._read(there)

    def _there(self) -> Sequence[int]:
        """Rows of chunks that have bytes; those that were left out are done with this."""
        files = self._places.files
        require_here(self._engine.array, self._numbers, files)
        if files.min(initial=0) != ABSENT:
            return range(len(self._numbers))
        for row in np.flatnonzero(files == ABSENT).tolist():
            self._put(row, self._engine.fill_value)
        rows: list[int] = np.flatnonzero(files != ABSENT).tolist()
        return rows

    def _put(self, row: int, voxels: Voxels) -> None:
        """Give a chunk's voxels to all boxes that want some."""
        for block, source, target in self._pieces[row]:
            self._targets[block][target] = voxels[source]

    def _run_cached(self, rows: Sequence[int]) -> None:
        cache, awaited = self._engine.cache, list[tuple[int, Flight]]()
        try:
            for row in rows:
                self._own.add(row)  # before it is: an interrupt in between must leave nobody waiting
                found = cache.take(self._key(row))
                if found is None:
                    continue
                self._own.discard(row)
                if isinstance(found, Flight):
                    awaited.append((row, found))
                else:
                    self._put(row, found)
            self._read(sorted(self._own))
        finally:
            for row in self._own:
                cache.fail(self._key(row))
        for row, flight in awaited:
            voxels = flight.wait()
            if voxels is None:
                self._read([row])
            else:
                self._put(row, voxels)

    def _key(self, row: int) -> tuple[object, int]:
        return self._engine.identity, self._numbers[row]

    def _read(self, rows: Sequence[int]) -> None:
        """Read and decode chunks, by several threads where that pays."""
        engine = self._engine
        reads = coalesce(self._places, rows, engine.sizes)
        if reads and engine.chunk_s is None:
            self._decode(reads.pop())
        if len(reads) > 1 and (engine.slow or (engine.chunk_s or 0) >= WORTH_A_THREAD_S):
            engine.threads.run(self._decode, reads, waits=engine.slow)
            return
        for read in reads:
            self._decode(read)

    def _decode(self, read: Read) -> None:
        """Read some chunks that lie together, decode each and hand it out."""
        engine, places = self._engine, self._places
        path = engine.array.chunks.path(read.file)
        began_s = time.perf_counter()
        data = memoryview(engine.files.read(path, read.start, read.size))
        engine.note_read(time.perf_counter() - began_s)
        for row in read.rows:
            self._gone_on()
            began_s = time.thread_time()
            start, size = int(places.starts[row]), int(places.sizes[row])
            stored = data if size == WHOLE_FILE else data[start - read.start : start - read.start + size]
            self._hand_out(row, self._decoded(row, path, start, stored))
            engine.note_chunk(time.thread_time() - began_s)

    def _decoded(self, row: int, path: str, start: int, stored: memoryview) -> Voxels:
        engine, places, number = self._engine, self._places, self._numbers[row]
        self._check(row, path, start, stored)
        return engine.decoder.decode(
            path if not start else f"{path}, byte {start}",
            stored,
            inside_of(number, engine.array),
            skipped=0 if places.skipped is None else int(places.skipped[row]),
            out=engine.room(),
        )

    def _hand_out(self, row: int, voxels: Voxels) -> None:
        self._put(row, voxels)
        if self._engine.cache.limit_bytes:
            self._engine.cache.put(self._key(row), of_its_own(voxels))
            self._own.discard(row)

    def _due(self, row: int) -> int | None:
        """CRC-32C that the chunk is to be compared with; None where nobody knows it, or it was compared before."""
        known = self._places.crc32c
        return None if known is None or self._numbers[row] in self._engine.checks else int(known[row])

    def _check(self, row: int, path: str, start: int, stored: Buffer) -> None:
        expected = self._due(row)
        if expected is not None:
            require_crc(path, start, stored, expected)
            self._engine.checks.add(self._numbers[row])

    def _copy(self, row: int) -> None:
        """Hand out an uncompressed chunk, reading no more of it than is wanted."""
        engine = self._engine
        path = engine.array.chunks.path(int(self._places.files[row]))
        start, size = int(self._places.starts[row]), int(self._places.sizes[row])
        strides = engine.strides(self._numbers[row])
        if self._due(row) is not None and size <= MOST_CHECKED_BYTES:
            self._check(row, path, start, engine.files.read(path, start, size))
        for block, source, target in self._pieces[row]:
            patch = patch_of(source, strides, engine.dtype.itemsize)
            if size != WHOLE_FILE and patch.first + patch.span > size:
                raise _too_short(path, start, size, patch)
            self._targets[block][target] = engine.patch(path, start + patch.first, patch)


def of_its_own(voxels: Voxels) -> Voxels:
    """Voxels that keep no more memory alive than their own: a view of what was read does."""
    base: object = voxels
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    owned = isinstance(base, np.ndarray) and base.nbytes <= 2 * voxels.nbytes
    return voxels if owned else voxels.copy()


def _too_short(path: str, start: int, size: int, patch: Patch) -> FormatError:
    return FormatError(
        f"{path}: the chunk at byte {start} has {size} bytes, {patch.first + patch.span} or more were expected; its "
        "metadata speaks of another array",
        location=path,
    )
