"""An array's chunk grid as a formula: chunk number ↔ chunk coordinates ↔ key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from operator import add
from typing import Any, Final, Literal

_VOXELS: Final = re.compile(
    r"(-?[0-9]{1,19})-(-?[0-9]{1,19})_(-?[0-9]{1,19})-(-?[0-9]{1,19})_(-?[0-9]{1,19})-(-?[0-9]{1,19})"
)
"""Name of a chunk that says which voxels it holds: x, y, z."""


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
    encoding : {"default", "v2", "n5"}
        Zarr v3 core specification, "Chunk key encoding": ``default`` puts ``c`` before the coordinates. N5
        specification, "File-system specification": ``n5`` names the last axis first, because N5 counts x, y, z.
    separator : {"/", "."}
    rebase : bool
        Whether destination keys count from zero (a crop stored as an array of its own).
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    prefix: str
    encoding: Literal["default", "v2", "n5"] = "v2"
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
        if self.encoding == "n5":
            return self.separator.join(map(str, reversed(tuple(coordinates))))
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

    @property
    def naming(self) -> tuple[object, ...]:
        """What chunk names depend on, beside the coordinates: grids that agree in it name their chunks alike."""
        return (self.prefix, self.encoding, self.separator, len(self.shape))

    def number_of(self, key: str) -> int | None:
        """Number of the chunk that has `key` at the source: the inverse of :meth:`key`; None for any other."""
        number = self._number(key, self.start)
        return number if number is not None and self.key(number) == key else None

    def number_at(self, destination: str) -> int | None:
        """Number of the chunk that goes to `destination`: the inverse of :meth:`destination`; None for any other."""
        number = self._number(destination, (0,) * len(self.start) if self.rebase else self.start)
        return number if number is not None and self.destination(number) == destination else None

    def _number(self, name: str, start: tuple[int, ...]) -> int | None:
        named = self._named(name[len(self.prefix) :]) if name.startswith(self.prefix) else None
        if named is None or len(named) != len(self.shape):
            return None
        number = 0
        for at, low, size in zip(named, start, self.shape, strict=True):
            if not low <= at < low + size:
                return None
            number = number * size + at - low
        return number

    def _named(self, text: str) -> tuple[int, ...] | None:
        """Coordinates that a name may stand for; the caller compares the name that they really have."""
        if not self.shape:
            return ()
        words = text.removeprefix(f"c{self.separator}").split(self.separator)
        if self.encoding == "n5":
            words.reverse()
        return tuple(map(int, words)) if all(word.isascii() and word.isdecimal() for word in words) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelGrid(ChunkGrid):
    """A grid whose chunks are named by the voxels they hold: ``x0-x1_y0-y1_z0-z1``, in source coordinates.

    Neuroglancer, "Precomputed volume format", section "Unsharded chunk storage": the numbers include the offset of
    the volume, and chunks at its far edge are cut to it. A part of a volume keeps its names, so nothing is re-based.

    Attributes
    ----------
    chunk : tuple of int
        Voxels of one chunk; like all attributes in the order z, y, x, and at least 1.
    origin : tuple of int
        First voxel of the volume, in source coordinates; may be negative.
    size : tuple of int
        Voxels of the volume.
    suffix : str
        Behind each name: CloudVolume keeps compressed chunks on a disk as ``.gz``.
    """

    chunk: tuple[int, ...]
    origin: tuple[int, ...]
    size: tuple[int, ...]
    suffix: str = ""

    def _text(self, coordinates: Iterable[int]) -> str:
        spans = [
            f"{origin + at * chunk}-{origin + min((at + 1) * chunk, size)}"
            for at, chunk, origin, size in zip(coordinates, self.chunk, self.origin, self.size, strict=True)
        ]
        return "_".join(reversed(spans)) + self.suffix

    @property
    def naming(self) -> tuple[object, ...]:
        """What chunk names depend on, beside the coordinates."""
        return (self.prefix, "voxels", self.chunk, self.origin, self.size, self.suffix)

    def _named(self, text: str) -> tuple[int, ...] | None:
        found = _VOXELS.fullmatch(text.removesuffix(self.suffix))
        if found is None:
            return None
        firsts = map(int, reversed(found.groups()[::2]))
        return tuple(
            (first - origin) // chunk for first, origin, chunk in zip(firsts, self.origin, self.chunk, strict=True)
        )


def grid_of(fields: dict[str, Any]) -> ChunkGrid:
    """A grid back from its fields (Any: JSON, where tuples are lists)."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list | tuple) else value for name, value in fields.items()
    }
    return VoxelGrid(**values) if "chunk" in values else ChunkGrid(**values)
