"""Files of other people's programs: blocks are the same in every engine (``test_truth.py``: what they are)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.integration.folders import run_within
from tests.volume.read.whole_volume import whole_volume

from emasync.errors import FormatError, InputError
from emasync.formats.content import NoDecoderError
from emasync.volume.index import open_index
from emasync.volume.tensorstore import DRIVERS

GROUPS = ("n5", "ome_zarr_05", "precomputed", "zarr_v3")

MOST_VOXELS = 20_000_000  # larger ones take longer than they tell


@pytest.fixture(scope="module")
def root(fixtures_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real") / "root"
    entries = [
        {"id": name, "source": "bucket", "url": f"file://{fixtures_folder}/{name}", "format": "raw"} for name in GROUPS
    ]
    assert run_within({"version": 1, "datasets": entries}, root).ok
    return root


@pytest.mark.parametrize("dataset", GROUPS)
def test_tensorstore_finds_the_same(root: Path, dataset: str) -> None:
    compared = 0
    for entry in open_index(root, dataset).entries():
        if entry.format not in DRIVERS or np.prod(entry.shape) > MOST_VOXELS:
            continue
        try:
            ours, theirs = (whole_volume(root, dataset, entry, engine=engine) for engine in ("direct", "tensorstore"))
        except (NoDecoderError, FormatError, InputError):  # a codec, or a document that one of them does not take
            continue
        np.testing.assert_array_equal(theirs, ours, f"{entry.asset} {entry.path}")
        compared += 1
    assert compared >= 2
