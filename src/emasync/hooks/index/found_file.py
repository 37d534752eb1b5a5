"""Arrays that lie in files, or in many files that are one volume, before they are written to the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from emasync.formats.chunks import ChunkLayout
from emasync.formats.json_document import Json
from emasync.formats.stored import ChunkTable, Measure
from emasync.model.digest import Span
from emasync.volume.index_entry import Role


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceTable:
    """Places of the chunks of a series, slice by slice.

    Attributes
    ----------
    files : ndarray of int64
        Which of the array's files each chunk is in; a mark below zero where its file is not here.
    starts, sizes : ndarray of uint64
    """

    files: npt.NDArray[np.int64]
    starts: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundArray:
    """One array, and where its chunks are.

    Attributes
    ----------
    asset, array, path, format : str
        As :class:`~emasync.volume.interface.IndexedArray` has them.
    scale : int
    files : sequence of str
        Paths relative to the root: of the file (documents that tell of it behind it), or of all files of a series.
    whole : Span or None
        Of an array that is one piece.
    table : ChunkTable or None
    slices : SliceTable or None
        Of a series.
    """

    asset: str
    array: str
    path: str
    format: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    layout: ChunkLayout
    measures: tuple[Measure | None, ...]
    scale: int = 0
    role: Role = "image"
    attributes: Mapping[str, Json] = field(default_factory=dict)
    files: Sequence[str]
    whole: Span | None = None
    table: ChunkTable | None = None
    slices: SliceTable | None = None
