"""Blocks of an array that lies in one file, without a plan: what is asked for is looked at once, and copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import add, index, lt, sub
from typing import SupportsIndex

import numpy as np

from emasync.model.geometry import Box
from emasync.volume.cache import Voxels
from emasync.volume.orientation import Orientation
from emasync.volume.reading import BlockEngine, DirectEngine


@dataclass(frozen=True, slots=True)
class Window:
    """An array in one file, whose axes blocks have as they are.

    Attributes
    ----------
    engine : DirectEngine
    there : Box
        What is on disk, source coordinates.
    dtype : numpy.dtype
        Of blocks.
    """

    engine: DirectEngine
    there: Box
    dtype: np.dtype[np.generic]

    def block(
        self, start: Sequence[SupportsIndex], shape: Sequence[SupportsIndex], out: Voxels | None
    ) -> Voxels | None:
        """A block, as :meth:`~emasync.volume.volume.Volume.read` gives it.

        Returns
        -------
        ndarray or None
            None where it is not that simple, or wrong: the general way tells, or does it.

        Raises
        ------
        FormatError, NotDownloaded
            The file is shorter, or is not there.
        """
        if not self.engine.in_one_file:
            return None
        try:
            low, size = tuple(map(index, start)), tuple(map(index, shape))
        except TypeError:
            return None
        there = self.there
        if not len(low) == len(size) == len(there.start) or min(size, default=0) <= 0:
            return None
        if any(map(lt, low, there.start)) or any(map(lt, there.stop, map(add, low, size))):
            return None
        if out is None:
            out = np.empty(size, self.dtype)
        elif out.shape != size or out.dtype != self.dtype or not out.flags.writeable:
            return None
        return out if self.engine.look(tuple(map(sub, low, there.start)), out) else None


def window_of(engine: BlockEngine, orientation: Orientation, there: Box, dtype: np.dtype[np.generic]) -> Window | None:
    """What blocks may be read through; None where the engine is another one, or blocks have other axes."""
    return Window(engine, there, dtype) if isinstance(engine, DirectEngine) and orientation.straight else None
