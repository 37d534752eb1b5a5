"""Chunks that are planned and not here are fetched when they are read, and are files of the root from then on."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from tests.integration.folders import run_within
from tests.volume.read.desk import Array, store, voxels

import emasync
from emasync.errors import NotDownloaded
from emasync.testing import Archive
from emasync.volume.interface import NOT_DOWNLOADED
from emasync.volume.lazy import LazyMap

BROKEN = {"b/a.zarr/1/*": [{"status": 404}]}
HASTY = {"127.0.0.1": {"max_attempts": 1}}
CROP = {"start": [2, 2, 2], "shape": [20, 20, 20]}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Array]:
    folder = tmp_path_factory.mktemp("published")
    data = voxels((24, 24, 24))
    data[8:16, :8, :8] = 0  # a chunk that zarr leaves out
    array = zarr.create_array(
        str(folder / "a.zarr"),
        shape=data.shape,
        chunks=(8, 8, 8),
        dtype="u2",
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    array[:] = data
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {f"b/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}, data


class Bench:
    """A root that lacks the chunks of one layer, and the server that has them."""

    def __init__(self, archive: Archive, root: Path, data: Array, **entry: Any) -> None:
        self.archive, self.root, self.data = archive, root, data
        manifest = root.parent / "manifest.yaml"
        entry = {"id": "a", "source": "bucket", "url": f"{archive.url}/b/a.zarr", **entry}
        document = {"version": 1, "root": str(root), "settings": {"hosts": HASTY}, "datasets": [entry]}
        manifest.write_text(json.dumps(document))
        self.manifest = manifest
        assert not run_within(manifest, root).ok
        archive.set_faults({})
        self.forget()

    def forget(self) -> None:
        """Look at requests from now on."""
        self.before = len(self.archive.requests)

    def asked(self) -> list[str]:
        """Chunks that the server was asked for, since the run."""
        return sorted(seen.path.removeprefix("b/a.zarr/") for seen in self.archive.requests[self.before :])


@pytest.fixture(params=["listed", "gridded"])
def bench(
    request: pytest.FixtureRequest,
    archive: Callable[..., Archive],
    objects: tuple[dict[str, bytes], Array],
    tmp_path: Path,
) -> Bench:
    entry = {"crop": CROP} if request.param == "gridded" else {}
    return Bench(archive(objects[0], faults=BROKEN), tmp_path / "root", objects[1], **entry)


def test_without_being_asked_to_nothing_is_fetched(bench: Bench) -> None:
    volume = emasync.open_volume(bench.root, "a")

    np.testing.assert_array_equal(volume[2:8, 2:22, 2:22], bench.data[2:8, 2:22, 2:22])
    with pytest.raises(NotDownloaded):
        volume[2:9, 2:22, 2:22]
    assert bench.asked() == []


def test_tensorstore_makes_nothing_up_either(bench: Bench) -> None:
    volume = emasync.open_volume(bench.root, "a", engine="tensorstore")

    np.testing.assert_array_equal(volume[2:8, 2:22, 2:22], bench.data[2:8, 2:22, 2:22])
    with pytest.raises(NotDownloaded):
        volume[2:9, 2:22, 2:22]


def test_a_block_fetches_the_chunks_it_needs_and_no_others(bench: Bench) -> None:
    volume = emasync.open_volume(bench.root, "a", lazy=True)

    np.testing.assert_array_equal(volume.read((6, 9, 9), (5, 9, 6)), bench.data[6:11, 9:18, 9:15])

    assert bench.asked() == ["1/1/1", "1/2/1"]


def test_what_was_fetched_is_a_file_of_the_root(bench: Bench) -> None:
    volume = emasync.open_volume(bench.root, "a", lazy=True)
    np.testing.assert_array_equal(volume[2:22, 2:22, 2:22], bench.data[2:22, 2:22, 2:22])
    first = bench.asked()
    assert len(first) >= 8

    np.testing.assert_array_equal(volume[2:22, 2:22, 2:22], bench.data[2:22, 2:22, 2:22])
    np.testing.assert_array_equal(
        emasync.open_volume(bench.root, "a", lazy=True)[2:22, 2:22, 2:22], bench.data[2:22, 2:22, 2:22]
    )
    assert bench.asked() == first

    bench.forget()
    assert run_within(bench.manifest, bench.root).ok
    assert not [path for path in bench.asked() if path.startswith("1/")]
    assert emasync.verify(bench.root, full=True).ok
    np.testing.assert_array_equal(emasync.open_volume(bench.root, "a")[2:22, 2:22, 2:22], bench.data[2:22, 2:22, 2:22])


def test_a_chunk_that_still_does_not_come_says_why(bench: Bench) -> None:
    bench.archive.set_faults(BROKEN)
    volume = emasync.open_volume(bench.root, "a", lazy=True)

    with pytest.raises(NotDownloaded, match=r"a\.zarr/1/1/1.*404"):
        volume.read((9, 9, 9), (2, 2, 2))

    bench.archive.set_faults({})
    np.testing.assert_array_equal(volume.read((9, 9, 9), (2, 2, 2)), bench.data[9:11, 9:11, 9:11])


def test_threads_and_pickled_volumes_fetch_each_chunk_once(bench: Bench) -> None:
    volume = emasync.open_volume(bench.root, "a", lazy=True)
    again = pickle.loads(pickle.dumps(volume))  # noqa: S301 - our own
    box = (slice(2, 22),) * 3

    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda one: one[box], [volume, volume, again, again]))

    for block in blocks:
        np.testing.assert_array_equal(block, bench.data[box])
    assert len(bench.asked()) == len(set(bench.asked()))


def test_what_the_publisher_left_out_meanwhile_is_fill_value(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4), fill_value=9)
    stored.places.kind = "formula"
    stored.places.files[0] = stored.places.files[5] = NOT_DOWNLOADED
    fetched: list[list[str]] = []

    def fetch(paths: Sequence[str]) -> frozenset[str]:
        fetched.append(list(paths))
        return frozenset(paths)

    stored.array = replace(stored.array, chunks=LazyMap(stored.array.chunks, fetch, lambda _: False))
    volume = stored.volume()

    for _ in range(2):
        assert (volume[:4, :4, :4] == 9).all()
    assert (volume[4:, :4, 4:] == 9).all()
    np.testing.assert_array_equal(volume[4:, 4:], stored.data[4:, 4:])
    assert fetched == [["set/a/0"], ["set/a/5"]]


def test_one_thread_fetches_and_the_other_finds_it_there(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4))
    stored.places.kind = "formula"
    stored.places.files[0] = NOT_DOWNLOADED
    fetched: list[str] = []
    both = threading.Barrier(2)

    def fetch(paths: Sequence[str]) -> frozenset[str]:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)  # until the other one is here too, which it must not be
        fetched.extend(paths)
        return frozenset()

    stored.array = replace(stored.array, chunks=LazyMap(stored.array.chunks, fetch, lambda path: path in fetched))
    volume = stored.volume()

    with ThreadPoolExecutor(2) as pool:
        for block in pool.map(lambda _: volume[:], range(2)):
            np.testing.assert_array_equal(block, stored.data)
    assert fetched == ["set/a/0"]


def test_what_nobody_wants_any_more_is_not_made_up(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4))
    stored.places.kind = "formula"
    stored.places.files[0] = NOT_DOWNLOADED
    stored.array = replace(stored.array, chunks=LazyMap(stored.array.chunks, lambda _: frozenset(), lambda _: False))

    with pytest.raises(NotDownloaded, match="set/a/0 is not among what the manifest wants"):
        stored.volume()[:]


@pytest.mark.parametrize("attributes", [{}, {"series": "*.dm3"}])
def test_lazy_is_named_where_it_helps(tmp_path: Path, attributes: dict[str, str]) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4))
    stored.places.files[0] = NOT_DOWNLOADED
    stored.array = replace(stored.array, attributes=attributes)

    with pytest.raises(NotDownloaded, match="run the manifest again") as caught:
        stored.volume()[:]
    assert ("lazy=True" in caught.value.message) is ("series" not in attributes)
