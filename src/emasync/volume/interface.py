"""What an index says of one array, and how its chunks are found: the meeting place of index, planner and reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from emasync.formats.chunks import ChunkLayout
from emasync.formats.json_document import Json
from emasync.formats.stored import Measure
from emasync.model.geometry import Box

Numbers = npt.NDArray[np.int64]
"""Chunk numbers: positions in the C order of an array's chunk grid, from 0."""

ABSENT: Final = -1
"""Left out by the publisher: its voxels have the fill value."""

NOT_DOWNLOADED: Final = -2
"""There may be data at the source, and none here: reading it is an error, never zeros."""

UNKNOWN: Final = -3
"""Not here, and nobody remembers why (the ledger is gone): an error too."""

WHOLE_FILE: Final = -1
"""Size of a chunk that is a file of its own, whatever that file's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlaces:
    """Where some chunks lie: one row a chunk, in the order they were asked for.

    Attributes
    ----------
    files : ndarray of int64
        Number of the file (see :meth:`ChunkMap.path`), or :data:`ABSENT`, :data:`NOT_DOWNLOADED`, :data:`UNKNOWN`.
    starts : ndarray of int64
        First byte in the file.
    sizes : ndarray of int64
        Bytes as stored, or :data:`WHOLE_FILE`; 0 where `files` is a mark, and only there.
    skipped : ndarray of uint32 or None
        Codecs that a chunk went without, see :meth:`~emasync.formats.chunks.ChunkDecoder.decode`.
    crc32c : ndarray of uint32 or None
        Of the bytes as stored; None where nobody computed it.
    """

    files: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    skipped: npt.NDArray[np.uint32] | None = None
    crc32c: npt.NDArray[np.uint32] | None = None


class ChunkMap(Protocol):
    """Chunk numbers → places. Read-only, safe in threads and forked processes, cheap to pickle (as its paths)."""

    @property
    def kind(self) -> Literal["affine", "pages", "formula", "dense", "sparse"]:
        """How places are kept; see ``docs/chunk-index.md``."""
        ...

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """Places of chunks; all numbers are inside of the grid."""
        ...

    def path(self, file: int) -> str:
        """Path of a file, relative to the root, with slashes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedArray:
    """One array at one scale, as the index knows it.

    Attributes
    ----------
    dataset, asset : str
        The asset's path below the dataset's folder; empty where the dataset's folder is the asset.
    array : str
        Path inside the asset: of the image where the array is a level of one, else of the array itself; may be empty.
    scale : int
        Number of the level as published, 0 where there are no levels.
    path : str
        Of the array itself inside the asset.
    format : str
    shape : tuple of int
        Voxels on disk, in the order of `axes`: the hull of what was asked for.
    axes : tuple of str
        The last is the fastest.
    layout : ChunkLayout
    chunks : ChunkMap
    origin : tuple of int
        Source coordinates of the first voxel on disk.
    bounds : Box
        What was asked for, source coordinates.
    measures : tuple of Measure or None
        Voxel size of each axis as published; None where nobody said.
    translation_nm : mapping of str to float
        World position of the *source* voxel 0 by axis, nanometres, as far as stated.
    role : {"image", "labels", "thumbnail", "reduced"}
    attributes : mapping of str to Json
        More that the publisher says of the array, bounded.
    """

    dataset: str
    asset: str
    array: str
    scale: int
    path: str
    format: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    layout: ChunkLayout
    chunks: ChunkMap
    origin: tuple[int, ...]
    bounds: Box
    measures: tuple[Measure | None, ...]
    translation_nm: Mapping[str, float] = field(default_factory=dict)
    role: Literal["image", "labels", "thumbnail", "reduced"] = "image"
    attributes: Mapping[str, Json] = field(default_factory=dict)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Chunks on each axis; none where the axis has no extent."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.layout.chunks, strict=True))


class FileReader(Protocol):
    """Bytes of files below the root, or of their originals; calls come from several threads at once."""

    def read(self, path: str, start: int, size_bytes: int) -> bytes | memoryview:
        """Exactly the bytes asked for, or the whole file for :data:`WHOLE_FILE`.

        Raises
        ------
        FormatError
            The file is shorter.
        NotDownloaded
            There is no such file.
        """
        ...
