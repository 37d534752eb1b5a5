"""Chunks that are files of their own: the name of each is a formula, and what is there is told by a bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from emasync.model.grid import ChunkGrid
from emasync.volume.index_columns import Columns
from emasync.volume.interface import WHOLE_FILE, ChunkPlaces, Numbers
from emasync.volume.states import ChunkState, look_up


@dataclass(frozen=True, slots=True)
class FormulaMap:
    """Chunk numbers → names. The number of a file is that of its chunk.

    Attributes
    ----------
    columns : Columns
    folder : str
        That names are below of, relative to the root.
    grid : ChunkGrid
        Of the chunks on disk.
    state : ChunkState or None
        Of all chunks; None where they differ, or nobody knows.
    blocks : int or None
        First word of the chunks' states, see :mod:`emasync.volume.states`.
    probe : Path or None
        The root, where nobody remembers the states: the disk is asked chunk by chunk, and what is not there is unknown.
    crc32c : int or None
        First row in the column of that name.
    """

    columns: Columns
    folder: str
    grid: ChunkGrid
    state: ChunkState | None = None
    blocks: int | None = None
    probe: Path | None = None
    crc32c: int | None = None

    @property
    def kind(self) -> Literal["formula"]:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return "formula"

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        crc32c = None if self.crc32c is None else self.columns.get("crc32c").take(numbers + self.crc32c)
        starts = np.zeros(len(numbers), np.int64)
        if self.state is ChunkState.PRESENT:
            sizes = np.full(len(numbers), WHOLE_FILE, np.int64)
            return ChunkPlaces(files=numbers, starts=starts, sizes=sizes, crc32c=crc32c)
        states = self._states(numbers)
        there = states == ChunkState.PRESENT
        return ChunkPlaces(
            files=np.where(there, numbers, -states), starts=starts, sizes=there * WHOLE_FILE, crc32c=crc32c
        )

    def _states(self, numbers: Numbers) -> Numbers:
        if self.blocks is not None:
            return look_up(self.columns, self.blocks, numbers)
        if self.probe is None:
            return np.full(len(numbers), ChunkState.UNKNOWN if self.state is None else self.state, np.int64)
        there = [(self.probe / self.path(number)).is_file() for number in numbers.tolist()]
        return np.where(there, ChunkState.PRESENT, ChunkState.UNKNOWN).astype(np.int64)

    def path(self, file: int) -> str:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return f"{self.folder}/{self.grid.destination(file)}"
