"""One row of the catalog."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """What is known of one dataset. None and empty mean unknown: nothing here is a guess.

    Attributes
    ----------
    name : str
        In the catalog; of the shipped manifest's file, where there is one.
    summary : str
        One line.
    archive : str
        Who gives it.
    source : str
        Kind of source, as in a manifest.
    location : str
        Where it lies.
    format : str
    shape_zyx : tuple of int or None
        Of the finest level, voxels; of the whole volume, also where the manifest takes a part.
    dtype : str or None
    voxel_size_zyx : tuple of float or None
    voxel_unit : str or None
    voxel_from : str or None
        Where the voxel size comes from.
    licence : str or None
        As told by the archive.
    citation : str or None
    size_bytes : int or None
        Of the whole dataset as it is stored.
    objects : int or None
        Number of files or objects that have that size.
    uncertain : tuple of str
        What is not known, or known from one side only.
    conflicts : tuple of str
        Values that contradict each other.
    text : str
        The manifest: YAML, comments included.
    """

    name: str
    summary: str
    archive: str
    source: str
    location: str
    format: str
    shape_zyx: tuple[int, ...] | None = None
    dtype: str | None = None
    voxel_size_zyx: tuple[float, ...] | None = None
    voxel_unit: str | None = None
    voxel_from: str | None = None
    licence: str | None = None
    citation: str | None = None
    size_bytes: int | None = None
    objects: int | None = None
    uncertain: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    text: str

    def to_dict(self) -> dict[str, Any]:
        """The row without its manifest, as JSON (Any: its values)."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self) if item.name != "text")
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}
