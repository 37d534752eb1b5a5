"""One plan at work: chunks taken from the cache, or read, decoded, and put where they belong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from typing_extensions import Buffer

from emasync.errors import FormatError
from emasync.volume.absence import require_here
from emasync.volume.cache import Flight, Voxels, of_its_own
from emasync.volume.checking import MOST_CHECKED_BYTES, require_crc
from emasync.volume.copying import put
from emasync.volume.interface import ABSENT, WHOLE_FILE
from emasync.volume.planning import Plan, Read, coalesce
from emasync.volume.uncompressed import Patch, is_uncompressed, patch_of

if TYPE_CHECKING:
    from emasync.volume.reading import DirectEngine


class Stored(NamedTuple):
    """A chunk as it lies on disk.

    Attributes
    ----------
    row : int
        Of the places.
    path : str
    start : int
        Byte in the file.
    data : memoryview
    """

    row: int
    path: str
    start: int
    data: memoryview


@final
class Filling:
    """Puts the chunks of one plan into blocks.

    Parameters
    ----------
    engine : DirectEngine
    plan : Plan
    targets : list of ndarray
        Of the plan's blocks.
    gone_on : callable
        Called before each chunk; what it raises ends the work.
    """

    def __init__(self, engine: DirectEngine, plan: Plan, targets: list[Voxels], gone_on: Callable[[], None]) -> None:
        self._engine = engine
        self._targets = targets
        self._gone_on = gone_on
        self._numbers = sorted(plan)
        self._pieces = [plan[number] for number in self._numbers]
        self._places = engine.array.chunks.find(np.array(self._numbers, np.int64))
        self._own: set[int] = set()  # rows that other threads may wait for

    def run(self) -> None:
        """Do it.

        Raises
        ------
        NotDownloaded, FormatError, IntegrityError
            As :meth:`~emasync.volume.reading.BlockEngine.fill`.
        """
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
            put(self._target(block, target), voxels[source])

    def _target(self, block: int, part: tuple[slice, ...]) -> Voxels:
        return self._targets[block][part] if part else self._targets[block]  # one voxel without axes is no array

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
            self._read_one(reads.pop())
        if engine.threads_pay:
            engine.threads.run(self._fetch, self._decode, reads, waits=engine.slow)
            return
        for read in reads:
            self._read_one(read)

    def _read_one(self, read: Read) -> None:
        for stored in self._fetch(read):
            self._decode(stored)

    def _fetch(self, read: Read) -> Iterator[Stored]:
        """Read some chunks that lie together."""
        engine, places = self._engine, self._places
        path = engine.array.chunks.path(read.file)
        began_s = time.perf_counter()
        data = memoryview(engine.files.read(path, read.start, read.size))
        engine.note_read(time.perf_counter() - began_s)
        for row in read.rows:
            start, size = int(places.starts[row]), int(places.sizes[row])
            own = data if size == WHOLE_FILE else data[start - read.start : start - read.start + size]
            yield Stored(row, path, start, own)

    def _decode(self, stored: Stored) -> None:
        """Decode a chunk and hand it out."""
        self._gone_on()
        began_s = time.thread_time()
        self._hand_out(stored.row, self._decoded(stored))
        self._engine.note_chunk(time.thread_time() - began_s)

    def _decoded(self, stored: Stored) -> Voxels:
        engine, (row, path, start, data) = self._engine, stored
        self._check(row, path, start, data)
        skipped = self._places.skipped
        return engine.decoder.decode(
            path if not start else f"{path}, byte {start}",
            data,
            engine.inside(self._numbers[row]),
            skipped=0 if skipped is None else int(skipped[row]),
            out=engine.room(),
            planes=None if engine.cache.limit_bytes else self._planes(row),
        )

    def _planes(self, row: int) -> range | None:
        """What is wanted of a chunk along its first axis."""
        wanted = [source[0] for _, source, _ in self._pieces[row] if source]
        return range(min(one.start for one in wanted), max(one.stop for one in wanted)) if wanted else None

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
            put(self._target(block, target), engine.patch(path, start + patch.first, patch))


def _too_short(path: str, start: int, size: int, patch: Patch) -> FormatError:
    return FormatError(
        f"{path}: the chunk at byte {start} has {size} bytes, {patch.first + patch.span} or more were expected; its "
        "metadata speaks of another array",
        location=path,
    )
