"""Pages of one layout, one after the other: numbers that grow with them, and no object a page."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from emasync.formats.stored import ChunkTable, Measure, StoredArray
from emasync.formats.tiff.directory import Directory, Numbers
from emasync.formats.tiff.raster import Raster
from emasync.model.digest import Span

Order = npt.NDArray[np.int64]


class Stack:
    """Pages of one layout.

    Strips of uncompressed pages that follow each other are one chunk: a page of 384 strips costs one row, not 384.

    Parameters
    ----------
    raster : Raster
    first : Directory
        Of the first page.

    Attributes
    ----------
    numbers : array of int64
        Of the pages, in the file.
    nominal : ndarray of uint64
        Bytes of each strip or tile of a page before compression.
    """

    def __init__(self, raster: Raster, first: Directory) -> None:
        self.raster = raster
        self.first = first
        self.numbers = array("q")
        self._starts, self._sizes = array("Q"), array("Q")
        self.nominal = raster.nominal_bytes()
        self._within = np.cumsum(self.nominal) - self.nominal
        one_column = raster.grid[2] == 1 and (not raster.tiled or raster.grid[1] * raster.grid[0] == 1)
        self._merged = raster.compression == 1 and one_column

    @property
    def rows(self) -> int:
        """Places that are kept."""
        return len(self._starts)

    @property
    def each(self) -> int:
        """Places of one page."""
        return len(self._starts) // len(self.numbers)

    @property
    def page_bytes(self) -> int:
        """Of an uncompressed page."""
        return int(self.nominal.sum())

    def add(self, number: int, starts: Numbers, sizes: Numbers) -> None:
        """Take page `number` of the file; its strips or tiles lie there."""
        self.numbers.append(number)
        if self._merged and not self._follows(starts, sizes):
            self._part()
        if self._merged:
            self._starts.append(int(starts[0]))
            self._sizes.append(self.page_bytes)
            return
        self._starts.frombytes(starts.tobytes())
        self._sizes.frombytes(sizes.tobytes())

    def extend(self, pages: int) -> None:
        """Take `pages` more that follow the last one, byte to byte, and have no directory."""
        start = self._starts[-1]
        behind = np.uint64(start) + np.arange(1, pages + 1, dtype=np.uint64) * np.uint64(self.page_bytes)
        self.numbers.extend(range(self.numbers[-1] + 1, self.numbers[-1] + 1 + pages))
        self._starts.frombytes(behind.tobytes())
        self._sizes.frombytes(np.full(pages, self.page_bytes, np.uint64).tobytes())

    def room(self, file_bytes: int) -> int:
        """How many more pages the file holds behind the last one, if they follow it; 0 for pages in pieces."""
        return (file_bytes - self._starts[-1]) // self.page_bytes - 1 if self._merged and self._sizes[-1] else 0

    def _follows(self, starts: Numbers, sizes: Numbers) -> bool:
        return bool((sizes == self.nominal).all() and (starts == starts[0] + self._within).all())

    def _part(self) -> None:
        """Let the pages so far have a row for each strip as well."""
        pages = np.frombuffer(self._starts, np.uint64)
        starts = (pages[:, None] + self._within).ravel()
        self._sizes = array("Q", np.tile(self.nominal, len(pages)).tobytes())
        self._starts = array("Q", starts.tobytes())
        self._merged = False

    def stored(
        self, path: str, lead: Sequence[tuple[str, int, Measure | None]], plane: dict[str, Measure | None], order: Order
    ) -> StoredArray:
        """The pages as an array.

        Parameters
        ----------
        path : str
        lead : sequence of tuple
            Name, length and measure of each axis that pages are counted along, the slowest first.
        plane : dict
            Measures of axes of a page.
        order : ndarray of int64
            For each place of `lead`, which page of the stack it has; -1 for none.
        """
        outline = self.outlined(path, lead, plane)
        outer = tuple(length for _, length, _ in lead)
        starts, sizes = self._rows_of(order)
        whole = self._whole(starts, sizes)
        if whole:
            return replace(outline, chunks=outline.shape, whole=whole)
        inner = len(outer)
        grid = outer + tuple(
            -(-length // part) for length, part in zip(outline.shape[inner:], outline.chunks[inner:], strict=True)
        )
        return replace(outline, table=ChunkTable(starts=starts.reshape(grid), sizes=sizes.reshape(grid)))

    def outlined(
        self, path: str, lead: Sequence[tuple[str, int, Measure | None]], plane: dict[str, Measure | None]
    ) -> StoredArray:
        """As :meth:`stored`, without places."""
        names, shape, chunks = self._page()
        return StoredArray(
            path=path,
            shape=(*(length for _, length, _ in lead), *shape),
            chunks=(1,) * len(lead) + chunks,
            dtype=self.raster.dtype,
            axes=(*(name for name, _, _ in lead), *names),
            measures=(*(measure for _, _, measure in lead), *(plane.get(name) for name in names)),
            whole=None,
            codecs=self.raster.codecs,
            role="reduced" if self.raster.reduced or self.raster.level else "image",
            edges="full" if self.raster.tiled else "cut",
        )

    def _rows_of(self, order: Order) -> tuple[Numbers, Numbers]:
        starts = np.frombuffer(self._starts, np.uint64).reshape(-1, self.each)
        sizes = np.frombuffer(self._sizes, np.uint64).reshape(-1, self.each)
        if len(order) == len(starts) and (order == np.arange(len(order))).all():
            return starts, sizes
        there = (order >= 0)[:, None]
        return starts[order] * there, sizes[order] * there

    def _whole(self, starts: Numbers, sizes: Numbers) -> Span | None:
        """The one stretch that all pixels lie in, if they do."""
        if not self._merged or self.raster.codecs or not sizes.all():
            return None
        flat = starts.ravel()
        if (np.diff(flat) != np.uint64(self.page_bytes)).any():
            return None
        return Span(int(flat[0]), int(flat[-1]) + self.page_bytes)

    def _page(self) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
        """Names of a page's axes, their lengths, and those of a chunk; what has one voxel is left out, but y and x."""
        raster = self.raster
        segment = raster.size if self._merged and not raster.tiled else raster.segment
        axes = list(zip("zyx", raster.size, segment, strict=True))
        if raster.size[0] == 1 and segment[0] == 1:
            del axes[0]
        if raster.planar:
            axes.insert(0, ("s", raster.samples, raster.samples if self._merged else 1))
        elif raster.samples > 1:
            axes.append(("s", raster.samples, raster.samples))
        names, shape, chunks = zip(*axes, strict=True)
        return names, shape, chunks


def in_order(stack: Stack, lengths: Sequence[int]) -> Order:
    """Pages as they come, as many as `lengths` ask for; -1 where there are no more."""
    order = np.arange(prod(lengths), dtype=np.int64)
    order[len(stack.numbers) :] = -1
    return order
