"""One plan at work: chunks taken from the cache, or read, decoded, and put where they belong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, final

import numpy as np
from typing_extensions import Buffer

from emasync.errors import FormatError
from emasync.volume.absence import require_here
from emasync.volume.cache import Flight, Voxels, of_its_own
from emasync.volume.checking import MOST_CHECKED_BYTES, require_crc
from emasync.volume.chunk_reader import ChunkReader
from emasync.volume.copying import put
from emasync.volume.interface import ABSENT, WHOLE_FILE
from emasync.volume.planning import Plan, Read, coalesce
from emasync.volume.uncompressed import Patch, is_uncompressed, patch_of


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
    reader : ChunkReader
    plan : Plan
    targets : list of ndarray
        Of the plan's blocks.
    gone_on : callable
        Called before each chunk; what it raises ends the work.
    """

    def __init__(self, reader: ChunkReader, plan: Plan, targets: list[Voxels], gone_on: Callable[[], None]) -> None:
        self._reader = reader
        self._targets = targets
        self._gone_on = gone_on
        self._numbers = sorted(plan)
        self._pieces = [plan[number] for number in self._numbers]
        self._places = reader.array.chunks.find(np.array(self._numbers, np.int64))
        self._own: set[int] = set()  # rows that other threads may wait for

    def run(self) -> None:
        """Do it.

        Raises
        ------
        NotDownloaded, FormatError, IntegrityError
            As :meth:`~emasync.volume.reading.BlockEngine.fill`.
        """
        reader, there = self._reader, self._there()
        if is_uncompressed(reader.array.layout):
            for row in there:
                self._gone_on()
                self._copy(row)
        elif reader.cache.limit_bytes:
            self._run_cached(there)
        else:
            self._read(there)

    def _there(self) -> Sequence[int]:
        """Rows of chunks that have bytes; those that were left out are done with this."""
        files = self._places.files
        require_here(self._reader.array, self._numbers, files)
        if files.min(initial=0) != ABSENT:
            return range(len(self._numbers))
        for row in np.flatnonzero(files == ABSENT).tolist():
            self._put(row, self._reader.fill_value)
        rows: list[int] = np.flatnonzero(files != ABSENT).tolist()
        return rows

    def _put(self, row: int, voxels: Voxels) -> None:
        """Give a chunk's voxels to all boxes that want some."""
        for block, source, target in self._pieces[row]:
            put(self._target(block, target), voxels[source])

    def _target(self, block: int, part: tuple[slice, ...]) -> Voxels:
        return self._targets[block][part] if part else self._targets[block]  # one voxel without axes is no array

    def _run_cached(self, rows: Sequence[int]) -> None:
        cache, awaited = self._reader.cache, list[tuple[int, Flight]]()
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
        return self._reader.identity, self._numbers[row]

    def _read(self, rows: Sequence[int]) -> None:
        """Read and decode chunks, by several threads where that pays."""
        reader = self._reader
        reads = coalesce(self._places, rows, reader.sizes)
        if reads and reader.chunk_s is None:
            self._read_one(reads.pop())
        if reader.threads_pay:
            reader.threads.run(self._fetch, self._decode, reads, waits=reader.slow)
            return
        for read in reads:
            self._read_one(read)

    def _read_one(self, read: Read) -> None:
        for stored in self._fetch(read):
            self._decode(stored)

    def _fetch(self, read: Read) -> Iterator[Stored]:
        """Read some chunks that lie together."""
        reader, places = self._reader, self._places
        path = reader.array.chunks.path(read.file)
        began_s = time.perf_counter()
        data = memoryview(reader.files.read(path, read.start, read.size))
        reader.note_read(time.perf_counter() - began_s)
        for row in read.rows:
            start, size = int(places.starts[row]), int(places.sizes[row])
            own = data if size == WHOLE_FILE else data[start - read.start : start - read.start + size]
            yield Stored(row, path, start, own)

    def _decode(self, stored: Stored) -> None:
        """Decode a chunk and hand it out."""
        self._gone_on()
        began_s = time.thread_time()
        self._hand_out(stored.row, self._decoded(stored))
        self._reader.note_chunk(time.thread_time() - began_s)

    def _decoded(self, stored: Stored) -> Voxels:
        reader, (row, path, start, data) = self._reader, stored
        self._check(row, path, start, data)
        skipped = self._places.skipped
        return reader.decoder.decode(
            path if not start else f"{path}, byte {start}",
            data,
            reader.inside(self._numbers[row]),
            skipped=0 if skipped is None else int(skipped[row]),
            out=reader.room(),
            planes=None if reader.cache.limit_bytes else self._planes(row),
        )

    def _planes(self, row: int) -> range | None:
        """What is wanted of a chunk along its first axis."""
        wanted = [source[0] for _, source, _ in self._pieces[row] if source]
        return range(min(one.start for one in wanted), max(one.stop for one in wanted)) if wanted else None

    def _hand_out(self, row: int, voxels: Voxels) -> None:
        self._put(row, voxels)
        if self._reader.cache.limit_bytes:
            self._reader.cache.put(self._key(row), of_its_own(voxels))
            self._own.discard(row)

    def _due(self, row: int) -> int | None:
        """CRC-32C that the chunk is to be compared with; None where nobody knows it, or it was compared before."""
        known = self._places.crc32c
        return None if known is None or self._numbers[row] in self._reader.checks else int(known[row])

    def _check(self, row: int, path: str, start: int, stored: Buffer) -> None:
        expected = self._due(row)
        if expected is not None:
            require_crc(path, start, stored, expected)
            self._reader.checks.add(self._numbers[row])

    def _copy(self, row: int) -> None:
        """Hand out an uncompressed chunk, reading no more of it than is wanted."""
        reader = self._reader
        path = reader.array.chunks.path(int(self._places.files[row]))
        start, size = int(self._places.starts[row]), int(self._places.sizes[row])
        strides = reader.strides(self._numbers[row])
        if self._due(row) is not None and size <= MOST_CHECKED_BYTES:
            self._check(row, path, start, reader.files.read(path, start, size))
        for block, source, target in self._pieces[row]:
            patch = patch_of(source, strides, reader.dtype.itemsize)
            if size != WHOLE_FILE and patch.first + patch.span > size:
                raise _too_short(path, start, size, patch)
            put(self._target(block, target), reader.patch(path, start + patch.first, patch))


def _too_short(path: str, start: int, size: int, patch: Patch) -> FormatError:
    return FormatError(
        f"{path}: the chunk at byte {start} has {size} bytes, {patch.first + patch.span} or more were expected; its "
        "metadata speaks of another array",
        location=path,
    )
