"""Many two-dimensional files that are one volume: one slice a file, in natural order of their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import layout_of_stored
from emasync.formats.paths import join
from emasync.formats.stored import Measure, StoredArray
from emasync.hooks.index.files import describe
from emasync.hooks.index.found_file import FoundArray, SliceTable
from emasync.hooks.index.png import png_slice
from emasync.hooks.interface import SeriesFacts
from emasync.hooks.inventory import DataFile, kind_of
from emasync.hooks.local import LocalTree
from emasync.model.globs import Selection
from emasync.volume.states import ChunkState

MAX_NAMED: Final = 20
"""Slices that notes name; the others are counted."""

_PLANE: Final = 2
_NUMBER: Final = re.compile(r"([0-9]+)")


def natural_key(path: str) -> tuple[str | int, ...]:
    """Sorts ``slice_9`` before ``slice_10``."""
    return tuple(int(part) if number % 2 else part for number, part in enumerate(_NUMBER.split(path)))


@dataclass(frozen=True, slots=True)
class Slice:
    """One file of a series.

    Attributes
    ----------
    format : str
    array : StoredArray
    starts, sizes : tuple of int
        Of its chunks.
    """

    format: str
    array: StoredArray
    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def form(self) -> tuple[object, ...]:
        """What slices of one volume agree in."""
        return (self.format, self.array.shape, self.array.axes, str(_layout(self.array)))


@dataclass(slots=True)
class Series:
    """Collects the files of a series.

    Attributes
    ----------
    facts : SeriesFacts
    disk : LocalTree
        Of the dataset.
    there : list of str
        Files that are here, below the dataset.
    elsewhere : dict of str to ChunkState
        Files that the ledger knows of and that are not here.
    known : mapping of str to tuple
        Starts and sizes of slices that are alike and did not change since they were described, by path from the root.
    """

    facts: SeriesFacts
    disk: LocalTree
    there: list[str] = field(default_factory=list)
    elsewhere: dict[str, ChunkState] = field(default_factory=dict)
    known: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    _like: Slice | None = None
    _selection: Selection = field(init=False)

    def __post_init__(self) -> None:
        self._selection = Selection((self.facts.pattern,))

    def wants(self, path: str) -> bool:
        """Whether a path below the dataset is one of the series."""
        return self._selection.wants(path)

    def volume(self, notes: list[str]) -> FoundArray | None:
        """The volume; None where none of its files can be read.

        Parameters
        ----------
        notes : list of str
            Grows: files that differ, or cannot be read, keep their place, and reading it is an error.
        """
        paths = sorted({*self.there, *self.elsewhere}, key=natural_key)
        here = set(self.there)
        slices = {path: found for path in paths if path in here and (found := self._slice(path, notes)) is not None}
        if not slices:
            notes.append(f"series {self.facts.pattern}: none of its {len(paths)} files holds a plane that can be read")
            return None
        form = Counter(found.form for found in slices.values()).most_common(1)[0][0]
        alike = {path: found for path, found in slices.items() if found.form == form}
        self._tell_odd(slices, form, notes)
        return self._found(paths, alike)

    def _tell_odd(self, slices: Mapping[str, Slice], form: tuple[object, ...], notes: list[str]) -> None:
        odd = [path for path, found in slices.items() if found.form != form]
        for path in odd[:MAX_NAMED]:
            array = slices[path].array
            notes.append(
                f"{path}: a plane of {array.shape} {array.dtype} in a series of {form[1]}, or stored otherwise; it is "
                "no slice of the volume, its place cannot be read"
            )
        if len(odd) > MAX_NAMED:
            notes.append(f"series {self.facts.pattern}: {len(odd) - MAX_NAMED} more files differ from the others")

    def _slice(self, path: str, notes: list[str]) -> Slice | None:
        """What a file holds; of those that are known to be alike one is described, for all of them."""
        places = self.known.get(join(self.disk.folder, path))
        if places is not None and self._like is not None:
            return Slice(self._like.format, self._like.array, *places)
        found = self._described(path, notes)
        if places is not None and found is not None and (found.starts, found.sizes) == places:
            self._like = found
        return found

    def _described(self, path: str, notes: list[str]) -> Slice | None:
        file = self.disk.file(path)
        if file is None:
            return None
        if path.lower().endswith(".png"):
            plane = png_slice(file, notes)
            return None if plane is None else Slice("png", plane, (0,), (file.size_bytes,))
        kind = kind_of(path)
        if kind is None:
            notes.append(f"{path}: files of this kind are no slices of a series here")
            return None
        found, said = describe(DataFile(path, kind), file)
        notes += said
        planes = [array for array in found.arrays if array.role == "image"] if found is not None else []
        if found is None or len(planes) != 1:
            notes.append(f"{path}: holds {len(planes)} images, a slice of a series holds one")
            return None
        return _as_slice(found.format, planes[0], path, notes)

    def _found(self, paths: Sequence[str], slices: Mapping[str, Slice]) -> FoundArray:
        first = next(iter(slices.values()))
        files = list(slices)
        whole = _volume(first.array, len(paths), self._spacing())
        return FoundArray(
            asset=self._selection.folders[0].rstrip("/"),
            array="",
            path="",
            format=first.format,
            shape=whole.shape,
            axes=whole.axes,
            layout=_layout(whole),
            measures=whole.measures,
            attributes={"series": self.facts.pattern, "files": len(paths)},
            files=[join(self.disk.folder, path) for path in files],
            slices=self._table(paths, slices, files),
        )

    def _table(self, paths: Sequence[str], slices: Mapping[str, Slice], files: Sequence[str]) -> SliceTable:
        each = len(next(iter(slices.values())).starts)
        numbers = {path: number for number, path in enumerate(files)}
        rows = np.empty((len(paths), each), np.int64)
        starts, sizes = np.zeros((2, len(paths), each), np.uint64)
        for row, path in enumerate(paths):
            found = slices.get(path)
            if found is None:
                rows[row] = -int(self.elsewhere.get(path, ChunkState.UNKNOWN))
            else:
                rows[row], starts[row], sizes[row] = numbers[path], found.starts, found.sizes
        return SliceTable(files=rows.reshape(-1), starts=starts.reshape(-1), sizes=sizes.reshape(-1))

    def _spacing(self) -> Measure | None:
        if self.facts.spacing is None:
            return None
        return Measure(self.facts.spacing, self.facts.unit or "", "manifest: series.spacing")


def _as_slice(name: str, array: StoredArray, path: str, notes: list[str]) -> Slice | None:
    if array.axes[:_PLANE] != ("y", "x") and array.axes[-_PLANE:] != ("y", "x"):
        notes.append(f"{path}: an image of axes {', '.join(array.axes)} is no slice of a series")
        return None
    if array.whole is not None:
        return Slice(name, array, (array.whole.start,), (array.whole.size_bytes,))
    if array.table is None:
        return None
    return Slice(name, array, tuple(array.table.starts.ravel().tolist()), tuple(array.table.sizes.ravel().tolist()))


def _volume(plane: StoredArray, count: int, spacing: Measure | None) -> StoredArray:
    """Planes along z; a plane that is one file's piece is one chunk."""
    return replace(
        plane,
        shape=(count, *plane.shape),
        chunks=(1, *plane.chunks),
        axes=("z", *plane.axes),
        measures=(spacing, *plane.measures),
        whole=None,
        table=None,
    )


def _layout(array: StoredArray) -> ChunkLayout:
    """Pictures are decoded as those of precomputed volumes are: whole, to as many voxels as the chunk has."""
    if any(codec.name.startswith("precomputed.") for codec in array.codecs):
        return ChunkLayout(chunks=array.chunks, dtype=array.dtype, codecs=array.codecs)
    return layout_of_stored(array)
