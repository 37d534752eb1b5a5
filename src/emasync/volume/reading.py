"""Boxes of one array out of its files: chunks found, read, decoded once, and put where they belong."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, Protocol, final

import numpy as np

from emasync.formats.chunks import ChunkDecoder
from emasync.model.geometry import Box
from emasync.volume.absence import fill_of, inside_of
from emasync.volume.cache import ChunkCache, Voxels
from emasync.volume.checking import Checks
from emasync.volume.copying import put
from emasync.volume.filling import Filling
from emasync.volume.interface import FileReader, IndexedArray
from emasync.volume.planning import LOCAL, ReadSizes, plan_of, portions
from emasync.volume.stacks import MOST_BYTES, Stack, stack_of
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
            Filling(self, plan, views, gone_on).run()

    @cached_property
    def _stack(self) -> Stack | None:
        return stack_of(self.array)

    def _look(self, stack: Stack, box: Box, target: Voxels) -> None:
        """Copy a box out of the file's memory."""
        if not box.empty:
            data = self.files.mapped(stack.path, stack.first(box), stack.span(box, self.dtype.itemsize))
            put(target, stack.view(data, box, self.dtype))

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


def _part(target: Voxels, whole: Box, box: Box) -> Voxels:
    if box is whole:
        return target
    inner = box.moved([-low for low in whole.start])
    return target[tuple(map(slice, inner.start, inner.stop))]
