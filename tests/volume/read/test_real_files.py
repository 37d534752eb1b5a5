"""Files of other people's programs: what readers of theirs found in them is what blocks hold, in every engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.folders import run_within
from tests.volume.read.desk import Array

import emasync
from emasync.errors import FormatError, InputError
from emasync.formats.content import NoDecoderError
from emasync.volume.index import open_index
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.orientation import SPATIAL
from emasync.volume.tensorstore import DRIVERS

GROUPS = ("dm3", "dm4", "mrc", "n5", "ome_tiff", "ome_zarr_05", "precomputed", "tiff_compressed", "zarr_v3")
UNTOLD = ("neuroglancer_info_examples", "neuroglancer_n5_multiscale_deprecated")
"""Without a chunk: nobody wrote down what their fill values look like."""

MOST_VOXELS = 20_000_000  # larger ones take longer than they tell


@pytest.fixture(scope="module")
def root(fixtures_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real") / "root"
    entries = [
        {"id": name, "source": "bucket", "url": f"file://{fixtures_folder}/{name}", "format": "raw"} for name in GROUPS
    ]
    assert run_within({"version": 1, "datasets": entries}, root).ok
    return root


@pytest.fixture(scope="module")
def told(fixtures_folder: Path) -> frozenset[str]:
    """Digests of all arrays that were read by others."""
    return frozenset(digests(json.loads((fixtures_folder / "TRUTH.json").read_text())))


def digests(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if "sha256" in name and isinstance(item, str):
                yield item
            else:
                yield from digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from digests(item)


def digest(voxels: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(voxels.astype(voxels.dtype.newbyteorder("<"))).tobytes()).hexdigest()


def whole(root: Path, dataset: str, entry: ArrayEntry, **options: Any) -> Iterator[Array]:
    """The array, in its order of axes on disk: position by position of the axes that must be selected."""
    others = [at for at, axis in enumerate(entry.axes) if axis.lower() not in SPATIAL]
    chosen = {"y", "x"} <= {axis.lower() for axis in entry.axes} and len(set(entry.axes)) == len(entry.axes)
    made = np.empty(entry.shape, np.dtype(entry.layout.dtype).newbyteorder("="))
    for place in np.ndindex(*(entry.shape[at] for at in others)) if chosen else [()]:
        select = {entry.axes[at]: position for at, position in zip(others, place, strict=False)} if chosen else None
        volume = emasync.open_volume(root, dataset, entry.asset, entry.path, entry.scale, select=select, **options)
        block = volume[...]
        if not chosen:
            made[...] = block
            break
        kept = [axis for axis in entry.axes if axis in volume.axes]
        index: list[Any] = [slice(None)] * len(entry.shape)
        for at, position in zip(others, place, strict=True):
            index[at] = position
        made[tuple(index)] = block.transpose([volume.axes.index(axis) for axis in kept])
    yield made


@pytest.mark.parametrize("dataset", GROUPS)
def test_blocks_hold_what_others_found(root: Path, told: frozenset[str], dataset: str) -> None:
    compared = 0
    for entry in open_index(root, dataset).entries():
        told_of = entry.role != "thumbnail" and not any(name in entry.asset for name in UNTOLD)
        if not told_of or np.prod(entry.shape) > MOST_VOXELS:
            continue
        try:
            (found,) = whole(root, dataset, entry)
        except NoDecoderError:
            continue
        assert {digest(found), digest(found.T)} & told, f"{entry.asset} {entry.path}"
        compared += 1
    assert compared >= 2


@pytest.mark.parametrize("dataset", ["n5", "ome_zarr_05", "precomputed", "zarr_v3"])
def test_tensorstore_finds_the_same(root: Path, dataset: str) -> None:
    compared = 0
    for entry in open_index(root, dataset).entries():
        if entry.format not in DRIVERS or np.prod(entry.shape) > MOST_VOXELS:
            continue
        try:
            (ours,), (theirs,) = whole(root, dataset, entry), whole(root, dataset, entry, engine="tensorstore")
        except (NoDecoderError, FormatError, InputError):  # a codec, or a document that one of them does not take
            continue
        np.testing.assert_array_equal(theirs, ours, f"{entry.asset} {entry.path}")
        compared += 1
    assert compared >= 2
