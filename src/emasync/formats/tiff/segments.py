"""Where the strips or tiles of one page are."""

from __future__ import annotations

import numpy as np

from emasync.formats.tiff.directory import Directory, Numbers
from emasync.formats.tiff.raster import UNCOMPRESSED, Raster

(_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES) = (273, 279, 324, 325)


def places_of(page: Directory, raster: Raster, nominal: Numbers) -> tuple[Numbers, Numbers]:
    """Offsets and byte counts of a page's strips or tiles; 0 bytes for those that were never written.

    Parameters
    ----------
    page : Directory
    raster : Raster
        Its layout.
    nominal : ndarray of uint64
        Bytes of each before compression.

    Raises
    ------
    FormatError
        Too many, too few, or beyond the end of the file.
    """
    places = _TILES if raster.tiled and _TILES in page else _STRIPS
    segments = len(nominal)
    if page.count(places) < segments:
        raise page.file.broken(page.offset, f"{segments} strips or tiles, {page.count(places)} have a place")
    starts = page.numbers(places, segments)
    sizes = page.numbers(_TILE_BYTES if places == _TILES else _STRIP_BYTES, segments)
    if raster.compression == UNCOMPRESSED:
        sizes = _uncompressed(page, nominal, starts, sizes)
    if len(starts) != segments or len(sizes) != segments:
        raise page.file.broken(page.offset, f"{len(sizes)} byte counts for {segments} strips or tiles")
    sizes = np.where(starts > 0, sizes, 0).astype(np.uint64)
    limit = np.uint64(page.file.size_bytes)
    beyond = np.flatnonzero((sizes > 0) & ((starts > limit) | (sizes > limit - np.minimum(starts, limit))))
    if len(beyond):
        at = int(beyond[0])
        raise page.file.broken(
            int(starts[at]), f"{sizes[at]} bytes of strip or tile {at} do not fit into the file of {limit} bytes"
        )
    return starts, sizes


def _uncompressed(page: Directory, nominal: Numbers, starts: Numbers, sizes: Numbers) -> Numbers:
    """Byte counts of pixels are known; a field that tells fewer is wrong about them, one that is missing no loss."""
    if len(sizes) != len(nominal):
        return nominal
    short = np.flatnonzero((sizes > 0) & (sizes < nominal))
    if len(short):
        at = int(short[0])
        raise page.file.broken(int(starts[at]), f"strip or tile {at} has {sizes[at]} bytes, its pixels {nominal[at]}")
    return np.where(sizes > 0, nominal, 0).astype(np.uint64)
