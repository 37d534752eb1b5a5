"""How one page is laid out: its size, its strips or tiles, what its bytes went through."""

from __future__ import annotations

from base64 import b64encode
from math import prod
from typing import Final, NamedTuple

import numpy as np

from emasync.formats.stored import Codec
from emasync.formats.tiff.directory import Directory, Numbers

MAX_TABLES_BYTES: Final = 64 << 10
_MAX_SIDE: Final = 1 << 31
_MAX_SAMPLES: Final = 1 << 16

(_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER) = (254, 256, 257, 258, 259, 262, 266)
(_SAMPLES, _ROWS, _PLANAR, _PREDICTOR) = (277, 278, 284, 317)
(_TILE_WIDTH, _TILE_LENGTH, _FORMAT, _TABLES) = (322, 323, 339, 347)
(_SUBSAMPLING, _DEPTH, _TILE_DEPTH) = (530, 32997, 32998)

LAYOUT: Final = frozenset(
    (
        *(_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _ROWS, _PLANAR),
        *(_PREDICTOR, _TILE_WIDTH, _TILE_LENGTH, _FORMAT, _TABLES, _SUBSAMPLING, _DEPTH, _TILE_DEPTH),
    )
)
"""Fields that a layout comes from."""

UNCOMPRESSED: Final = 1
_YCBCR: Final = 6
_COMPRESSIONS: Final = {
    2: "ccitt_rle",
    3: "ccitt_t4",
    4: "ccitt_t6",
    5: "lzw",
    6: "ojpeg",
    7: "jpeg",
    8: "zlib",
    32773: "packbits",
    32946: "zlib",
    33003: "jpeg2k",
    33004: "jpeg2k",
    33005: "jpeg2k",
    34712: "jpeg2k",
    34887: "lerc",
    34892: "jpeg",
    34925: "lzma",
    34933: "png",
    34934: "jpegxr",
    50000: "zstd",
    50001: "webp",
    50002: "jpegxl",
    52546: "jpegxl",
}
_OF_JPEG: Final = frozenset((6, 7, 34892))
_PICTURES: Final = frozenset((*_OF_JPEG, 33003, 33004, 33005, 34712, 34887, 34933, 34934, 50001, 50002, 52546))
"""Compressions that know of samples: what comes out of them is not packed."""

_KINDS: Final = {1: "u", 2: "i", 3: "f", 4: "u", 6: "c"}
"""Sample formats (section 19); 4 is undefined, which readers take for unsigned. 5, complex integers, has no dtype."""

_WIDTHS: Final = {"u": (1, 2, 4, 8), "i": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}


class Raster(NamedTuple):
    """What pages of one array have in common.

    Attributes
    ----------
    size : tuple of int
        Depth, rows, columns.
    segment : tuple of int
        The same of a strip or tile.
    samples : int
        A pixel.
    planar : bool
        Each sample in segments of its own.
    tiled : bool
    dtype : str
    bits : int
        Of a sample, as stored.
    compression, predictor, fill_order, photometric : int
        Codes.
    reduced : bool
        A lower resolution of another page.
    level : int
        0 for pages of the main chain, n for the n-th below one.
    tables : bytes
        JPEG tables that all segments share.
    """

    size: tuple[int, int, int]
    segment: tuple[int, int, int]
    samples: int
    planar: bool
    tiled: bool
    dtype: str
    bits: int
    compression: int
    predictor: int
    fill_order: int
    photometric: int
    reduced: bool
    level: int
    tables: bytes

    @property
    def grid(self) -> tuple[int, int, int]:
        """Segments along depth, rows, columns."""
        depth, rows, columns = (-(-whole // part) for whole, part in zip(self.size, self.segment, strict=True))
        return depth, rows, columns

    @property
    def segments(self) -> int:
        """Of a page."""
        return prod(self.grid) * (self.samples if self.planar else 1)

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """What voxels went through, in that order."""
        steps = []
        if self.predictor != 1:
            steps.append(Codec("tiff_predictor", {"code": self.predictor}))
        if self.bits != np.dtype(self.dtype).itemsize * 8 and self.compression not in _PICTURES:
            steps.append(Codec("tiff_bits", {"bits": self.bits}))
        if self.compression != UNCOMPRESSED:
            name = _COMPRESSIONS.get(self.compression, f"tiff_{self.compression}")
            tables = {"tables": b64encode(self.tables).decode()} if self.tables else {}
            colours = {"photometric": self.photometric} if self.compression in _OF_JPEG else {}
            steps.append(Codec(name, {"code": self.compression, **colours, **tables}))
        if self.fill_order != 1:
            steps.append(Codec("tiff_fill_order", {"code": self.fill_order}))
        return tuple(steps)

    def nominal_bytes(self) -> Numbers:
        """Bytes of each segment of a page before compression; rows begin on a byte, the last strip may be short."""
        samples = 1 if self.planar else self.samples
        row_bytes = -(-self.segment[2] * samples * self.bits // 8)
        rows = np.full(self.segments, self.segment[0] * self.segment[1], np.uint64)
        if not self.tiled:
            last = self.size[1] - (self.grid[1] - 1) * self.segment[1]
            rows[self.grid[1] - 1 :: self.grid[1]] = last * self.segment[0]
        return rows * np.uint64(row_bytes)


def raster_of(page: Directory, level: int) -> Raster | str:
    """The layout of a page, or why it cannot be described.

    Raises
    ------
    FormatError
        Sizes are missing, or none.
    """
    samples = _bounded(page, _SAMPLES, 1, _MAX_SAMPLES)
    size = (_bounded(page, _DEPTH, 1), _bounded(page, _LENGTH), _bounded(page, _WIDTH))
    bits, kind = _same(page, _BITS, samples, 1), _same(page, _FORMAT, samples, 1)
    if bits is None or kind is None:
        return "its samples are of several types"
    dtype = _dtype(page.order, bits, kind)
    if dtype is None:
        return f"samples of {bits} bits of format {kind} are not known"
    compression, photometric = page.number(_COMPRESSION, 1), page.number(_PHOTOMETRIC, 1)
    if photometric == _YCBCR and compression not in _OF_JPEG and _subsampled(page):
        return "its colours are subsampled without JPEG"
    if page.count(_TABLES) > MAX_TABLES_BYTES:
        return f"its JPEG tables have more than {MAX_TABLES_BYTES} bytes"
    tiled = _TILE_WIDTH in page
    raster = Raster(
        size=size,
        segment=_tile(page) if tiled else (1, min(page.number(_ROWS, size[1]), size[1]), size[2]),
        samples=samples,
        planar=samples > 1 and page.number(_PLANAR, 1) == 2,  # noqa: PLR2004 - the code
        tiled=tiled,
        dtype=dtype,
        bits=bits,
        compression=compression,
        predictor=page.number(_PREDICTOR, 1),
        fill_order=page.number(_FILL_ORDER, 1),
        photometric=photometric if compression in _OF_JPEG else 0,
        reduced=bool(page.number(_SUBFILE, 0) & 1),
        level=level,
        tables=page.raw(_TABLES, MAX_TABLES_BYTES),
    )
    if min(raster.segment) < 1 or prod(raster.segment) * samples * bits >= 1 << 62:
        raise page.file.broken(page.offset, f"strips or tiles of {raster.segment} cannot be")
    return raster


def _bounded(page: Directory, tag: int, default: int | None = None, most: int = _MAX_SIDE) -> int:
    found = page.number(tag, default)
    if not 0 < found <= most:
        raise page.file.broken(page.offset, f"field {tag} is {found}; 1 to {most} can be")
    return found


def _same(page: Directory, tag: int, samples: int, default: int) -> int | None:
    """The value that all samples have; None where they differ."""
    values = {int(value) for value in page.numbers(tag, samples)} or {default}
    return values.pop() if len(values) == 1 else None


def _dtype(order: str, bits: int, kind: int) -> str | None:
    """Smallest type that holds such samples; only integers may fill it in part."""
    letter = _KINDS.get(kind)
    widths = _WIDTHS.get(letter or "", ())
    width = next((width for width in widths if width * 8 >= bits), None)
    if not bits or width is None or (bits != width * 8 and letter != "u"):
        return None
    return f"{'|' if width == 1 else order}{letter}{width}"


def _tile(page: Directory) -> tuple[int, int, int]:
    return _bounded(page, _TILE_DEPTH, 1), _bounded(page, _TILE_LENGTH), _bounded(page, _TILE_WIDTH)


def _subsampled(page: Directory) -> bool:
    return {int(value) for value in page.numbers(_SUBSAMPLING, 2)} != {1}
