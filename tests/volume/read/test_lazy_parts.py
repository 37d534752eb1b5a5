"""Arrays in large files and shards that are planned and not here: only the bytes of a crop are fetched, and kept."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
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
from emasync.testing import Archive
from emasync.testing.precomputed import ScaleOnDisk, write_precomputed

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
    """MRC2014: the size of the volume, mode 6 (uint16), and the two marks of the format."""
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, *reversed(SHAPE), 6)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\0\0"
    (folder / "x.mrc").write_bytes(bytes(header) + DATA.tobytes())
    return "x.mrc"


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
