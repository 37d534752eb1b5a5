"""Boxes out of sharded Zarr arrays through the whole program: stored without shards, inner chunks byte for byte.

The publisher is TensorStore, and so is who takes inner chunks out of shards to compare: neither is ours.
"""

from __future__ import annotations

import json
import shutil
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from tests.integration.folders import files_below, run_within

from emasync.api.options import RunOptions
from emasync.errors import ErrorKind
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import smooth_blobs, write_ome_zarr_05_sharded

tensorstore = pytest.importorskip("tensorstore")

Volume = npt.NDArray[Any]
Json = dict[str, Any]

BLOBS = smooth_blobs((40, 48, 56), "uint16", 4)
LITTLE: Json = {"name": "bytes", "configuration": {"endian": "little"}}
BIG: Json = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD: Json = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
CRC: Json = {"name": "crc32c"}
TURNED: Json = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}


@dataclass(frozen=True, kw_only=True)
class Sharded:
    """How an array is written; shapes in its own axis order."""

    shard: tuple[int, ...] = (16, 16, 16)
    inner: tuple[int, ...] = (8, 4, 8)
    location: str = "end"
    index: Sequence[Json] = (LITTLE, CRC)
    codecs: Sequence[Json] = (LITTLE, ZSTD)
    before: Sequence[Json] = ()
    keys: Json = field(default_factory=lambda: {"name": "default", "configuration": {"separator": "/"}})

    @property
    def order(self) -> list[int]:
        """Axes as the sharding codec sees them."""
        return self.before[0]["configuration"]["order"] if self.before else [0, 1, 2]

    def metadata(self, shape: Sequence[int]) -> Json:
        shard = {
            "chunk_shape": [self.inner[axis] for axis in self.order],
            "codecs": list(self.codecs),
            "index_codecs": list(self.index),
            "index_location": self.location,
        }
        return {
            "shape": list(shape),
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.shard)}},
            "chunk_key_encoding": self.keys,
            "codecs": [*self.before, {"name": "sharding_indexed", "configuration": shard}],
            "fill_value": 0,
            "dimension_names": ["z", "y", "x"],
        }

    def write(self, folder: Path, voxels: Volume) -> None:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}
        store = tensorstore.open({**spec, "metadata": self.metadata(voxels.shape)}, create=True).result()
        store.write(voxels).result()

    def inner_bytes(self, shard: Path, cell: Sequence[int]) -> bytes | None:
        """Bytes of one inner chunk of a shard."""
        per_shard = [outer // part for outer, part in zip(self.shard, self.inner, strict=True)]
        spec = {
            "driver": "zarr3_sharding_indexed",
            "base": f"file://{shard}",
            "grid_shape": [per_shard[axis] for axis in self.order],
            "index_codecs": list(self.index),
            "index_location": self.location,
        }
        store = tensorstore.KvStore.open(spec).result()
        found = store.read(struct.pack(">3I", *(cell[axis] for axis in self.order))).result()
        return bytes(found.value) if found.state == "value" else None


class Served:
    """An array in a bucket."""

    def __init__(self, folder: Path, archive: Archive, how: Sharded) -> None:
        self.folder = folder
        self.archive = archive
        self.how = how

    def manifest(self, **choice: Any) -> Json:
        return {
            "version": 1,
            "mirrors": {"s3://bucket": f"{self.archive.url}/bucket"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "part", "source": "bucket", "url": "s3://bucket/em.zarr", **choice}],
        }

    def ranges(self) -> list[tuple[str, str]]:
        """Shard and range of every request for a part of a shard."""
        lead = "bucket/em.zarr/"
        asked = (seen for seen in self.archive.requests if seen.status == 206 and seen.path.startswith(lead))
        return [(seen.path.removeprefix(lead), seen.headers["range"]) for seen in asked]

    def indexes(self) -> list[str]:
        """Shards whose index was asked for, once for each request."""
        size_bytes = 16 * 2 * 4 * 2 + 4 * len(self.how.index[1:])
        text = f"bytes=0-{size_bytes - 1}" if self.how.location == "start" else f"bytes=-{size_bytes}"
        return [shard for shard, asked in self.ranges() if asked == text]


@pytest.fixture
def serve(archive: Callable[..., Archive], tmp_path: Path) -> Callable[..., Served]:
    def start(how: Sharded | None = None, voxels: Volume = BLOBS) -> Served:
        folder = tmp_path / "served" / "bucket" / "em.zarr"
        folder.mkdir(parents=True)
        how = how or Sharded()
        how.write(folder, voxels)
        return Served(folder, archive(FolderStore(tmp_path / "served")), how)

    return start


def read(folder: Path) -> Volume:
    """As TensorStore and zarr-python read it, which must agree."""
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    voxels: Volume = tensorstore.open(spec, open=True, read=True).result().read().result()
    np.testing.assert_array_equal(np.asarray(zarr.open_array(folder, mode="r")[...]), voxels)
    return voxels


def cut(start: Sequence[int], shape: Sequence[int]) -> Json:
    return {"start": list(start), "shape": list(shape)}


LAYOUTS = {
    "as recommended": Sharded(),
    "index at the start": Sharded(location="start"),
    "no checksum": Sharded(index=(LITTLE,)),
    "big endian index at the start": Sharded(location="start", index=(BIG, CRC)),
    "not compressed": Sharded(codecs=(LITTLE,)),
    "checksum of each inner chunk": Sharded(codecs=(LITTLE, ZSTD, CRC)),
    "transposed inside": Sharded(codecs=(TURNED, LITTLE, ZSTD)),
    "transposed before": Sharded(before=(TURNED,)),
    "keys with dots": Sharded(keys={"name": "default", "configuration": {"separator": "."}}),
    "keys of version 2": Sharded(keys={"name": "v2", "configuration": {"separator": "/"}}),
}


@pytest.mark.parametrize("how", LAYOUTS.values(), ids=LAYOUTS)
def test_a_crop_of_shards_becomes_an_array_without_shards(
    serve: Callable[..., Served], tmp_path: Path, how: Sharded
) -> None:
    """Hull of whole inner chunks, metadata without the sharding codec, bytes of inner chunks as they were."""
    served = serve(how)
    receipt = run_within(served.manifest(crop=cut((9, 13, 30), (20, 20, 26))), tmp_path / "data")
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    folder = tmp_path / "data" / "part"
    np.testing.assert_array_equal(read(folder), BLOBS[8:32, 12:36, 24:56])
    metadata = json.loads((folder / "zarr.json").read_bytes())
    assert metadata["codecs"] == [*how.before, *how.codecs]
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == list(how.inner)
    assert metadata["dimension_names"] == ["z", "y", "x"]
    original = tmp_path / "data" / "part.source-metadata" / "zarr.json"
    assert original.read_bytes() == (served.folder / "zarr.json").read_bytes()
    chunks = {name: data for name, data in files_below(folder).items() if name != "zarr.json"}
    assert len(chunks) == 3 * 6 * 4
    for name, data in chunks.items():
        at = [int(part) for part in name.removeprefix("c/").removeprefix("c.").replace(".", "/").split("/")]
        voxel = [(low + number) * size for number, low, size in zip(at, (1, 3, 3), how.inner, strict=True)]
        shard = [position // size for position, size in zip(voxel, how.shard, strict=True)]
        cell = [position % size // part for position, size, part in zip(voxel, how.shard, how.inner, strict=True)]
        joined = (how.keys["configuration"]["separator"]).join(map(str, shard))
        lead = "c" + how.keys["configuration"]["separator"] if how.keys["name"] == "default" else ""
        assert how.inner_bytes(served.folder / (lead + joined), cell) == data, name
    asked = served.ranges()
    assert len(served.indexes()) == len(set(served.indexes())) == 2 * 3 * 3, "the index of a shard once"
    assert len(asked) == len(set(asked)), "nothing twice"


def test_adjacent_inner_chunks_come_with_one_request(serve: Callable[..., Served], tmp_path: Path) -> None:
    """All of two shards, and one request for the index of each."""
    served = serve()
    assert run_within(served.manifest(crop=cut((0, 0, 0), (16, 16, 32))), tmp_path / "data").exit_code == 0
    assert sorted(served.indexes()) == ["c/0/0/0", "c/0/0/1"]
    assert sorted({shard for shard, _ in served.ranges()}) == ["c/0/0/0", "c/0/0/1"]
    assert len(served.ranges()) == 2 + 2
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), BLOBS[:16, :16, :32])


def test_inner_chunks_and_shards_that_are_left_out_are_fill(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Traps: an inner chunk marked empty (2^64 - 1), and a shard object that is absent."""
    voxels = BLOBS.copy()
    voxels[:8, :4, :8] = 0
    served = serve(voxels=voxels)
    (served.folder / "c/0/1/0").unlink()
    receipt = run_within(served.manifest(crop=cut((0, 0, 0), (16, 32, 16))), tmp_path / "data")
    assert receipt.failures == ()
    expected = voxels[:16, :32, :16].copy()
    expected[:, 16:] = 0
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), expected)
    assert len(files_below(tmp_path / "data" / "part")) == 1 + 2 * 4 * 2 - 1


def test_a_shard_that_could_not_be_had_is_a_failure_not_fill(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    served.archive.set_faults({"bucket/em.zarr/c/0/1/0": [{"status": 500}]})
    receipt = run_within(served.manifest(crop=cut((0, 0, 0), (16, 32, 16))), tmp_path / "data")
    assert receipt.exit_code == 1
    served.archive.set_faults({})
    assert run_within(served.manifest(crop=cut((0, 0, 0), (16, 32, 16))), tmp_path / "data").exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), BLOBS[:16, :32, :16])


def test_a_box_of_nothing_is_told(serve: Callable[..., Served], tmp_path: Path) -> None:
    voxels = BLOBS.copy()
    voxels[:16, :16, :16] = 0
    voxels[0, 0, 0] = 0
    served = serve(voxels=voxels)
    (failure,) = run_within(served.manifest(crop=cut((0, 0, 0), (16, 16, 16))), tmp_path / "data").failures
    assert "none of its 16 wanted chunks is there" in failure.message


def test_a_mirror_takes_whole_shards(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    crop = cut((9, 13, 30), (4, 4, 4))
    assert run_within(served.manifest(crop=crop, subset="mirror"), tmp_path / "data").exit_code == 0
    source = files_below(served.folder)
    wanted = ("zarr.json", "c/0/0/1", "c/0/0/2", "c/0/1/1", "c/0/1/2")
    assert files_below(tmp_path / "data" / "part") == {name: source[name] for name in wanted}
    assert served.ranges() == []


def test_what_is_done_to_whole_shards_cannot_be_taken_apart(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    metadata = json.loads((served.folder / "zarr.json").read_bytes())
    metadata["codecs"].append({"name": "gzip", "configuration": {"level": 1}})
    (served.folder / "zarr.json").write_text(json.dumps(metadata))
    crop = cut((0, 0, 0), (8, 8, 8))
    (failure,) = run_within(served.manifest(crop=crop), tmp_path / "data").failures
    assert failure.kind == ErrorKind.NOT_BUILT
    assert "codecs[1]" in failure.message
    assert "subset: mirror" in failure.message
    assert run_within(served.manifest(crop=crop, subset="mirror"), tmp_path / "mirror").exit_code == 0


def test_levels_of_an_image_are_cut_alike(archive: Callable[..., Archive], tmp_path: Path) -> None:
    folder = tmp_path / "served" / "bucket" / "em.zarr"
    folder.parent.mkdir(parents=True)
    levels = write_ome_zarr_05_sharded(folder).levels
    served = Served(folder, archive(FolderStore(tmp_path / "served")), Sharded())
    receipt = run_within(served.manifest(crop=cut((40, 70, 100), (20, 20, 40))), tmp_path / "data")
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(tmp_path / "data/part/s0"), levels[0][32:64, 64:96, 96:160])
    np.testing.assert_array_equal(read(tmp_path / "data/part/s1"), levels[1][0:32, 32:64, 32:80])
    group = zarr.open_group(tmp_path / "data" / "part", mode="r")
    ome: Json = dict(group.attrs)["ome"]  # type: ignore[assignment]  # json
    placed = [item["coordinateTransformations"] for item in ome["multiscales"][0]["datasets"]]
    assert placed[0][1]["translation"] == [2.0 * 32, 0.5 * 64, 0.5 * 96]
    assert placed[1][1]["translation"] == [1.0, 0.25 + 32, 0.25 + 32]


def test_consolidated_metadata_say_the_same(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """A group that repeats the metadata of its arrays must not promise shards either."""
    folder = tmp_path / "served" / "bucket" / "em.zarr"
    folder.parent.mkdir(parents=True)
    write_ome_zarr_05_sharded(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr-python writes it and warns of it; files like that are in use
        zarr.consolidate_metadata(str(folder))
    served = Served(folder, archive(FolderStore(tmp_path / "served")), Sharded())
    run_within(served.manifest(scales=[1], crop=cut((40, 70, 100), (20, 20, 40))), tmp_path / "data")
    group = json.loads((tmp_path / "data/part/zarr.json").read_bytes())
    array = json.loads((tmp_path / "data/part/s1/zarr.json").read_bytes())
    assert group["consolidated_metadata"]["metadata"] == {"s1": array}
    assert "sharding" not in json.dumps(group)


def test_shards_inside_of_shards_are_kept(serve: Callable[..., Served], tmp_path: Path) -> None:
    """What is taken out is what the outer shard holds: smaller shards."""
    little = {"chunk_shape": [4, 4, 4], "codecs": [LITTLE], "index_codecs": [LITTLE, CRC], "index_location": "end"}
    inner = {"name": "sharding_indexed", "configuration": little}
    served = serve(Sharded(inner=(8, 8, 8), codecs=(inner,)))
    crop = {"at": "random", "shape": [8, 8, 8], "min_nonzero": 1.0}
    (failure,) = run_within(served.manifest(crop=crop), tmp_path / "random").failures
    assert "nothing here undoes codec sharding_indexed" in failure.message
    assert run_within(served.manifest(crop=cut((9, 13, 30), (20, 20, 26))), tmp_path / "data").exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), BLOBS[8:32, 8:40, 24:56])
    metadata = json.loads((tmp_path / "data" / "part" / "zarr.json").read_bytes())
    assert [codec["name"] for codec in metadata["codecs"]] == ["sharding_indexed"]


def test_the_index_is_not_asked_for_again(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Inner chunks that could not be had are had by the next run, at the places that are known."""
    served = serve()
    manifest = served.manifest(crop=cut((0, 0, 0), (16, 32, 16)))
    served.archive.set_faults({"bucket/em.zarr/c/0/1/0": [{"status": 500, "skip": 1}]})
    first = run_within(manifest, tmp_path / "data")
    assert {failure.location for failure in first.failures} == {"s3://bucket/em.zarr/c/0/1/0"}
    served.archive.set_faults({})
    served.archive.reset()
    assert run_within(manifest, tmp_path / "data").exit_code == 0
    assert {shard for shard, _ in served.ranges()} == {"c/0/1/0"}
    assert served.indexes() == []
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), BLOBS[:16, :32, :16])


def test_an_interrupted_plan_goes_on_behind_the_shards_it_has_read(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """36 shards, eight at a time: the last four are asked for again, in an order that is not that of their names."""
    served = serve(Sharded(shard=(16, 16, 4), inner=(8, 4, 4), index=(LITTLE,)))
    manifest = served.manifest(crop=cut((0, 0, 0), (16, 32, 56)))
    served.archive.set_faults({"bucket/em.zarr/c/0/1/13": [{"status": 500}]})
    assert run_within(manifest, tmp_path / "data").exit_code == 1
    served.archive.set_faults({})
    served.archive.reset()
    assert run_within(manifest, tmp_path / "data").exit_code == 0
    index = f"bytes=-{16 * 2 * 4}"
    assert sorted(shard for shard, asked in served.ranges() if asked == index) == [
        f"c/0/1/{x}" for x in (10, 11, 12, 13)
    ]
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), BLOBS[:16, :32])


def test_another_crop_of_equally_long_chunks_mixes_nothing_up(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Crops count from zero: the same name is another inner chunk of the same shard, and here of the same length."""
    served = serve(Sharded(codecs=(LITTLE,)))
    root = tmp_path / "data"
    assert run_within(served.manifest(crop=cut((0, 0, 0), (8, 8, 16))), root).exit_code == 0
    np.testing.assert_array_equal(read(root / "part"), BLOBS[:8, :8, :16])
    assert run_within(served.manifest(crop=cut((8, 4, 0), (8, 8, 16))), root).exit_code == 0
    np.testing.assert_array_equal(read(root / "part"), BLOBS[8:16, 4:12, :16])
    assert run_within(served.manifest(crop=cut((8, 4, 0), (8, 12, 24))), root).exit_code == 0
    np.testing.assert_array_equal(read(root / "part"), BLOBS[8:16, 4:16, :24])


def test_a_shard_that_changed_since_its_index_was_read_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Law 3: offsets are those of one version."""
    served = serve()
    served.archive.set_faults({"bucket/em.zarr/c/0/0/0": [{"change_etag_after": 1, "change": "content"}]})
    receipt = run_within(served.manifest(crop=cut((0, 0, 0), (8, 8, 8))), tmp_path / "data")
    assert {failure.kind for failure in receipt.failures} == {ErrorKind.SOURCE_CHANGED}
    assert sorted(files_below(tmp_path / "data" / "part")) == ["zarr.json"]


def test_a_shard_that_was_written_anew_is_fetched_anew_when_asked(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    manifest = served.manifest(crop=cut((0, 0, 0), (16, 16, 16)))
    assert run_within(manifest, tmp_path / "data").exit_code == 0
    other = np.roll(BLOBS, 5, 0)
    shutil.rmtree(served.folder)
    served.how.write(served.folder, other)
    assert run_within(manifest, tmp_path / "data", options=RunOptions(refresh=True)).failures == ()
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), other[:16, :16, :16])


# --- boxes that must hold data ----------------------------------------------------------------------------------------


def test_a_box_that_must_hold_data_is_drawn_out_of_shards(serve: Callable[..., Served], tmp_path: Path) -> None:
    """The index of a shard is read once, whether its chunks were looked at only, or taken too."""
    voxels = np.zeros((96, 96, 96), np.uint16)
    voxels[48:, 32:, :] = 7
    served = serve(Sharded(inner=(8, 4, 8)), voxels=voxels)
    told: list[Event] = []
    wanted = served.manifest(crop={"at": "random", "shape": [16, 16, 16], "seed": 3, "min_nonzero": 1.0})
    receipt = run_within(wanted, tmp_path / "data", on_event=told.append)
    assert receipt.failures == ()
    fields: Json = next(dict(event.fields) for event in told if "box_start" in event.fields)
    assert fields["draws"] > 1
    assert fields["nonzero"] == fields["sampled"] <= 27
    assert len(served.indexes()) == len(set(served.indexes()))
    hull = tuple(slice(low, low + size) for low, size in zip(fields["hull_start"], fields["hull_shape"], strict=True))
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), voxels[hull])


def test_a_shard_that_changes_while_boxes_are_drawn_is_told(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    faults = {"bucket/em.zarr/c/*": [{"change_etag_after": 1, "change": "content"}]}
    served.archive.set_faults(faults)
    crop = {"at": "random", "shape": [16, 16, 16], "seed": 3, "min_nonzero": 1.0}
    (failure,) = run_within(served.manifest(crop=crop), tmp_path / "data").failures
    assert failure.kind == ErrorKind.SOURCE_CHANGED


def test_a_chunk_that_lies_about_its_length_is_not_fetched_to_be_looked_at(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """Law 14: 512 bytes of voxels do not take gigabytes."""
    served = serve(Sharded(index=(LITTLE,)))
    shard = served.folder / "c/0/0/0"
    data = shard.read_bytes()
    index = np.full((16, 2), (1 << 64) - 1, "<u8")
    index[0] = 0, 1 << 20
    shard.write_bytes(bytes(1 << 20) + data + index.tobytes())
    crop = {"at": "random", "shape": [1, 1, 1], "min_nonzero": 1.0, "within": cut((0, 0, 0), (8, 4, 8))}
    (failure,) = run_within(served.manifest(crop=crop), tmp_path / "data").failures
    assert failure.kind == ErrorKind.FORMAT
    assert "a chunk has 1,048,576 bytes" in failure.message


# --- indexes that lie -------------------------------------------------------------------------------------------------


def lie(shard: Path, entry: int, offset: int, size_bytes: int) -> None:
    """Overwrite one entry of an index without checksum at the end of a shard."""
    data = bytearray(shard.read_bytes())
    struct.pack_into("<QQ", data, len(data) - 16 * 16 + 16 * entry, offset, size_bytes)
    shard.write_bytes(data)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ((1 << 62, 10), "there is room from 0 to"),
        ((0, 1 << 63), "there is room from 0 to"),
        (((1 << 64) - 8, 16), "there is room from 0 to"),
        ((3, 50), "lie over each other"),
        (((1 << 64) - 1, 5), "left out by half"),
        ((0, 0), "an inner chunk of no bytes"),
    ],
)
def test_an_index_that_lies_is_refused(
    serve: Callable[..., Served], tmp_path: Path, entry: tuple[int, int], says: str
) -> None:
    """Also where the crop does not want the chunk that it lies about."""
    served = serve(Sharded(index=(LITTLE,)))
    lie(served.folder / "c/0/0/0", 5, *entry)
    receipt = run_within(served.manifest(crop=cut((0, 0, 0), (8, 4, 8))), tmp_path / "data")
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.FORMAT
    assert "s3://bucket/em.zarr/c/0/0/0" in failure.message
    assert says in failure.message
    assert sorted(files_below(tmp_path / "data" / "part")) == ["zarr.json"]


def test_an_index_of_another_checksum_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    shard = served.folder / "c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[-30] ^= 1
    shard.write_bytes(data)
    (failure,) = run_within(served.manifest(crop=cut((0, 0, 0), (8, 4, 8))), tmp_path / "data").failures
    assert failure.kind == ErrorKind.FORMAT
    assert "has the CRC32C" in failure.message


def test_a_shard_shorter_than_its_index_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    (served.folder / "c/0/0/0").write_bytes(b"short")
    (failure,) = run_within(served.manifest(crop=cut((0, 0, 0), (8, 4, 8))), tmp_path / "data").failures
    assert "its index has 5 bytes, 260 were expected" in failure.message


# --- other people's files ---------------------------------------------------------------------------------------------


@pytest.fixture
def serve_real(archive: Callable[..., Archive], fixtures_folder: Path) -> Callable[[str], Served]:
    def start(array: str) -> Served:
        source = fixtures_folder / "zarr_v3" / array
        objects = {f"bucket/em.zarr/{name}": data for name, data in files_below(source).items()}
        return Served(source, archive(objects), Sharded())

    return start


@pytest.mark.parametrize(
    ("array", "start", "shape"),
    [
        ("zarr-java_shard_index_end", (8, 4, 8), (8, 4, 8)),
        ("zarr-java_shard_index_start", (8, 4, 8), (8, 4, 8)),
        ("n5-zarr_shard_test.zarr/mid_sharded", (0, 2, 3), (1, 2, 3)),
        ("zarrs_sharded_array_write_read/group/array", (0, 4, 4), (1, 4, 4)),
        ("zarrita_js_v3_data.zarr/3d.chunked.mixed.compressed.sharded.i2", (0, 0, 0), (3, 3, 1)),
        ("zarrita_js_v3_data.zarr/2d.chunked.ragged.compressed.sharded.i2", (0, 0, 0), (1, 3, 3)),
    ],
)
def test_real_shards(
    serve_real: Callable[[str], Served], tmp_path: Path, array: str, start: Sequence[int], shape: Sequence[int]
) -> None:
    """Index at either end, with and without checksum; written by Java, Rust and JavaScript."""
    served = serve_real(array)
    receipt = run_within(served.manifest(crop=cut(start, shape)), tmp_path / "data")
    assert receipt.failures == ()
    whole = read(served.folder)
    inside = [slice(low, low + size) for low, size in zip(start, shape, strict=True)][-whole.ndim :]
    np.testing.assert_array_equal(read(tmp_path / "data" / "part"), whole[tuple(inside)])
    assert "sharding" not in (tmp_path / "data" / "part" / "zarr.json").read_text()
