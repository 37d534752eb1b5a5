"""N5 as Janelia publishes it: two descriptions of one grid, in opposite orders."""

from __future__ import annotations

from emasync.errors import EmasyncError
from emasync.formats.interface import LevelDescription
from emasync.formats.json_document import parse_object
from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.paths import join
from emasync.hooks.metadata.claims import Claims, items, member


def n5_claims(level: LevelDescription, claims: Claims) -> None:
    """``pixelResolution`` of an array: x, y, z, where ``transform`` has z, y, x (cellmap-schemas, ``cosem.py``).

    Parameters
    ----------
    level : LevelDescription
    claims : Claims
        Grows.
    """
    key = join(level.array.path, ATTRIBUTES)
    try:
        attributes = parse_object(key, level.array.documents.get(key, b"{}"))
    except EmasyncError:
        return
    resolution = member(attributes, "pixelResolution")
    sizes, unit = member(resolution, "dimensions"), member(resolution, "unit")
    for axis, size in zip("xyz", items(sizes), strict=False):
        claims.voxel(axis, size, unit, f"pixelResolution.dimensions ({axis})")
