"""Random boxes of arrays of random shapes are what the program finds that wrote them, for all of its codecs."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ncempy.io.dm import fileDM
from tests.hooks.index.places import run_hook
from tests.integration.folders import run_within
from tests.volume.read.desk import voxels
from tests.volume.read.peers import PEERS, Read

import emasync
from emasync.errors import InputError
from emasync.hooks.interface import DatasetFacts
from emasync.volume.index import open_index
from emasync.volume.volume import Volume

MODULES = {"z5py": "z5py", "CloudVolume": "cloudvolume", "h5py": "hdf5plugin"}
"""Peers that are not always here: CloudVolume brings fifty packages (``pip install cloud-volume`` by hand)."""

FEW = settings(
    max_examples=2,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Each writes and indexes a dozen arrays, which is too much to shrink; the message has array and box."""

SHAPES = st.tuples(st.integers(3, 9), st.integers(18, 40), st.integers(20, 50))
CHUNKS = st.tuples(st.integers(2, 9), st.integers(9, 20), st.integers(13, 33))
TYPES = st.sampled_from(["u1", "u2", "i4", "f4"])


def boxes(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[slice, ...]]:
    """None of them empty."""

    def between(size: int) -> st.SearchStrategy[slice]:
        ends = st.tuples(st.integers(0, size - 1), st.integers(1, size))
        return ends.map(lambda pair: slice(min(pair[0], pair[1] - 1), max(pair[0] + 1, pair[1])))

    return st.tuples(*map(between, shape))


def opened(root: Path, dataset: str = "d") -> dict[str, Volume]:
    """Volumes of the dataset, by their path in it."""
    entries = open_index(root, dataset).entries()
    return {
        "/".join(filter(None, (entry.asset, entry.path))): emasync.open_volume(
            root, dataset, entry.asset, entry.path, cache_bytes=0
        )
        for entry in entries
    }


def read(volume: Volume, box: tuple[slice, ...]) -> Any:
    """In coordinates that begin at 0."""
    start = [low + part.start for low, part in zip(volume.bounds.start, box, strict=True)]
    return volume.read(start, [part.stop - part.start for part in box])


def compare(data: st.DataObject, volumes: Mapping[str, Volume], written: Mapping[str, Read]) -> None:
    for path, theirs in written.items():
        volume = volumes[path]
        for _ in range(2):
            box = data.draw(boxes(volume.shape))
            np.testing.assert_array_equal(read(volume, box), theirs(box), f"{path} {box}")
    assert volumes.keys() == written.keys()


@pytest.mark.parametrize("peer", PEERS)
def test_boxes_are_what_the_writer_reads(peer: str) -> None:
    pytest.importorskip(MODULES.get(peer, "numpy"))

    @FEW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        shape = data.draw(SHAPES)
        chunks = tuple(map(min, data.draw(CHUNKS), shape))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "d"
            folder.mkdir()
            written = dict(PEERS[peer](folder, voxels(shape, data.draw(TYPES)), chunks))
            run_hook(Path(name), DatasetFacts(id="d", folder="d"))
            compare(data, opened(Path(name)), written)

    check()


SPARSE = [name for name in PEERS if name.startswith("TensorStore")]


def test_boxes_over_chunks_that_the_writer_left_out(tmp_path: Path) -> None:
    """It writes no chunk of nothing but fill values; only a run knows that nobody lost them."""
    data = voxels((9, 40, 50))
    data[:, 13:, :] = data[:, :, 20:] = 0
    entries = []
    written: dict[str, dict[str, Read]] = {}
    for number, peer in enumerate(SPARSE):
        folder = tmp_path / f"d{number}"
        folder.mkdir()
        written[folder.name] = dict(PEERS[peer](folder, data, (4, 12, 17)))
        entries.append({"id": folder.name, "source": "bucket", "url": f"file://{folder}", "format": "raw"})
    assert run_within({"version": 1, "datasets": entries}, tmp_path / "root").ok

    @settings(FEW, max_examples=1)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        for dataset, arrays in written.items():
            compare(data, opened(tmp_path / "root", dataset), arrays)

    check()


def test_chunks_that_were_zipped_behind_their_names(tmp_path: Path) -> None:
    """As CloudVolume keeps them on a disk: TensorStore, which wrote them plain, would find fill values there."""
    folder, data = tmp_path / "made", voxels((9, 40, 50))
    folder.mkdir()
    written = dict(PEERS["TensorStore, precomputed"](folder, data, (4, 12, 17)))
    path = f"raw-{data.dtype.name}/4_5_6"
    kept = tmp_path / "d" / path
    kept.mkdir(parents=True)
    shutil.copyfile(folder / path / "../info", kept.parent / "info")
    for chunk in (folder / path).iterdir():
        (kept / f"{chunk.name}.gz").write_bytes(gzip.compress(chunk.read_bytes()))
    run_hook(tmp_path, DatasetFacts(id="d", folder="d"))
    (volume,) = opened(tmp_path).values()
    np.testing.assert_array_equal(volume[...], written[path](tuple(map(slice, volume.shape))))
    with pytest.raises(InputError, match=r"names end with \.gz"):
        emasync.open_volume(tmp_path, "d", engine="tensorstore")


def test_boxes_of_a_dm_file_are_what_ncempy_reads(fixtures_folder: Path, tmp_path: Path) -> None:
    """Nobody else writes them: a volume by the microscope's own program."""
    name = "openncem__dmTest_3D_int16_64,65,66.dm4"
    (tmp_path / "d").mkdir()
    shutil.copyfile(fixtures_folder / "dm4" / name, tmp_path / "d" / name)
    run_hook(tmp_path, DatasetFacts(id="d", folder="d"))
    volume = emasync.open_volume(tmp_path, "d", cache_bytes=0)
    with fileDM(str(tmp_path / "d" / name)) as file:
        whole = file.getDataset(0)["data"]

    @settings(FEW, max_examples=50)
    @given(boxes(volume.shape))
    def check(box: tuple[slice, ...]) -> None:
        np.testing.assert_array_equal(read(volume, box), whole[box])

    check()
