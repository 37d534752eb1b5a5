"""TIFF stacks of strips, pixels and directory by turns: made when they are read; small ones also as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emasync.testing.sparse import Body, Literal, Piece
from emasync.testing.tiff_directory import ASCII, LONG, RATIONAL, SHORT, Entry, TiffForm

STRIP_BYTES = 8 << 10
"""About the strip size that TIFF 6.0 recommends; libtiff's default."""

LIMIT_BYTES = 1 << 32
"""Offsets of classic TIFF have 32 bits."""

CLASSIC = TiffForm()
_NM_PER_CM = 10_000_000
_CENTIMETRE = 3
_SAMPLE_FORMATS = {"u": 1, "i": 2}


class Pages(Protocol):
    """Planes of one size, by number."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pages, rows, columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type, in the byte order of the file (Any: an integer type, which one is the caller's choice)."""
        ...

    def page(self, number: int) -> Piece:
        """Pixels of a page."""
        ...


@dataclass(frozen=True, slots=True)
class ArrayPages:
    """Pages of an array in memory.

    Attributes
    ----------
    array : ndarray
        Shape (pages, rows, columns), little-endian (Any: the number type is the caller's choice).
    """

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pages, rows, columns."""
        pages, rows, columns = self.array.shape
        return pages, rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type of the array."""
        return self.array.dtype

    def page(self, number: int) -> Piece:
        """Pixels of a page."""
        return Literal(self.array[number].tobytes())


def write_pages(path: Path, pages: NDArray[Any], *, pixel_nm: float) -> None:
    """Write one page for each plane of `pages`: little-endian, uncompressed, in strips.

    Parameters
    ----------
    path : Path
    pages : ndarray
        Shape (pages, rows, columns), 8- or 16-bit integers (Any: which ones is the caller's choice).
    pixel_nm : float
        Pixel size; told in pixels per centimetre.

    Raises
    ------
    ValueError
        Another number type, or more than a classic TIFF holds.
    """
    if pages.dtype.kind not in _SAMPLE_FORMATS or pages.dtype.itemsize > 2:  # noqa: PLR2004  # bytes
        raise ValueError(f"{path}: pages of {pages.dtype}; 8- or 16-bit integers can be written")
    if pages.nbytes + len(pages) * 4096 > LIMIT_BYTES:
        raise ValueError(f"{path}: {pages.nbytes} bytes are too many for a classic TIFF")
    resolution = (round(_NM_PER_CM / pixel_nm * 1000), 1000)
    more = [
        Entry(282, RATIONAL, resolution),
        Entry(283, RATIONAL, resolution),
        Entry(296, SHORT, (_CENTIMETRE,)),
        Entry(339, SHORT, (_SAMPLE_FORMATS[pages.dtype.kind],)),
    ]
    stack = ArrayPages(pages.astype(pages.dtype.newbyteorder("<"), copy=False))
    body = strip_stack(stack, lambda _: more)
    with path.open("wb") as file:
        for piece in body.pieces:
            file.write(piece.read(0, piece.size_bytes))


def itk_stack(pages: Pages, form: TiffForm = CLASSIC) -> Body:
    """A stack as ITK writes it through libtiff: strips of 8 KiB, each page's directory behind its pixels.

    With 1065 x 1536 x 2048 bytes it has the size, to the byte, and the offsets of EPFL's ``volumedata.tif``.

    Parameters
    ----------
    pages : Pages
    form : TiffForm
        BigTIFF where the stack needs it.
    """
    return strip_stack(pages, partial(_itk_entries, count=pages.shape[0]), form)


def _itk_entries(number: int, *, count: int) -> list[Entry]:
    return [
        Entry(254, LONG, (2,)),  # one page of several
        Entry(274, SHORT, (1,)),  # first row at the top
        Entry(284, SHORT, (1,)),  # chunky
        Entry(297, SHORT, (number, count)),
        Entry(305, ASCII, b"InsightToolkit\0"),
    ]


def strip_stack(pages: Pages, more: Callable[[int], Sequence[Entry]], form: TiffForm = CLASSIC) -> Body:
    """Pixels and directory by turns: what lies between two pages is a directory, so the volume is in no one stretch.

    Parameters
    ----------
    pages : Pages
    more : callable
        Entries of page `number` besides those that every page needs.
    form : TiffForm
    """
    room = _Strips(pages, form, more)
    header = len(form.header(0))
    stride = room.stride
    pieces: list[Piece] = [Literal(form.header(header + room.page_bytes + room.gap))]
    for number in range(pages.shape[0]):
        last = number == pages.shape[0] - 1
        pieces += (pages.page(number), _Directory(room, number, header + number * stride, last=last))
    return Body(tuple(pieces))


class _Strips:
    """What the directories of a stack have in common (they are made anew each time they are read: they may be many)."""

    def __init__(self, pages: Pages, form: TiffForm, more: Callable[[int], Sequence[Entry]]) -> None:
        self.form = form
        self._more = more
        _, self._rows, self._columns = pages.shape
        self._itemsize = pages.dtype.itemsize
        row_bytes = self._columns * self._itemsize
        self._rows_per_strip = max(1, min(self._rows, STRIP_BYTES // max(1, row_bytes)))
        self._strip_bytes = self._rows_per_strip * row_bytes
        self.page_bytes = self._rows * row_bytes
        self.gap = self.page_bytes % 2  # directories begin on a word boundary (section 2)
        self.directory_bytes = len(self.directory(0, 0, following=0))
        used = self.page_bytes + self.gap + self.directory_bytes
        self.stride = used + used % 2

    def directory(self, number: int, start: int, *, following: int) -> bytes:
        """Directory of the page whose pixels begin at `start`, with its values."""
        offsets = range(start, start + self.page_bytes, self._strip_bytes)
        sizes = [min(self._strip_bytes, start + self.page_bytes - offset) for offset in offsets]
        entries = [
            Entry(256, LONG, (self._columns,)),
            Entry(257, LONG, (self._rows,)),
            Entry(258, SHORT, (self._itemsize * 8,)),
            Entry(259, SHORT, (1,)),  # no compression
            Entry(262, SHORT, (1,)),  # black is zero
            Entry(273, self.form.offset_kind, offsets),
            Entry(277, SHORT, (1,)),
            Entry(278, LONG, (self._rows_per_strip,)),
            Entry(279, self.form.offset_kind, sizes),
            *self._more(number),
        ]
        at = start + self.page_bytes + self.gap
        return self.form.directory(sorted(entries), at=at, following=following)


@dataclass(frozen=True, slots=True)
class _Directory:
    """A page's directory as a piece; all but the last are followed by what makes the next page begin even."""

    strips: _Strips
    number: int
    start: int
    last: bool

    @property
    def size_bytes(self) -> int:
        """From the end of the pixels to the next page, or to the end of the file."""
        if self.last:
            return self.strips.gap + self.strips.directory_bytes
        return self.strips.stride - self.strips.page_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a half-open span."""
        following = 0 if self.last else self.start + self.strips.stride + self.strips.page_bytes + self.strips.gap
        data = self.strips.directory(self.number, self.start, following=following)
        return (b"\0" * self.strips.gap + data).ljust(self.size_bytes, b"\0")[start:stop]
