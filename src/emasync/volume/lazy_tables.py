"""Chunks of a file that no index speaks of yet: their places as its headers told them, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from emasync.formats.stored import ChunkTable
from emasync.model.digest import Span
from emasync.volume.interface import ABSENT, ChunkPlaces, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class TableMap:
    """Places of the chunks of one array of a file; a :class:`~emasync.volume.interface.ChunkMap`.

    Attributes
    ----------
    file : str
        Relative to the root.
    table : ChunkTable
    """

    file: str
    table: ChunkTable

    @classmethod
    def of_piece(cls, file: str, piece: Span) -> TableMap:
        """Of an array that is one piece."""
        return cls(file, ChunkTable(starts=np.array([piece.start], "u8"), sizes=np.array([piece.size_bytes], "u8")))

    @property
    def kind(self) -> Literal["dense"]:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return "dense"

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`; what was never written has the fill value."""
        sizes = self.table.sizes.reshape(-1).take(numbers).astype(np.int64)
        skipped = self.table.skipped
        return ChunkPlaces(
            files=np.where(sizes > 0, 0, ABSENT),
            starts=self.table.starts.reshape(-1).take(numbers).astype(np.int64),
            sizes=sizes,
            skipped=None if skipped is None else skipped.reshape(-1).take(numbers),
        )

    def path(self, file: int) -> str:  # noqa: ARG002 - there is one
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self.file
