"""What can be read of a root: one row an array, with its levels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from emasync.errors import InputError
from emasync.volume.index import indexed_datasets, open_index
from emasync.volume.index_entry import ArrayEntry, Coverage, Role
from emasync.volume.orientation import SPATIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeScale:
    """One level of a volume.

    Attributes
    ----------
    scale : int
        Number of the level as published.
    shape, chunks : tuple of int
        Voxels on disk; of one chunk.
    start : tuple of int
        Source coordinates of the first voxel on disk.
    voxel_size : tuple of float or None
        As published, one an axis, in the volume's unit.
    kind : {"affine", "pages", "formula", "dense", "sparse"}
        How the index keeps places of chunks.
    coverage : Coverage
        Chunks that are here, left out by the publisher, or not downloaded.
    """

    scale: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    start: tuple[int, ...]
    voxel_size: tuple[float | None, ...]
    unit: tuple[str | None, ...]
    kind: str
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRow:
    """One volume: an array, or an image at several scales.

    Attributes
    ----------
    dataset, asset, array : str
        What :func:`emasync.open_volume` takes.
    format, dtype : str
    axes : tuple of str
        The last is the fastest.
    role : {"image", "labels", "thumbnail", "reduced"}
    scales : tuple of VolumeScale
        Finest first.
    """

    dataset: str
    asset: str
    array: str
    format: str
    dtype: str
    axes: tuple[str, ...]
    role: Role
    scales: tuple[VolumeScale, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the finest level there is."""
        return self.scales[0].shape

    @property
    def has_voxels(self) -> bool:
        """Whether an axis is one of space: then a voxel size would be expected."""
        return any(axis.lower() in SPATIAL for axis in self.axes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON (Any: its values)."""
        return asdict(self)


def volumes(root: str | os.PathLike[str], dataset: str | None = None) -> list[VolumeRow]:
    """List what can be read of a root.

    Parameters
    ----------
    root : path
    dataset : str, optional
        Of this dataset only.

    Raises
    ------
    InputError
        No such root, or nothing in it has an index.
    SourceError
        ``stale_index``: an index of another version, or damaged.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise InputError(f"{root}: no such folder")
    known = indexed_datasets(folder)
    if not known or (dataset is not None and dataset not in known):
        what = "nothing here has a chunk index" if not known else f"no index of dataset {dataset!r}"
        raise InputError(f"{root}: {what}; `emasync index` makes one of what is on disk")
    return list(_rows(folder, known if dataset is None else [dataset]))


def index_stats(root: str | os.PathLike[str], datasets: Sequence[str] = ()) -> list[str]:
    """Read every chunk of indexed images and labels, and keep beside their index what is in them.

    Parameters
    ----------
    root : path
    datasets : sequence of str
        Ids; all that are indexed by default.

    Returns
    -------
    list of str
        What cannot be read, and why.

    Raises
    ------
    InputError
        No index.
    SourceError
        ``stale_index``: files changed since.
    MachineError
        Disk full, no permission.
    """
    from emasync.volume.files import LocalFiles  # noqa: PLC0415 - decoders and more, where chunks are read
    from emasync.volume.index_stats import write_stats  # noqa: PLC0415 - as above

    folder = Path(root).expanduser()
    files = LocalFiles(str(folder))
    chosen = datasets or indexed_datasets(folder)
    return [f"{name}: {note}" for name in chosen for note in write_stats(open_index(folder, name), files)]


def _rows(root: Path, datasets: list[str]) -> Iterator[VolumeRow]:
    for dataset in datasets:
        entries = open_index(root, dataset).entries()
        for _, of_asset in groupby(entries, key=lambda entry: entry.asset):
            yield from _of_asset(dataset, list(of_asset))


def _of_asset(dataset: str, entries: list[ArrayEntry]) -> Iterator[VolumeRow]:
    """Levels may be written in any order."""
    arrays: dict[str, list[ArrayEntry]] = {}
    for entry in entries:
        arrays.setdefault(entry.array, []).append(entry)
    for array, levels in arrays.items():
        levels.sort(key=lambda entry: entry.scale)
        first = levels[0]
        yield VolumeRow(
            dataset=dataset,
            asset=first.asset,
            array=array,
            format=first.format,
            dtype=first.layout.dtype,
            axes=first.axes,
            role=first.role,
            scales=tuple(map(_scale, levels)),
        )


def _scale(entry: ArrayEntry) -> VolumeScale:
    return VolumeScale(
        scale=entry.scale,
        shape=entry.shape,
        chunks=entry.layout.chunks,
        start=entry.origin,
        voxel_size=tuple(None if measure is None else measure.value for measure in entry.measures),
        unit=tuple(None if measure is None else measure.unit for measure in entry.measures),
        kind=entry.kind,
        coverage=entry.coverage,
    )
