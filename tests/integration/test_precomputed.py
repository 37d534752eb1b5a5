"""Precomputed volumes through the whole program, opened by TensorStore; trap numbers are those of the hemibrain."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from tests.integration.folders import files_below, run_within

from emasync.api.options import RunOptions
from emasync.errors import ErrorKind
from emasync.manifest.load import load_manifest
from emasync.model.digest import Span
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.precomputed import ScaleOnDisk, read_precomputed, write_precomputed
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import halve, smooth_blobs, write_ome_zarr_04

pytest.importorskip("tensorstore")

Volume = npt.NDArray[Any]
OFFSET = (7, -20, 1000)
"""z, y, x; no multiple of anything."""

FINE = smooth_blobs((50, 60, 70), "uint8", 11)
COARSE = halve(FINE)


class Served:
    """A volume in a Google bucket."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        self.folder = folder
        self.archive = archive

    def manifest(self, url: str = "gs://brain/em", **choice: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {"gs://brain": f"{self.archive.url}/brain"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "part", "source": "bucket", "url": url, **choice}],
        }

    def info(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "info").read_bytes())
        return read

    def asked(self, ending: str = "") -> list[str]:
        """Keys that were answered with their content, of the volume."""
        seen = (seen for seen in self.archive.requests if seen.status in (200, 206))
        return [path for item in seen if (path := item.path.removeprefix("brain/em/")).endswith(ending)]


@pytest.fixture
def serve(archive: Callable[..., Archive], tmp_path: Path) -> Callable[..., Served]:
    def start(*scales: ScaleOnDisk, kind: str = "image", rules: Mapping[str, Any] | None = None) -> Served:
        folder = tmp_path / "served" / "brain" / "em"
        write_precomputed(folder, scales, kind=kind)
        bucket = BucketRules(kind="google", **(rules or {}))
        return Served(folder, archive(FolderStore(tmp_path / "served"), buckets={"brain": bucket}))

    return start


@pytest.fixture
def em(serve: Callable[..., Served]) -> Served:
    return serve(
        ScaleOnDisk(voxels=FINE, key="8.0x8.0x8.0", offset=OFFSET, chunk=(16, 24, 32)),
        ScaleOnDisk(voxels=COARSE, key="lower", offset=(4, -10, 500), chunk=(16, 24, 32), resolution=(16.0,) * 3),
    )


def check(root: Path, expected: Volume, first: tuple[int, int, int], scale: int = 0) -> None:
    voxels, start = read_precomputed(root / "part", scale)
    assert start == first
    np.testing.assert_array_equal(voxels[..., 0], expected)


def check_bytes(root: Path, served: Served) -> int:
    """Every chunk is the publisher's, under the publisher's name; gives their number."""
    source = files_below(served.folder)
    chunks = {path: data for path, data in files_below(root / "part").items() if path != "info"}
    assert {path: source.get(path) for path in chunks} == chunks
    return len(chunks)


def test_a_whole_volume_is_taken_as_it_is_coarse_scales_first(em: Served, tmp_path: Path) -> None:
    receipt = run_within(em.manifest(), tmp_path / "data")
    assert receipt.exit_code == 0
    assert files_below(tmp_path / "data" / "part") == files_below(em.folder)


def test_trap_11_a_crop_counts_z_y_x_in_the_coordinates_of_the_source(em: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    crop = {"start": [20, 0, 1010], "shape": [10, 20, 40]}
    receipt = run_within(em.manifest(scales=[0, 1], crop=crop), root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    # chunks begin at the offset of the volume: z 7, 23, 39; y -20, 4, 28; x 1000, 1032, 1064
    check(root, FINE[0:32, 0:48, 0:64], OFFSET)
    # (20:30, 0:20, 1010:1050) is (10:15, 0:10, 505:525) there
    check(root, COARSE[0:16, 0:24, 0:32], (4, -10, 500), scale=1)
    assert check_bytes(root, em) == 2 * 2 * 2 + 1
    original = files_below(root / "part.source-metadata")["info"]
    assert original == (em.folder / "info").read_bytes()


def test_one_scale_at_the_far_corner_keeps_cut_chunks(em: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    crop = {"start": [50, 30, 1065], "shape": [7, 10, 5]}
    receipt = run_within(em.manifest(scales=[0], crop=crop), root)
    assert receipt.exit_code == 0
    check(root, FINE[32:50, 48:60, 64:70], (39, 28, 1064))
    assert check_bytes(root, em) == 2
    info = json.loads((root / "part" / "info").read_bytes())
    assert [scale["key"] for scale in info["scales"]] == ["8.0x8.0x8.0"]


def test_a_coarse_scale_alone(em: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert run_within(em.manifest(scales=[1]), root).exit_code == 0
    check(root, COARSE, (4, -10, 500))
    assert not (root / "part" / "8.0x8.0x8.0").exists()


def test_a_mirror_subset_keeps_every_byte_and_key(em: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    crop = {"start": [20, 0, 1010], "shape": [10, 20, 40]}
    assert run_within(em.manifest(scales=[0], crop=crop, subset="mirror"), root).exit_code == 0
    assert check_bytes(root, em) == 8
    assert (root / "part" / "info").read_bytes() == (em.folder / "info").read_bytes()


@pytest.mark.parametrize("at", ["center", "random"])
def test_a_drawn_box_is_told_and_drawn_again(em: Served, tmp_path: Path, at: str) -> None:
    crop: dict[str, Any] = {
        "at": at,
        "shape": [20, 20, 20],
        "within": {"start": [10, -15, 1005], "shape": [40, 50, 60]},
    }
    if at == "random":
        crop["seed"] = 20250720
    told: list[Event] = []
    boxes = []
    for name in ("one", "two"):
        told.clear()
        root = tmp_path / name
        assert run_within(em.manifest(scales=[0], crop=crop), root, on_event=told.append).exit_code == 0
        fields: dict[str, Any] = next(dict(event.fields) for event in told if "box_start" in event.fields)
        boxes.append((fields["box_start"], fields["hull_start"]))
        voxels, first = read_precomputed(root / "part")
        assert list(first) == fields["hull_start"]
        inside = [a - b for a, b in zip(fields["box_start"], first, strict=True)]
        there = [a - b for a, b in zip(fields["box_start"], OFFSET, strict=True)]
        cut = tuple(slice(low, low + 20) for low in inside)
        np.testing.assert_array_equal(voxels[cut][..., 0], FINE[tuple(slice(low, low + 20) for low in there)])
    assert boxes[0] == boxes[1]
    if at == "center":
        assert boxes[0][0] == [20, 0, 1025]


def test_trap_1_and_2_each_volume_is_clipped_against_its_own_info(em: Served, tmp_path: Path) -> None:
    """Published sizes differ between layers and from what people write about them."""
    receipt = run_within(em.manifest(scales=[0], crop={"start": [0, 0, 1010], "shape": [10, 20, 40]}), tmp_path)
    (failure,) = receipt.failures
    assert receipt.exit_code == 1
    assert "not inside the array of shape [50, 60, 70] that begins at [7, -20, 1000] (z, y, x)" in failure.message


def test_trap_3_documents_and_chunks_that_arrive_gzip_encoded_are_stored_decoded(em: Served, tmp_path: Path) -> None:
    em.archive.set_faults({"brain/em/*": [{"gzip_whole": True}]})
    root = tmp_path / "data"
    crop = {"start": [20, 0, 1010], "shape": [10, 20, 40]}
    receipt = run_within(em.manifest(scales=[0], crop=crop), root)
    assert receipt.failures == ()
    check(root, FINE[0:32, 0:48, 0:64], OFFSET)
    assert check_bytes(root, em) == 8


def test_trap_9_a_missing_chunk_is_zeros(em: Served, tmp_path: Path) -> None:
    (em.folder / "8.0x8.0x8.0" / "1000-1032_-20-4_7-23").unlink()
    root = tmp_path / "data"
    receipt = run_within(em.manifest(scales=[0], crop={"start": [20, 0, 1010], "shape": [10, 20, 40]}), root)
    assert [(item.status, item.absent) for item in receipt.datasets] == [("complete", 1)]
    expected = FINE[0:32, 0:48, 0:64].copy()
    expected[:16, :24, :32] = 0
    check(root, expected, OFFSET)


def test_trap_9_a_missing_chunk_is_zeros_also_where_missing_is_told_as_denied(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """Who may not list is told 403 of what is not there."""
    scale = ScaleOnDisk(voxels=FINE, key="8.0x8.0x8.0", offset=OFFSET, chunk=(16, 24, 32))
    served = serve(scale, rules={"list_denied": True, "missing_is_403": True})
    (served.folder / "8.0x8.0x8.0" / "1000-1032_-20-4_7-23").unlink()
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[0], crop={"start": [20, 0, 1010], "shape": [10, 20, 40]}), root)
    assert [(item.status, item.absent) for item in receipt.datasets] == [("complete", 1)]
    expected = FINE[0:32, 0:48, 0:64].copy()
    expected[:16, :24, :32] = 0
    check(root, expected, OFFSET)


def test_trap_9_without_info_nothing_is_zeros(em: Served, tmp_path: Path) -> None:
    (em.folder / "info").unlink()
    receipt = run_within(em.manifest(format="precomputed", scales=[0]), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert "has no info document" in failure.message


def test_a_bucket_that_cannot_be_listed_is_taken_by_its_formula(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(ScaleOnDisk(voxels=FINE, key="8", offset=OFFSET), rules={"list_denied": True})
    root = tmp_path / "data"
    receipt = run_within(served.manifest(), root)
    assert receipt.failures == ()
    check(root, FINE, OFFSET)
    assert check_bytes(root, served) == 4 * 4 * 5


def test_trap_14_the_shipped_manifest_names_buckets_and_no_short_link() -> None:
    """A short link may lead elsewhere tomorrow."""
    manifests = Path(__file__).resolve().parents[2] / "manifests"
    urls = [
        getattr(entry, "url", "") for entry in load_manifest(manifests / "hemibrain-crop.yaml", environ={}).datasets
    ]
    assert urls
    assert all(url.startswith("gs://neuroglancer-janelia-flyem-hemibrain/") for url in urls)


def test_trap_13_annotations_are_no_volume(em: Served, tmp_path: Path) -> None:
    (em.folder / "info").write_text(json.dumps({"@type": "neuroglancer_annotations_v1", "dimensions": {}}))
    receipt = run_within(em.manifest(scales=[0]), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert "neuroglancer_annotations_v1, not a volume of voxels" in failure.message
    assert failure.kind == ErrorKind.FORMAT


def test_labels_in_compressed_segmentation(serve: Callable[..., Served], tmp_path: Path) -> None:
    labels = (FINE.astype("uint64") // 16) << 40
    served = serve(
        ScaleOnDisk(voxels=labels, key="8", chunk=(16, 24, 32), encoding="compressed_segmentation"), kind="segmentation"
    )
    root = tmp_path / "data"
    crop = {"start": [20, 30, 40], "shape": [10, 10, 10]}
    receipt = run_within(served.manifest(scales=[0], crop=crop, role="labels"), root)
    assert receipt.failures == ()
    check(root, labels[16:32, 24:48, 32:64], (16, 24, 32))
    assert check_bytes(root, served) == 1


@pytest.mark.parametrize(("encoding", "channels"), [("raw", 2), ("png", 1), ("png", 3), ("jpeg", 1), ("jpeg", 3)])
def test_chunks_of_every_encoding_stay_as_they_are(
    serve: Callable[..., Served], tmp_path: Path, encoding: str, channels: int
) -> None:
    voxels = np.stack([np.roll(FINE, 9 * number, 0) for number in range(channels)], axis=-1)
    served = serve(ScaleOnDisk(voxels=voxels, key="8", encoding=encoding))
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[0], crop={"start": [20, 30, 40], "shape": [10, 10, 30]}), root)
    assert receipt.failures == ()
    read, first = read_precomputed(root / "part")
    whole, _ = read_precomputed(served.folder)
    assert first == (16, 16, 32)
    np.testing.assert_array_equal(read, whole[16:32, 16:48, 32:70])
    assert check_bytes(root, served) == 1 * 2 * 3


def test_run_again_asks_nothing_and_restores_info(em: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    manifest = em.manifest(scales=[0], crop={"start": [20, 0, 1010], "shape": [10, 20, 40]})
    assert run_within(manifest, root).exit_code == 0
    before = files_below(root / "part")
    (root / "part" / "info").unlink()
    em.archive.reset()
    again = run_within(manifest, root)
    assert (again.exit_code, again.totals.requests) == (0, 0)
    assert files_below(root / "part") == before


def test_a_chunk_that_could_not_be_had_is_a_failure_not_zeros(em: Served, tmp_path: Path) -> None:
    em.archive.set_faults({"brain/em/8.0x8.0x8.0/1000-1032_-20-4_7-23": [{"status": 500}]})
    root = tmp_path / "data"
    manifest = em.manifest(scales=[0], crop={"start": [20, 0, 1010], "shape": [10, 20, 40]})
    receipt = run_within(manifest, root)
    (failure,) = receipt.failures
    assert failure.location == "gs://brain/em/8.0x8.0x8.0/1000-1032_-20-4_7-23"
    em.archive.set_faults({})
    em.archive.reset()
    assert run_within(manifest, root).exit_code == 0
    assert em.asked("23") == ["8.0x8.0x8.0/1000-1032_-20-4_7-23"]
    check(root, FINE[0:32, 0:48, 0:64], OFFSET)


def test_a_second_crop_takes_over_what_the_first_has_fetched(em: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert (
        run_within(em.manifest(scales=[0], crop={"start": [20, 0, 1010], "shape": [10, 20, 40]}), root).exit_code == 0
    )
    em.archive.reset()
    wider = em.manifest(scales=[0], crop={"start": [20, 0, 1010], "shape": [30, 20, 40]})
    assert run_within(wider, root).exit_code == 0
    check(root, FINE[0:48, 0:48, 0:64], OFFSET)
    assert len([path for path in em.asked() if "_" in path]) == 4


def test_real_files_of_cloudvolume(archive: Callable[..., Archive], tmp_path: Path, fixtures_folder: Path) -> None:
    """compresso; kept with the suffix that local folders of its writer have, served without it."""
    source = fixtures_folder / "precomputed" / "cloudvolume_compresso_seg_unsharded"
    objects = {f"brain/em/{path.removesuffix('.gz')}": data for path, data in files_below(source).items()}
    served = Served(source, archive(objects))
    receipt = run_within(served.manifest(scales=[2], crop={"start": [100, 0, 0], "shape": [64, 10, 10]}), tmp_path)
    assert receipt.failures == ()
    got = files_below(tmp_path / "part" / "32_32_40")
    assert got == {name: objects[f"brain/em/32_32_40/{name}"] for name in ("0-256_0-256_64-128", "0-256_0-256_128-192")}


# --- shards -------------------------------------------------------------------------------------------------------

CHUNK = (8, 8, 8)
REGION = 64
"""Chunks of one minishard region at preshift 6: 4 x 4 x 4."""

BLOBS = smooth_blobs((80, 72, 96), "uint8", 5)


def sharding(
    name: str = "identity",
    *,
    preshift: int = 6,
    minishards: int = 2,
    shards: int = 3,
    index: str = "gzip",
    data: str = "gzip",
) -> dict[str, Any]:
    return {
        "preshift_bits": preshift,
        "hash": name,
        "minishard_bits": minishards,
        "shard_bits": shards,
        "minishard_index_encoding": index,
        "data_encoding": data,
    }


def ranges(served: Served) -> list[tuple[str, Span]]:
    """Ranges of shards that were asked for, in order."""
    found = []
    for seen in served.archive.requests:
        text = seen.headers.get("range", "")
        if seen.path.endswith(".shard") and text:
            first, _, last = text.removeprefix("bytes=").partition("-")
            found.append((seen.path.rpartition("/")[2], Span(int(first), int(last) + 1)))
    return found


def is_data(span: Span, size_bytes: int = 300) -> bool:
    return span.start > 0 and span.size_bytes > size_bytes


@pytest.mark.parametrize(
    "how",
    [
        sharding(),
        sharding(data="raw", index="raw"),
        sharding("murmurhash3_x86_128", preshift=2, shards=2),
        sharding("murmurhash3_x86_128", preshift=0, minishards=0, shards=0, data="raw"),
        sharding(minishards=0, shards=0),
        sharding(preshift=9, minishards=6, shards=15),
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_a_crop_of_shards_becomes_a_volume_without_shards(
    serve: Callable[..., Served], tmp_path: Path, how: dict[str, Any]
) -> None:
    served = serve(ScaleOnDisk(voxels=BLOBS, key="8.0x8.0x8.0", offset=OFFSET, chunk=CHUNK, sharding=how))
    root = tmp_path / "data"
    crop = {"start": [30, 0, 1020], "shape": [30, 30, 30]}  # at (23, 20, 20)
    receipt = run_within(served.manifest(scales=[0], crop=crop), root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    check(root, BLOBS[16:56, 16:56, 16:56], (23, -4, 1016))
    info = json.loads((root / "part" / "info").read_bytes())
    assert "sharding" not in info["scales"][0]
    assert len(files_below(root / "part")) == 5**3 + 1
    asked = ranges(served)
    heads = [name for name, span in asked if span.start == 0]
    assert len(heads) == len(set(heads)), "one request for the index of a shard"
    assert len(asked) == len(set(asked)), "nothing twice"


def test_trap_8_gzip_around_jpeg_is_undone_and_the_jpeg_is_the_publishers(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    plain = ScaleOnDisk(voxels=BLOBS, key="plain", chunk=CHUNK, encoding="jpeg")
    served = serve(plain, ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, encoding="jpeg", sharding=sharding()))
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[1], crop={"start": [0, 0, 0], "shape": [20, 30, 90]}), root)
    assert receipt.failures == ()
    published = files_below(served.folder / "plain")
    chunks = files_below(root / "part" / "8")
    assert len(chunks) == 3 * 4 * 12
    assert {name: published[name] for name in chunks} == chunks
    voxels, _ = read_precomputed(root / "part")
    assert np.abs(voxels[..., 0].astype(int) - BLOBS[:24, :32, :96]).max() < 60  # lossy


def test_adjacent_chunks_come_with_one_request_a_region(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Regions of 4 x 4 x 4 chunks stand here for those of 8 x 8 x 8, 512 voxels wide, of the hemibrain."""
    noise = np.random.default_rng(3).integers(1, 255, (128, 128, 128), dtype=np.uint8)
    served = serve(ScaleOnDisk(voxels=noise, key="8", chunk=CHUNK, sharding=sharding()))
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[0], crop={"start": [32, 32, 32], "shape": [64, 64, 64]}), root)
    assert receipt.failures == ()
    check(root, noise[32:96, 32:96, 32:96], (32, 32, 32))
    asked = ranges(served)
    regions = 2 * 2 * 2
    data = [span for _, span in asked if is_data(span, 8000)]
    indexes = [span for _, span in asked if not is_data(span, 8000)]
    assert len(data) <= regions
    shards = {name for name, _ in asked}
    assert len(indexes) == len(shards) + regions, "one for each shard, one for each minishard touched"
    assert receipt.totals.requests <= len(asked) + 12


def test_a_crop_with_the_numbers_of_the_hemibrain(serve: Callable[..., Served], tmp_path: Path) -> None:
    """9, 6 and 15 bits, regions of 8 x 8 x 8 chunks: 4,096 chunks are 8 requests beside those for the indexes."""
    noise = np.random.default_rng(3).integers(1, 255, (80, 64, 96), dtype=np.uint8)
    how = sharding(preshift=9, minishards=6, shards=15)
    served = serve(ScaleOnDisk(voxels=noise, key="8.0x8.0x8.0", chunk=(4, 4, 4), sharding=how))
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [63, 61, 64]}), root)
    assert receipt.failures == ()
    check(root, noise[:64, :64, :64], (0, 0, 0))
    assert len(files_below(root / "part" / "8.0x8.0x8.0")) == 4096
    asked = ranges(served)
    (shard,) = {name for name, _ in asked}
    assert shard == "0000.shard", "trap 7: 15 bits give 4 digits"
    assert asked[0] == (shard, Span(0, 1024))
    # gzip makes 64 random bytes longer
    data = [span for _, span in asked if span.size_bytes >= 512 * 64]
    assert len(data) <= 8
    assert len(asked) - len(data) == 1 + 8


def test_the_index_is_not_asked_for_again(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Chunks that could not be had are had by the next run, with the places that are known."""
    served = serve(ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding()))
    manifest = served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [64, 64, 64]})
    served.archive.set_faults({"brain/em/8/1.shard": [{"status": 500, "skip": 5}]})
    root = tmp_path / "data"
    first = run_within(manifest, root)
    assert first.exit_code == 1
    assert {failure.location for failure in first.failures} == {"gs://brain/em/8/1.shard"}
    served.archive.set_faults({})
    served.archive.reset()
    assert run_within(manifest, root).exit_code == 0
    assert {name for name, _ in ranges(served)} == {"1.shard"}
    assert [span for _, span in ranges(served) if span.start == 0] == []
    check(root, BLOBS[:64, :64, :64], (0, 0, 0))


def test_a_region_that_breaks_off_goes_on_where_it_stopped(serve: Callable[..., Served], tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(1, 255, (64, 64, 64), dtype=np.uint8)
    served = serve(
        ScaleOnDisk(voxels=noise, key="8", chunk=CHUNK, sharding=sharding(minishards=0, shards=0, preshift=9))
    )
    served.archive.set_faults({"brain/em/8/0.shard": [{"reset_after": 100_000, "times": 1, "skip": 2}]})
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [64, 64, 64]}), root)
    assert receipt.failures == ()
    check(root, noise, (0, 0, 0))
    first, second = (span for _, span in ranges(served) if is_data(span, 8000))
    assert first.start < second.start < first.stop == second.stop


def test_a_shard_that_changed_since_its_index_was_read_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Law 3: offsets are those of one version."""
    served = serve(
        ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding(minishards=0, shards=0, preshift=9))
    )
    served.archive.set_faults({"brain/em/8/0.shard": [{"change_etag_after": 2, "change": "content"}]})
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [16, 16, 16]}), root)
    assert receipt.exit_code == 1
    assert {failure.kind for failure in receipt.failures} == {ErrorKind.SOURCE_CHANGED}
    assert files_below(root / "part" / "8") == {}


def test_a_shard_that_was_written_anew_is_fetched_anew_when_asked(serve: Callable[..., Served], tmp_path: Path) -> None:
    how = sharding(minishards=0, shards=0, preshift=9)
    served = serve(ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=how))
    manifest = served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [16, 16, 16]})
    root = tmp_path / "data"
    assert run_within(manifest, root).exit_code == 0
    other = np.roll(BLOBS, 11, 0)
    shutil.rmtree(served.folder)
    write_precomputed(served.folder, [ScaleOnDisk(voxels=other, key="8", chunk=CHUNK, sharding=how)])
    receipt = run_within(manifest, root, options=RunOptions(refresh=True))
    assert receipt.failures == ()
    check(root, other[:16, :16, :16], (0, 0, 0))
    served.archive.reset()
    assert run_within(manifest, root).totals.requests == 0


@pytest.mark.parametrize("rules", [{}, {"list_denied": True, "missing_is_403": True}])
def test_trap_9_a_missing_shard_or_chunk_is_zeros(
    serve: Callable[..., Served], tmp_path: Path, rules: Mapping[str, bool]
) -> None:
    voxels = BLOBS.copy()
    voxels[:8, :8, :8] = 0
    scale = ScaleOnDisk(voxels=voxels, key="8", chunk=CHUNK, sharding=sharding(shards=1, minishards=0))
    served = serve(scale, rules=rules)
    root = tmp_path / "data"
    crop = {"start": [0, 0, 0], "shape": [16, 16, 48]}
    assert run_within(served.manifest(scales=[0], crop=crop), root).exit_code == 0
    check(root, voxels[:16, :16, :48], (0, 0, 0))
    assert len(files_below(root / "part" / "8")) == 2 * 2 * 6 - 1
    (served.folder / "8" / "1.shard").unlink()
    again = tmp_path / "again"
    assert run_within(served.manifest(scales=[0], crop=crop), again).exit_code == 0
    expected = voxels[:16, :16, :48].copy()
    expected[:, :, 32:] = 0  # the region beside it
    check(again, expected, (0, 0, 0))


def test_trap_10_a_box_of_nothing_is_told(serve: Callable[..., Served], tmp_path: Path) -> None:
    voxels = BLOBS.copy()
    voxels[:16] = 0
    served = serve(ScaleOnDisk(voxels=voxels, key="8", chunk=CHUNK, sharding=sharding()))
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [16, 16, 48]}), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert "none of its 24 wanted chunks is there" in failure.message


def test_trap_3_ranges_of_shards_ask_for_no_encoding(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding()))
    assert (
        run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [8, 8, 8]}), tmp_path).exit_code == 0
    )
    asked = [seen.headers for seen in served.archive.requests if seen.path.endswith(".shard")]
    assert asked
    assert {headers.get("accept-encoding") for headers in asked} == {"identity"}
    documents = [seen.headers for seen in served.archive.requests if seen.path.endswith("/info")]
    assert documents
    assert all("gzip" in headers.get("accept-encoding", "") for headers in documents)


def test_whole_sharded_scales_keep_their_shards(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(
        ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding()),
        ScaleOnDisk(voxels=halve(BLOBS), key="16", chunk=CHUNK, sharding=sharding(), resolution=(16.0,) * 3),
    )
    assert run_within(served.manifest(), tmp_path / "all").exit_code == 0
    assert files_below(tmp_path / "all" / "part") == files_below(served.folder)
    assert run_within(served.manifest(scales=[1]), tmp_path / "coarse").exit_code == 0
    check(tmp_path / "coarse", halve(BLOBS), (0, 0, 0))
    assert all(name.endswith((".shard", "info")) for name in files_below(tmp_path / "coarse" / "part"))


@pytest.mark.parametrize("crop", [None, {"start": [0, 0, 0], "shape": [8, 8, 8]}])
def test_shards_of_a_bucket_that_cannot_be_listed(
    serve: Callable[..., Served], tmp_path: Path, crop: dict[str, Any] | None
) -> None:
    """Whole, or as a mirror of what a crop touches: shards have names that follow from info."""
    served = serve(
        ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding(minishards=1, shards=5)),
        rules={"list_denied": True},
    )
    root = tmp_path / "data"
    choice: dict[str, Any] = {} if crop is None else {"crop": crop, "subset": "mirror"}
    receipt = run_within(served.manifest(**choice), root)
    assert receipt.failures == ()
    source = files_below(served.folder)
    if crop is None:
        check(root, BLOBS, (0, 0, 0))
        assert files_below(root / "part" / "8") == files_below(served.folder / "8")
    else:
        assert files_below(root / "part") == {name: source[name] for name in ("info", "8/00.shard")}


def test_a_chunk_that_is_no_gzip_fails_alone(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(
        ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding(minishards=0, shards=0, preshift=9))
    )
    shard = served.folder / "8" / "0.shard"
    data = bytearray(shard.read_bytes())
    data[16 + 5 : 16 + 40] = bytes(35)
    shard.write_bytes(data)
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [16, 16, 16]}), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert "8/0-8_0-8_0-8" in failure.message
    assert len(files_below(tmp_path / "part" / "8")) == 7


def test_a_shard_that_is_none_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(ScaleOnDisk(voxels=BLOBS, key="8", chunk=CHUNK, sharding=sharding(minishards=0, shards=0)))
    shard = served.folder / "8" / "0.shard"
    shard.write_bytes(b"\xff" * 8 + b"\x00" * 8 + shard.read_bytes()[16:])
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [8, 8, 8]}), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.FORMAT
    assert "gs://brain/em/8/0.shard" in failure.message


def test_chunks_beyond_the_end_of_their_shard_are_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    """The index speaks of another shard: bytes are missing between the data and it, and all that follows is moved."""
    how = sharding(minishards=0, shards=0, preshift=9, index="raw", data="raw")
    served = serve(ScaleOnDisk(voxels=BLOBS[:8, :8, :16], key="8", chunk=CHUNK, sharding=how))
    shard = served.folder / "8" / "0.shard"
    start, stop = struct.unpack_from("<QQ", shard.read_bytes())
    table = np.array([[0, 1], [0, 0], [512, 1 << 40]], "<u8").tobytes()
    shard.write_bytes(struct.pack("<QQ", 1024, 1024 + len(table)) + bytes(1024) + table)
    assert stop - start == len(table)
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [8, 8, 16]}), tmp_path)
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.FORMAT
    assert f"a chunk lies at bytes 528 to {528 + (1 << 40)}, and there is room from 16 to" in failure.message
    assert sorted(files_below(tmp_path / "part")) == ["info"]


def test_chunks_that_lie_over_each_other_are_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    """They would be one slice with two names."""
    how = sharding(minishards=0, shards=0, preshift=9, index="raw", data="raw")
    served = serve(ScaleOnDisk(voxels=BLOBS[:8, :8, :16], key="8", chunk=CHUNK, sharding=how))
    table = np.array([[0, 1], [0, (1 << 64) - 512], [512, 512]], "<u8").tobytes()
    shard = struct.pack("<QQ", 1024, 1024 + len(table)) + bytes(1024) + table
    (served.folder / "8" / "0.shard").write_bytes(shard)
    receipt = run_within(served.manifest(scales=[0], crop={"start": [0, 0, 0], "shape": [8, 8, 16]}), tmp_path)
    (failure,) = receipt.failures
    assert "chunks lie over each other" in failure.message


# --- one box for several volumes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """An image at 8 nm and labels at 16 nm, of other sizes and offsets, and an OME-Zarr image of the same place."""

    folder: Path
    archive: Archive
    labels: Volume
    zarr: Volume

    def manifest(self, *datasets: dict[str, Any]) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {"gs://brain": f"{self.archive.url}/brain"},
            "datasets": [{"source": "bucket", "url": f"gs://brain/{item['id']}", **item} for item in datasets],
        }


@pytest.fixture
def pair(archive: Callable[..., Archive], tmp_path: Path) -> Pair:
    folder = tmp_path / "served" / "brain"
    em = ScaleOnDisk(voxels=FINE, key="8", offset=OFFSET, chunk=(8, 8, 8), sharding=sharding())
    write_precomputed(folder / "em", [em])
    write_precomputed(folder / "plain", [ScaleOnDisk(voxels=FINE[:24, :24, :24], key="8", chunk=(2, 2, 2))])
    labels = (np.roll(COARSE, 5, 0)[:, :, :30].astype("uint64") // 16) << 40
    scale = ScaleOnDisk(
        voxels=labels,
        key="16",
        offset=(4, -12, 498),
        chunk=(4, 4, 4),
        resolution=(16.0,) * 3,
        encoding="compressed_segmentation",
    )
    write_precomputed(folder / "labels", [scale], kind="segmentation")
    written = write_ome_zarr_04(folder / "zarr", shape=(8, 16, 16), chunks=(2, 2, 2), levels=2, scale=(32.0,) * 3)
    rules = {"brain": BucketRules(kind="google")}
    return Pair(folder, archive(FolderStore(tmp_path / "served"), buckets=rules), labels, written.levels[0])


def boxes_told(told: list[Event]) -> dict[str, dict[str, Any]]:
    """Boxes of the finest array of each dataset."""
    fields = (dict(event.fields) for event in told if "box_start" in event.fields)
    return {str(item["dataset"]): item for item in fields}


EM_CROP = {"start": [17, -2, 1004], "shape": [10, 20, 40]}


def test_trap_2_labels_take_over_the_box_of_the_image_in_nanometres(pair: Pair, tmp_path: Path) -> None:
    """Other size, resolution and offset: what is shared are nanometres, and each volume clips to itself."""
    manifest = pair.manifest(
        {"id": "labels", "role": "labels", "crop": {"same_as": "em"}}, {"id": "em", "crop": EM_CROP}
    )
    told: list[Event] = []
    receipt = run_within(manifest, tmp_path / "data", on_event=told.append)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    boxes = boxes_told(told)
    # z 17..27, y -2..18, x 1004..1044 of 8 nm are 8.5..13.5, -1..9, 502..522 of 16 nm
    assert boxes["labels"]["box_start"] == [8, -1, 502]
    assert boxes["labels"]["box_shape"] == [6, 10, 20]
    voxels, first = read_precomputed(tmp_path / "data" / "labels")
    assert first == (8, -4, 502)
    np.testing.assert_array_equal(voxels[..., 0], pair.labels[4:12, 8:24, 4:24])
    again = run_within(manifest, tmp_path / "data")
    assert (again.exit_code, again.totals.requests) == (0, 0)


def test_a_drawn_box_is_taken_over_and_clipped(pair: Pair, tmp_path: Path) -> None:
    """Labels end at x 528 of 16 nm, which is 1056 of 8 nm."""
    crop = {"at": "random", "shape": [20, 20, 30], "seed": 4, "within": {"start": [20, 0, 1036], "shape": [30, 30, 33]}}
    manifest = pair.manifest({"id": "em", "crop": crop}, {"id": "labels", "crop": {"same_as": "em"}})
    told: list[Event] = []
    assert run_within(manifest, tmp_path / "data", on_event=told.append).exit_code == 0
    boxes = boxes_told(told)
    for axis in range(3):
        low, size = boxes["em"]["box_start"][axis], boxes["em"]["box_shape"][axis]
        assert boxes["labels"]["box_start"][axis] == low // 2
        end = boxes["labels"]["box_start"][axis] + boxes["labels"]["box_shape"][axis]
        assert end == (min(-(-(low + size) // 2), 528) if axis == 2 else -(-(low + size) // 2))
    kept = json.loads((tmp_path / "data" / "em.source-metadata" / "boxes.json").read_bytes())
    (image,) = kept["images"].values()
    assert image["arrays"][0]["box"]["start"] == boxes["em"]["box_start"]


@pytest.mark.parametrize("lender", ["zarr", "plain"])
def test_a_box_goes_from_one_format_to_another(pair: Pair, tmp_path: Path, lender: str) -> None:
    """OME-Zarr puts the centre of its first voxel at 0, precomputed its edge: 48..112 nm on each axis."""
    box = {"zarr": {"start": [2] * 3, "shape": [2] * 3}, "plain": {"start": [6] * 3, "shape": [8] * 3}}[lender]
    borrower = "plain" if lender == "zarr" else "zarr"
    manifest = pair.manifest(
        {"id": borrower, "crop": {"same_as": lender}, "scales": [0]}, {"id": lender, "crop": box, "scales": [0]}
    )
    receipt = run_within(manifest, tmp_path / "data")
    assert receipt.failures == ()
    voxels, first = read_precomputed(tmp_path / "data" / "plain")
    assert first == (6, 6, 6)
    np.testing.assert_array_equal(voxels[..., 0], FINE[6:14, 6:14, 6:14])
    there = zarr.open_array(tmp_path / "data" / "zarr" / "s0", mode="r")
    np.testing.assert_array_equal(np.asarray(there[...]), pair.zarr[2:4, 2:4, 2:4])


def test_volumes_that_do_not_meet(pair: Pair, tmp_path: Path) -> None:
    manifest = pair.manifest({"id": "em", "crop": EM_CROP}, {"id": "zarr", "crop": {"same_as": "em"}})
    (failure,) = run_within(manifest, tmp_path / "data").failures
    assert "nothing of it lies in the box" in failure.message


def test_the_box_of_a_dataset_that_could_not_be_planned(pair: Pair, tmp_path: Path) -> None:
    crop = {"start": [0, 0, 0], "shape": [8, 8, 8]}
    manifest = pair.manifest({"id": "em", "crop": crop}, {"id": "labels", "crop": {"same_as": "em"}})
    receipt = run_within(manifest, tmp_path / "data")
    assert receipt.exit_code == 1
    assert any("'em', which could not be planned" in failure.message for failure in receipt.failures)


def test_another_box_of_the_lender_is_another_plan_of_the_borrower(pair: Pair, tmp_path: Path) -> None:
    def run(start: list[int]) -> Volume:
        crop = {"start": start, "shape": [8, 8, 8]}
        manifest = pair.manifest({"id": "em", "crop": crop}, {"id": "labels", "crop": {"same_as": "em"}})
        assert run_within(manifest, tmp_path / "data").exit_code == 0
        voxels: Volume = read_precomputed(tmp_path / "data" / "labels")[0][..., 0]
        return voxels

    np.testing.assert_array_equal(run([16, 0, 1004]), pair.labels[4:8, 12:16, 4:8])
    np.testing.assert_array_equal(run([16, 0, 1012]), pair.labels[4:8, 12:16, 8:12])
