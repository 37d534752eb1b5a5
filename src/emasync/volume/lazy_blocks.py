"""Boxes of arrays that lie in files of which only parts are here: their bytes are fetched first, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

import numpy as np

from emasync.model.digest import Span
from emasync.model.geometry import Box
from emasync.volume.cache import Voxels
from emasync.volume.interface import WHOLE_FILE, IndexedArray
from emasync.volume.lazy_files import BLOCK_BYTES, LazyFiles
from emasync.volume.planning import Piece, plan_of, portions
from emasync.volume.reading import BlockEngine, go_on
from emasync.volume.uncompressed import Patch, is_uncompressed, patch_of, stored_strides

DENSE: Final = 2
"""Bytes for one that is wanted, up to which the stretch between the first and the last voxel is fetched as a whole."""


@final
class LazyEngine:
    """Has the bytes of boxes here, then lets another engine read them; a :class:`~emasync.volume.reading.BlockEngine`.

    Parameters
    ----------
    array : IndexedArray
    engine : BlockEngine
        Reads through `files`.
    files : LazyFiles
    """

    def __init__(self, array: IndexedArray, engine: BlockEngine, files: LazyFiles) -> None:
        self._array = array
        self._engine = engine
        self._files = files

    def fill(self, boxes: Sequence[Box], targets: Sequence[Voxels], gone_on: Callable[[], None] = go_on) -> None:
        """See :class:`~emasync.volume.reading.BlockEngine`.

        Raises
        ------
        SourceChangedError
            A file is another one than it was when the volume was opened.
        """
        for portion in portions(boxes, self._array.layout.chunks):
            gone_on()
            self._files.need(self._wants([box for _, box in portion]))
        self._engine.fill(boxes, targets, gone_on)

    def _wants(self, boxes: Sequence[Box]) -> dict[str, list[Span]]:
        """Bytes of the chunks of boxes, by file; of uncompressed ones those of the boxes alone."""
        array = self._array
        plan = plan_of(boxes, array.layout.chunks, array.grid_shape)
        numbers = sorted(plan)
        places = array.chunks.find(np.array(numbers, np.int64))
        wants: dict[str, list[Span]] = {}
        for number, file, start, size in zip(
            numbers, places.files.tolist(), places.starts.tolist(), places.sizes.tolist(), strict=True
        ):
            if file >= 0 and size != WHOLE_FILE:
                wants.setdefault(array.chunks.path(file), []).extend(self._spans(number, plan[number], start, size))
        return wants

    def _spans(self, number: int, pieces: Sequence[Piece], start: int, size: int) -> Iterator[Span]:
        if not is_uncompressed(self._array.layout):
            yield Span(start, start + size)
            return
        strides, itemsize = stored_strides(self._array, number), np.dtype(self._array.layout.dtype).itemsize
        for piece in pieces:
            patch = patch_of(piece.source, strides, itemsize)
            yield from runs_of(patch._replace(first=start + patch.first))


def runs_of(patch: Patch) -> Iterator[Span]:
    """Bytes to fetch for a box of an uncompressed chunk: whole where it is dense or short, else row by row."""
    if patch.span <= max(BLOCK_BYTES, DENSE * patch.dense) or len(patch.shape) == 1:
        yield Span(patch.first, patch.first + patch.span)
        return
    count, stride = patch.shape[0], patch.strides[0]
    span, dense = patch.span - (count - 1) * stride, patch.dense // count
    for row in range(count):
        yield from runs_of(Patch(patch.shape[1:], patch.strides[1:], patch.first + row * stride, span, dense))
