"""A writer of baseline TIFF pages: little-endian, uncompressed grey values in strips (TIFF 6.0, part 1)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

STRIP_BYTES = 8 << 10
"""About the strip size that TIFF 6.0 recommends."""

LIMIT_BYTES = 1 << 32
"""Offsets of classic TIFF have 32 bits."""

_SHORT, _LONG, _RATIONAL = 3, 4, 5
_FORMATS = {_SHORT: "H", _LONG: "I", _RATIONAL: "II"}
_NM_PER_CM = 10_000_000
_CENTIMETRE = 3
_SAMPLE_FORMATS = {"u": 1, "i": 2}


def write_pages(path: Path, pages: NDArray[Any], *, pixel_nm: float) -> None:
    """Write one page for each plane of `pages`.

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
    little = pages.astype(pages.dtype.newbyteorder("<"), copy=False)
    with path.open("wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, 0))
        pointer = 4  # where the offset of the next directory goes (section 2: image file header)
        for page in little:
            pointer = _write_page(file, page, pointer, pixel_nm)


def _write_page(file: BinaryIO, page: NDArray[Any], pointer: int, pixel_nm: float) -> int:
    """Write pixels and directory, link it from `pointer`; gives where the next directory is linked from."""
    rows, columns = page.shape
    rows_per_strip = max(1, min(rows, STRIP_BYTES // max(1, columns * page.itemsize)))
    offsets, sizes = [], []
    for start in range(0, rows, rows_per_strip):
        data = np.ascontiguousarray(page[start : start + rows_per_strip]).tobytes()
        offsets.append(file.tell())
        sizes.append(len(data))
        file.write(data)
    resolution = (round(_NM_PER_CM / pixel_nm * 1000), 1000)
    return _write_directory(
        file,
        pointer,
        [
            (256, _LONG, (columns,)),
            (257, _LONG, (rows,)),
            (258, _SHORT, (page.itemsize * 8,)),
            (259, _SHORT, (1,)),  # no compression
            (262, _SHORT, (1,)),  # black is zero
            (273, _LONG, tuple(offsets)),
            (277, _SHORT, (1,)),
            (278, _LONG, (rows_per_strip,)),
            (279, _LONG, tuple(sizes)),
            (282, _RATIONAL, resolution),
            (283, _RATIONAL, resolution),
            (296, _SHORT, (_CENTIMETRE,)),
            (339, _SHORT, (_SAMPLE_FORMATS[page.dtype.kind],)),
        ],
    )


def _write_directory(file: BinaryIO, pointer: int, entries: list[tuple[int, int, tuple[int, ...]]]) -> int:
    """Write an image file directory, entries in tag order (section 2); values over 4 bytes lie before it."""
    records = []
    for tag, kind, values in entries:
        form = _FORMATS[kind]
        count = len(values) // len(form)
        data = struct.pack(f"<{form * count}", *values)
        if len(data) > 4:  # noqa: PLR2004  # what fits into the entry itself
            _align(file)
            offset = file.tell()
            file.write(data)
            data = struct.pack("<I", offset)
        records.append(struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0"))
    _align(file)
    at = file.tell()
    file.write(struct.pack("<H", len(records)) + b"".join(records) + struct.pack("<I", 0))
    end = file.tell()
    file.seek(pointer)
    file.write(struct.pack("<I", at))
    file.seek(end)
    return end - 4


def _align(file: BinaryIO) -> None:
    if file.tell() % 2:  # directories and values begin on a word boundary (section 2)
        file.write(b"\0")
