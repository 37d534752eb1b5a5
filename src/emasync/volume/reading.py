"""Boxes of one array out of its files: chunks found, read, decoded once, and put where they belong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol, final

import numpy as np

from emasync.formats.chunks import ChunkDecoder
from emasync.model.geometry import Box
from emasync.volume.cache import ChunkCache, Voxels
from emasync.volume.chunk_reader import BlockFiles, ChunkReader
from emasync.volume.copying import put
from emasync.volume.filling import Filling
from emasync.volume.interface import IndexedArray
from emasync.volume.planning import LOCAL, ReadSizes, plan_of, portions
from emasync.volume.stacks import MOST_BYTES, Stack, stack_of
from emasync.volume.threads import Threads


def go_on() -> None:
    """Nobody has anything against it."""


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
        self.reader = ChunkReader(array, files, decoder, cache=cache, threads=threads, check=check, sizes=sizes)
        self._grid = array.grid_shape

    def fill(self, boxes: Sequence[Box], targets: Sequence[Voxels], gone_on: Callable[[], None] = go_on) -> None:
        """Put the voxels of each box into its target; see :class:`BlockEngine`."""
        if self.in_one_file and all(target.nbytes <= MOST_BYTES for target in targets):
            for box, target in zip(boxes, targets, strict=True):
                gone_on()
                self.look(box.start, target)
            return
        chunks, grid = self.array.layout.chunks, self._grid
        for portion in portions(boxes, chunks):
            gone_on()
            plan = plan_of((box for _, box in portion), chunks, grid)
            views = [_part(targets[number], boxes[number], box) for number, box in portion]
            Filling(self.reader, plan, views, gone_on).run()

    @cached_property
    def _stack(self) -> Stack | None:
        return stack_of(self.array)

    @property
    def in_one_file(self) -> bool:
        """Whether the array lies in one file, as memory does: :meth:`look` copies out of it."""
        return self._stack is not None

    def look(self, corner: Sequence[int], target: Voxels) -> bool:
        """Copy a box out of the memory of the one file that the array lies in.

        Parameters
        ----------
        corner : sequence of int
            First voxel of the box, counted from the array's first one on disk. The box is inside of what is there.
        target : ndarray
            Where it goes; of its shape.

        Returns
        -------
        bool
            False, and nothing is done: the array does not lie like that, or the box is better read in steps.

        Raises
        ------
        FormatError
            The file is shorter.
        NotDownloaded
            There is no such file.
        """
        stack = self._stack
        if stack is None or target.nbytes > MOST_BYTES:
            return False
        if target.size:
            dtype = self.reader.dtype
            first, size_bytes = stack.place(corner, target.shape, dtype.itemsize)
            data = self.reader.files.mapped(stack.path, first, size_bytes)
            put(target, np.ndarray(target.shape, dtype, data, first, stack.strides))
        return True


def _part(target: Voxels, whole: Box, box: Box) -> Voxels:
    if box is whole:
        return target
    inner = box.moved([-low for low in whole.start])
    return target[tuple(map(slice, inner.start, inner.stop))]
