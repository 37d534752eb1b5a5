"""Arrays in large files and shards that are planned and not here: only the bytes of a crop are fetched, and kept."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from tests.integration.folders import run_within
from tests.volume.read.desk import Array

import emasync
from emasync.errors import EmasyncError, ErrorKind, InputError, NotDownloaded, SourceChangedError
from emasync.testing import Archive
from emasync.testing.precomputed import ScaleOnDisk, write_precomputed
from emasync.volume.lazy_files import BLOCK_BYTES

HASTY = {"127.0.0.1": {"max_attempts": 1}}
SHAPE = (64, 256, 256)
DATA: Array = np.random.default_rng(7).integers(0, 1 << 12, SHAPE, np.uint16)
BOX = (slice(20, 28), slice(64, 128), slice(130, 200))
PAGES = DATA.reshape(4, 1024, 1024)
SHARDING = {"hash": "murmurhash3_x86_128", "preshift_bits": 3, "minishard_bits": 2, "shard_bits": 1}


def write_hdf5(folder: Path) -> str:
    with h5py.File(folder / "x.nwb", "w") as file:
        file.create_dataset("acquisition/data", data=DATA, chunks=(8, 64, 64), compression="gzip", compression_opts=1)
        file["other"] = np.arange(1_000)
    return "x.nwb"


def write_mrc(folder: Path) -> str:
    (folder / "x.mrc").write_bytes(mrc_of(DATA, 6))
    return "x.mrc"


def mrc_of(data: Array, mode: int) -> bytes:
    """MRC2014: the size of the volume, its type, the order of its axes, and the two marks of the format."""
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, *reversed(data.shape), mode)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\0\0"
    return bytes(header) + data.tobytes()


def write_tiff(folder: Path) -> str:
    """Pages of 2 MiB, so that their directories lie apart."""
    tifffile.imwrite(folder / "x.tif", PAGES, photometric="minisblack", compression="zlib", rowsperstrip=64)
    return "x.tif"


def write_plain_tiff(folder: Path) -> str:
    tifffile.imwrite(folder / "x.tif", PAGES, photometric="minisblack")
    return "x.tif"


def write_zarr(folder: Path) -> str:
    array = zarr.create_array(
        str(folder / "x.zarr"), shape=SHAPE, chunks=(8, 64, 64), shards=(32, 256, 256), dtype="u2", zarr_format=3
    )
    array[:] = DATA
    return "x.zarr"


def write_shards(folder: Path) -> str:
    scale = ScaleOnDisk(
        voxels=DATA,
        key="8_8_8",
        offset=(0, 0, 0),
        chunk=(32, 32, 32),
        sharding={**SHARDING, "minishard_index_encoding": "gzip", "data_encoding": "gzip"},
    )
    write_precomputed(folder / "x.precomputed", [scale], kind="segmentation")
    return "x.precomputed"


WRITERS: Mapping[str, Callable[[Path], str]] = {
    "hdf5": write_hdf5,
    "mrc": write_mrc,
    "tiff": write_tiff,
    "plain tiff": write_plain_tiff,
    "zarr": write_zarr,
    "precomputed": write_shards,
}


@dataclass(frozen=True, slots=True)
class Published:
    """Objects of a server, and what of them a run is not to get."""

    name: str
    objects: dict[str, bytes]
    bulk: tuple[str, ...]

    @property
    def data(self) -> Array:
        return PAGES if self.name == "x.tif" else DATA

    @property
    def box(self) -> tuple[slice, ...]:
        return (slice(2, 3), *BOX[1:]) if self.name == "x.tif" else BOX

    @property
    def bulk_bytes(self) -> int:
        return sum(len(self.objects[path]) for path in self.bulk)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Published]:
    made: dict[str, Published] = {}

    def publish(kind: str) -> Published:
        if kind not in made:
            folder = tmp_path_factory.mktemp("published")
            name = WRITERS[kind](folder)
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            objects = {f"b/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
            bulk = tuple(path for path, data in objects.items() if len(data) > 1 << 20)
            made[kind] = Published(name, objects, bulk)
        return made[kind]

    return publish


class Bench:
    """A root that has nothing but what is small, and the server that has the rest."""

    def __init__(self, archive: Archive, root: Path, published: Published) -> None:
        self.archive, self.root, self.published = archive, root, published
        self.manifest = root.parent / "manifest.yaml"
        entry = {"id": "a", "source": "bucket", "url": f"{archive.url}/b"}
        document = {"version": 1, "root": str(root), "settings": {"hosts": HASTY}, "datasets": [entry]}
        self.manifest.write_text(json.dumps(document))
        archive.set_faults({path: [{"status": 404}] for path in published.bulk})
        assert not run_within(self.manifest, root).ok
        archive.set_faults({})
        self.forget()

    def forget(self) -> None:
        """Look at requests from now on."""
        self.before = len(self.archive.requests)

    def asked(self) -> list[tuple[int, int]]:
        """Spans of the large objects that the server was asked for."""
        seen = [one for one in self.archive.requests[self.before :] if one.path in self.published.bulk]
        return [span_of(one.range, len(self.published.objects[one.path])) for one in seen]

    def paths(self) -> list[str]:
        """Of the large objects that the server was asked for."""
        return [one.path for one in self.archive.requests[self.before :] if one.path in self.published.bulk]

    def bytes_asked(self) -> int:
        return sum(stop - start for start, stop in self.asked())

    def open(self, **options: Any) -> emasync.volume.volume.Volume:
        return emasync.open_volume(self.root, "a", **options, lazy=True)


def span_of(text: str | None, size_bytes: int) -> tuple[int, int]:
    if text is None:
        return 0, size_bytes
    start, _, last = text.removeprefix("bytes=").partition("-")
    return int(start), min(size_bytes, int(last) + 1)


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    archive: Callable[..., Archive],
    published: Callable[[str], Published],
    tmp_path: Path,
) -> Bench:
    found = published(getattr(request, "param", "hdf5"))
    return Bench(archive(found.objects), tmp_path / "root", found)


def options_for(bench: Bench) -> dict[str, Any]:
    return {"array": "acquisition/data"} if bench.published.name == "x.nwb" else {}


@pytest.mark.parametrize("bench", WRITERS, indirect=True)
def test_a_crop_fetches_its_bytes_and_a_run_the_rest(bench: Bench) -> None:
    data, box = bench.published.data, bench.published.box
    volume = bench.open(**options_for(bench))
    np.testing.assert_array_equal(volume[box], data[box])

    first, requests = bench.bytes_asked(), len(bench.asked())
    assert 0 < first < bench.published.bulk_bytes / 2
    assert requests <= 12

    np.testing.assert_array_equal(volume[box], data[box])
    np.testing.assert_array_equal(bench.open(**options_for(bench))[box], data[box])
    assert len(bench.asked()) == requests

    assert run_within(bench.manifest, bench.root).ok
    spans = sorted((span, path) for span, path in zip(bench.asked(), bench.paths(), strict=True))
    assert bench.bytes_asked() == bench.published.bulk_bytes
    for path in bench.published.bulk:
        own = [span for span, of in spans if of == path]
        assert all(one[1] <= other[0] for one, other in pairwise(own))
        assert (bench.root / "a" / path.removeprefix("b/")).read_bytes() == bench.published.objects[path]
    assert emasync.verify(bench.root, full=True).ok
    np.testing.assert_array_equal(volume[:], data)


def test_threads_and_pickled_volumes_fetch_each_byte_once(bench: Bench) -> None:
    volume = bench.open(**options_for(bench))
    again = pickle.loads(pickle.dumps(volume))  # noqa: S301 - our own

    with ThreadPoolExecutor(4) as pool:
        for block in pool.map(lambda one: one[BOX], [volume, volume, again, again]):
            np.testing.assert_array_equal(block, DATA[BOX])

    spans = sorted(bench.asked())
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_a_batch_is_fetched_at_once(bench: Bench) -> None:
    volume = bench.open(**options_for(bench))
    bench.forget()
    starts = [(0, 0, 0), (32, 128, 128), (48, 200, 10)]
    blocks = volume.read_many(starts, shape=(8, 32, 32))
    for block, (z, y, x) in zip(blocks, starts, strict=True):
        np.testing.assert_array_equal(block, DATA[z : z + 8, y : y + 32, x : x + 32])
    assert len(bench.asked()) <= 6


@pytest.mark.parametrize("bench", ["mrc", "zarr"], indirect=True)
def test_what_changed_at_its_source_is_not_mixed_and_read_anew_when_it_is_opened_again(bench: Bench) -> None:
    volume = bench.open()
    np.testing.assert_array_equal(volume[:1, :1, :1], DATA[:1, :1, :1])
    for path in bench.published.bulk:
        data = bytearray(bench.published.objects[path])
        data[len(data) // 2 + 5] ^= 1
        bench.archive.store.put(path, bytes(data))  # type: ignore[attr-defined]

    with pytest.raises(SourceChangedError, match="changed at its source since it was opened"):
        volume[:, 100:, 100:]
    np.testing.assert_array_equal(bench.open()[:1, :1, :1], DATA[:1, :1, :1])


@pytest.mark.parametrize("bench", ["hdf5", "precomputed"], indirect=True)
def test_what_still_does_not_come_says_why(bench: Bench) -> None:
    options = options_for(bench)
    bench.archive.set_faults({path: [{"status": 403}] for path in bench.published.bulk})
    with pytest.raises(NotDownloaded, match="403"):
        bench.open(**options)[BOX]
    bench.archive.set_faults({})
    np.testing.assert_array_equal(bench.open(**options)[BOX], DATA[BOX])


def test_without_being_asked_to_no_header_is_read(bench: Bench) -> None:
    with pytest.raises(InputError, match="no array has"):
        emasync.open_volume(bench.root, "a")
    assert bench.asked() == []


def test_tensorstore_reads_no_files(bench: Bench) -> None:
    with pytest.raises(InputError, match="chunks that are files of their own"):
        bench.open(engine="tensorstore", **options_for(bench))


def test_a_file_that_nobody_planned_is_no_choice(bench: Bench) -> None:
    with pytest.raises(NotDownloaded, match=r"y\.nwb is neither here nor planned"):
        bench.open(asset="y.nwb")


def test_of_several_files_one_has_to_be_named(archive: Callable[..., Archive], tmp_path: Path) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    write_mrc(folder)
    data = (folder / "x.mrc").read_bytes()
    objects = {"b/x.mrc": data, "b/y.mrc": data}
    bench = Bench(archive(objects), tmp_path / "root", Published("x.mrc", objects, tuple(objects)))

    with pytest.raises(EmasyncError, match=r"choose one by asset: x\.mrc, y\.mrc") as caught:
        bench.open()
    assert caught.value.kind is ErrorKind.AMBIGUOUS
    np.testing.assert_array_equal(bench.open(asset="y.mrc")[BOX], DATA[BOX])
    assert set(bench.paths()) == {"b/y.mrc"}


def test_a_column_of_a_large_volume_fetches_rows_and_not_what_lies_between(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    """Of an uncompressed volume the bytes between the first and the last voxel may be nearly all of it."""
    data = np.random.default_rng(3).integers(-100, 100, (12, 1024, 1024), np.int8)
    objects = {"b/x.mrc": mrc_of(data, 0)}
    bench = Bench(archive(objects), tmp_path / "root", Published("x.mrc", objects, tuple(objects)))

    np.testing.assert_array_equal(bench.open()[:, 512:514, 3:9].view(np.int8), data[:, 512:514, 3:9])

    assert bench.bytes_asked() <= 14 * BLOCK_BYTES


def test_chunks_that_were_never_written_are_fill_value(archive: Callable[..., Archive], tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("data", SHAPE, "u2", chunks=(8, 64, 64), fillvalue=7)
        made[:32] = DATA[:32]
    objects = {"b/x.h5": path.read_bytes()}
    bench = Bench(archive(objects), tmp_path / "root", Published("x.h5", objects, tuple(objects)))
    volume = bench.open()
    bench.forget()
    assert (volume[40:50, 5:80, 5:80] == 7).all()
    assert bench.asked() == []
    np.testing.assert_array_equal(volume[30:34, :9, :9], np.concatenate([DATA[30:32, :9, :9], np.full((2, 9, 9), 7)]))
