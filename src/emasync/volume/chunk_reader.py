"""Chunks of one array: what reads and decodes them, and what was learnt of the time that takes."""

from __future__ import annotations

import mmap
import threading
from typing import Final, Protocol, final

import numpy as np

from emasync.formats.chunks import ChunkDecoder
from emasync.volume.absence import fill_of, inside_of
from emasync.volume.cache import ChunkCache, Voxels
from emasync.volume.checking import Checks
from emasync.volume.interface import FileReader, IndexedArray
from emasync.volume.planning import LOCAL, ReadSizes
from emasync.volume.threads import Threads
from emasync.volume.uncompressed import Patch, stored_strides

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


@final
class ChunkReader:
    """Reads and decodes; threads share it.

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
        self._strides = stored_strides(array, 0) if array.layout.edges == "full" else None
        self._scratch = threading.local()

    def note_chunk(self, chunk_s: float) -> None:
        """Remember what a chunk took its thread (not waiting for others): whether more threads pay depends on it."""
        self.chunk_s = chunk_s if self.chunk_s is None else self.chunk_s + (chunk_s - self.chunk_s) / 8

    def note_read(self, read_s: float) -> None:
        """Remember how long a read took on the clock."""
        self.read_s += (read_s - self.read_s) / 8

    @property
    def threads_pay(self) -> bool:
        """Whether several threads read and decode faster than one."""
        return self.slow or (self.chunk_s or 0) >= WORTH_A_THREAD_S

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

    def inside(self, number: int) -> tuple[int, ...]:
        """Shape of what a chunk has to bring: of the whole one, where all are stored whole."""
        return self.array.layout.chunks if self._strides is not None else inside_of(number, self.array)

    def strides(self, number: int) -> tuple[int, ...]:
        """Bytes from voxel to voxel of an uncompressed chunk."""
        return stored_strides(self.array, number) if self._strides is None else self._strides

    def patch(self, path: str, start: int, patch: Patch) -> Voxels:
        """Voxels of an uncompressed chunk, in a copy of the file's bytes or where they are."""
        if patch.span <= min(LARGE_BYTES, max(SMALL_BYTES, SPARSE * patch.dense)):
            return patch.view(self.files.read(path, start, patch.span), 0, self.dtype)
        return patch.view(self.files.mapped(path, start, patch.span), start, self.dtype)
