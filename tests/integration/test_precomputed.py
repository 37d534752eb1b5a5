"""Precomputed volumes through the whole program, opened by TensorStore; trap numbers are those of the hemibrain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.integration.folders import files_below, run_within

from emasync.errors import ErrorKind
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.precomputed import ScaleOnDisk, read_precomputed, write_precomputed
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import halve, smooth_blobs

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
