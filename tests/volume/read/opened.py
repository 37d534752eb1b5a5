"""A root with an index, and work for other processes: modules that a spawned process imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from tests.integration.folders import run_within
from tests.volume.read.desk import Array, voxels

import emasync
from emasync.volume.volume import Volume


def opened_root(folder: Path, **options: Any) -> tuple[Volume, Array]:
    """A volume of a dataset that was fetched just now, and its voxels."""
    data = voxels((32, 32, 32))
    array = zarr.create_array(str(folder / "a.zarr"), shape=data.shape, chunks=(8, 8, 8), dtype="u2", zarr_format=2)
    array[:] = data
    entry = {"id": "a", "source": "bucket", "url": f"file://{folder}/a.zarr"}
    assert run_within({"version": 1, "datasets": [entry]}, folder / "root").ok
    return emasync.open_volume(folder / "root", "a", **options), data


def read_blocks(volume: Volume, starts: list[list[int]]) -> list[Array]:
    """Blocks of 10 x 10 x 10, one by one."""
    return [volume.read(start, (10, 10, 10)) for start in starts]
