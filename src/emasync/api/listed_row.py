"""One thing that a listing shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from emasync.errors import EmasyncError, ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRow:
    """One thing that is there.

    Attributes
    ----------
    kind : {"file", "folder", "tree", "array", "failed", "note"}
        ``tree``: a hierarchy that was not looked into, such as one Zarr asset of many. ``failed``: what could not be
        looked at; ``message`` says why.
    dataset : str
        Id of the dataset it is of.
    path : str
        Below the dataset; empty for the dataset itself.
    location : str
        Canonical URL.
    size_bytes : int or None
        Where it is known without asking for each object.
    format : str or None
        Of an array: ``zarr2``, ``zarr3``, ``precomputed``, ``n5``.
    level : int or None
        Of a multiscale image, 0 for the finest; None for a lone array.
    shape, chunks : tuple of int or None
        Voxels; ``chunks`` are those of one object, a shard where there are shards.
    inner_chunks : tuple of int or None
        Chunks inside a shard.
    dtype : str or None
    axes : tuple of str or None
    voxel_size : tuple of float or None
        Of the spatial axes, in the array's order, as published; None where nobody published it.
    unit : str or None
        Of `voxel_size`.
    objects : int or None
        Most objects that the array can have: one a chunk or shard.
    raw_bytes : int or None
        Of all voxels, before compression.
    error : ErrorKind or None
        Of what failed.
    message : str or None
    """

    kind: Literal["file", "folder", "tree", "array", "failed", "note"]
    dataset: str
    path: str = ""
    location: str = ""
    size_bytes: int | None = None
    format: str | None = None
    level: int | None = None
    shape: tuple[int, ...] | None = None
    chunks: tuple[int, ...] | None = None
    inner_chunks: tuple[int, ...] | None = None
    dtype: str | None = None
    axes: tuple[str, ...] | None = None
    voxel_size: tuple[float, ...] | None = None
    unit: str | None = None
    objects: int | None = None
    raw_bytes: int | None = None
    error: ErrorKind | None = None
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, without what is not known (Any: a JSON document)."""
        kept = {item.name for item in fields(self) if getattr(self, item.name) is not None}
        return {name: value for name, value in asdict(self).items() if name in kept}

    @classmethod
    def failed(cls, dataset: str, error: EmasyncError, path: str = "") -> ListedRow:
        """The row of what could not be looked at."""
        location = error.location or ""
        return cls(
            kind="failed", dataset=dataset, path=path, location=location, error=error.kind, message=error.message
        )
