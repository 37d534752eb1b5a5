"""What is found on disk: assets, the arrays in them, and what is there of each; values, before they are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from emasync.hooks.metadata.claims import Claim

AssetKind = Literal["image", "array", "file", "series", "session", "recording", "video", "sidecars"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The objects that an array is stored in.

    Attributes
    ----------
    folder : str
        Relative to the root: all objects below it are chunks, but for the metadata documents.
    axes : tuple of str
        Lower case, the slowest first.
    shape : tuple of int
        Voxels of the whole array, as published.
    chunks : tuple of int or None
        Voxels of one object; None where objects are shards whose places follow no grid of voxels (precomputed).
    origin : tuple of int
        Source coordinates of the first voxel of the whole array.
    itemsize_bytes : int or None
    """

    folder: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...] | None
    origin: tuple[int, ...]
    itemsize_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRecord:
    """One array at one scale: a row of the table.

    Attributes
    ----------
    path : str
        Inside the asset.
    scale : int or None
        As published.
    claims : tuple of Claim
        Of its own header; their scope is the asset's path.
    grid : Grid or None
        Of arrays of chunks.
    """

    path: str
    scale: int | None = None
    claims: tuple[Claim, ...] = ()
    grid: Grid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRecord:
    """One asset.

    Attributes
    ----------
    path : str
        Below the dataset's folder; empty where that is the asset.
    kind : str
    format : str
    claims : tuple of Claim
        Of its own header; their scope is `path`, so that nothing lies nearer.
    arrays : tuple of ArrayRecord
        Finest first; may be none.
    files : tuple of str
        Below the dataset's folder, where the asset is one file or some.
    notes : tuple of str
    details : mapping of str to object
        More for its document, JSON values, bounded.
    index : int
        Among the images of one group.
    volume : (str, str) or None
        Asset and array as ``emasync.open_volume`` takes them; None where it opens none.
    """

    path: str
    kind: AssetKind
    format: str = ""
    claims: tuple[Claim, ...] = ()
    arrays: tuple[ArrayRecord, ...] = ()
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    index: int = 0
    volume: tuple[str, str] | None = None
