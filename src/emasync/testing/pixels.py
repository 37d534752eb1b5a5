"""Voxels as a formula: any part of a volume of any size, and its bytes, without the volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emasync.testing.volumes import Shape, Volume, smooth_blobs

MOST_ROWS = 509
"""Rows of the plane that is kept; taller pages repeat it. A prime, so that no power of two hides a misplaced block."""


class DriftingVolume:
    """Pages that show one plane, moved on a little from page to page and around its edges.

    Voxel (z, y, x) is number ``z * step + y * columns + x`` of the plane, counted on from its end to its beginning:
    neighbouring sections look alike, no two of them are equal, and a range costs what it is long.

    Parameters
    ----------
    shape : tuple of int
        Pages, rows, columns.
    dtype : str
        An integer type; its byte order is that of :meth:`page`.
    seed : int
    """

    def __init__(self, shape: Shape, dtype: str = "uint8", seed: int = 0) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        rows, columns = min(shape[1], MOST_ROWS), shape[2]
        native = self.dtype.newbyteorder("=").name
        self._plane: NDArray[Any] = smooth_blobs((1, rows, columns), native, seed).ravel().astype(self.dtype)
        self._step = 2 * columns + 3

    def __repr__(self) -> str:
        return f"<DriftingVolume {self.shape} of {self.dtype}>"

    @property
    def page_bytes(self) -> int:
        """Bytes of one page."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    def page(self, number: int) -> VolumePage:
        """Page `number`, as a piece of a body."""
        return VolumePage(self, number)

    def block(self, start: Shape, shape: Shape) -> Volume:
        """Voxels of a box, in the machine's byte order; the box may be of any size that memory has room for."""
        z, y, x = (np.arange(first, first + size) for first, size in zip(start, shape, strict=True))
        plane = self._plane.astype(self.dtype.newbyteorder("="))
        inside = (y * self.shape[2])[:, None] + x
        return np.stack([plane.take(inside + int(page) * self._step, mode="wrap") for page in z])

    def whole(self) -> Volume:
        """All voxels: for small volumes."""
        return self.block((0, 0, 0), self.shape)

    def span(self, page: int, start: int, stop: int) -> bytes:
        """Bytes of a half-open span of a page."""
        plane = self._plane.view(np.uint8).data
        at = (page * self._step * self.dtype.itemsize + start) % len(plane)
        parts = []
        left = stop - start
        while left > 0:
            parts.append(plane[at : at + left])
            left -= len(parts[-1])
            at = 0
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class VolumePage:
    """One page of a volume, as a piece of a body.

    Attributes
    ----------
    volume : DriftingVolume
    number : int
    """

    volume: DriftingVolume
    number: int

    @property
    def size_bytes(self) -> int:
        """Bytes of a page."""
        return self.volume.page_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a half-open span of the page."""
        return self.volume.span(self.number, start, stop)
