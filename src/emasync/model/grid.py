"""An array's chunk grid as a formula: chunk number → chunk coordinates → key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from operator import add
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkGrid:
    """A box of chunks of one array, numbered in C order (last axis fastest).

    Attributes
    ----------
    start : tuple of int
        Chunk coordinates of the first chunk at the source, inclusive, in the array's axis order.
    shape : tuple of int
        Number of chunks on each axis; at least 1 each (an empty tuple for a 0-dimensional array: one chunk).
    prefix : str
        Array folder below the task set's base, ending with a slash, or empty.
    encoding : {"default", "v2"}
        Zarr v3 core specification, "Chunk key encoding": ``default`` puts ``c`` before the coordinates.
    separator : {"/", "."}
    rebase : bool
        Whether destination keys count from zero (a crop stored as an array of its own).
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    prefix: str
    encoding: Literal["default", "v2"] = "v2"
    separator: Literal["/", "."] = "."
    rebase: bool = False

    def __len__(self) -> int:
        return prod(self.shape)

    def coordinates(self, number: int) -> tuple[int, ...]:
        """Coordinates of chunk `number` inside this box, counted from zero.

        Raises
        ------
        IndexError
            `number` is not in ``range(len(self))``.
        """
        rest, coordinates = number, list[int]()
        for size in reversed(self.shape):
            rest, inner = divmod(rest, size)
            coordinates.append(inner)
        if rest:
            raise IndexError(f"chunk {number} of a grid of {len(self)}")
        coordinates.reverse()
        return tuple(coordinates)

    def _text(self, coordinates: Iterable[int]) -> str:
        joined = self.separator.join(map(str, coordinates))
        if self.encoding == "v2":
            return joined or "0"
        return f"c{self.separator}{joined}" if joined else "c"

    def key(self, number: int) -> str:
        """Source key of chunk `number`, relative to the task set's base."""
        inner = self.coordinates(number)
        return self.prefix + self._text(map(add, self.start, inner))

    def destination(self, number: int) -> str:
        """Destination of chunk `number`, relative to the task set's destination folder."""
        if self.rebase:
            return self.prefix + self._text(self.coordinates(number))
        return self.key(number)
