"""Voxels through the index alone: where it says that chunks are, decoded as it says that they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emasync.formats.decoding import decoder_for
from emasync.volume.interface import ABSENT, WHOLE_FILE, IndexedArray


class NotHereError(Exception):
    """A chunk that is neither here nor left out."""


def assembled(array: IndexedArray, root: Path) -> NDArray[Any]:
    """The whole array, chunk by chunk."""
    decoder, layout = decoder_for(array.layout), array.layout
    fill = 0 if layout.fill_value is None else layout.fill_value
    voxels = np.full(array.shape, fill, layout.dtype)
    places = array.chunks.find(np.arange(np.prod(array.grid_shape, dtype=np.int64)))
    for number, cell in enumerate(np.ndindex(array.grid_shape)):
        if (file := int(places.files[number])) == ABSENT:
            assert places.sizes[number] == 0
            continue
        if file < 0:
            raise NotHereError(f"chunk {number} of {array.path}: {file}")
        start = tuple(at * size for at, size in zip(cell, layout.chunks, strict=True))
        box = tuple(
            slice(low, min(low + size, stop)) for low, size, stop in zip(start, layout.chunks, array.shape, strict=True)
        )
        shape = tuple(part.stop - part.start for part in box)
        data = (root / array.chunks.path(file)).read_bytes()[int(places.starts[number]) :]
        if places.sizes[number] != WHOLE_FILE:
            data = data[: int(places.sizes[number])]
        skipped = 0 if places.skipped is None else int(places.skipped[number])
        found = decoder.decode(f"{array.path} {cell}", data, shape, skipped=skipped)
        voxels[box] = found[tuple(slice(0, size) for size in shape)]
    return voxels
