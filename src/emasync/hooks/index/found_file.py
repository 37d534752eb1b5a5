"""Arrays that lie in files, or in many files that are one volume, before they are written to the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emasync.formats.chunks import ChunkLayout
from emasync.formats.json_document import Json
from emasync.formats.stored import ChunkTable, Measure
from emasync.model.digest import Span
from emasync.volume.index_entry import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundArray:
    """One array, and where its chunks are.

    Attributes
    ----------
    asset, array, path, format : str
        As :class:`~emasync.volume.interface.IndexedArray` has them.
    scale : int
    files : sequence of str
        Paths relative to the root: of the one file, or of one a chunk of a series (`starts` then).
    whole : Span or None
        Of an array that is one piece.
    table : ChunkTable or None
    starts : sequence of int
        Of a series: first byte of each file's chunk.
    size_bytes : int
        Of a series: of every chunk.
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
    starts: Sequence[int] = ()
    size_bytes: int = 0
