"""Parts of OME-Zarr images through the whole program: what is on disk is what readers see, where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from tests.integration.folders import files_below, run_within

from emasync.errors import ErrorKind
from emasync.testing import Archive
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import halve, smooth_blobs, write_ome_zarr_04, write_ome_zarr_05_sharded

Volume = npt.NDArray[Any]

SHAPE, CHUNKS = (96, 160, 176), (16, 32, 32)
SCALE = (8.0, 4.0, 4.0)
LEVELS = 5


@dataclass(frozen=True)
class Served:
    """An image in a bucket, and the truth about it."""

    version: str
    folder: Path
    levels: Sequence[Volume]
    archive: Archive

    @property
    def zarr_format(self) -> int:
        return 2 if self.version == "0.4" else 3

    def chunk(self, level: int, *at: int) -> Path:
        """File of one chunk at the source."""
        lead = f"s{level}/" if self.zarr_format == 2 else f"s{level}/c/"
        return self.folder / (lead + "/".join(map(str, at)))

    def manifest(self, **choice: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {"s3://bucket": f"{self.archive.url}/bucket"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "part", "source": "bucket", "url": "s3://bucket/em.zarr", **choice}],
        }


def write_05(folder: Path) -> tuple[Volume, ...]:
    """OME-Zarr 0.5 without shards (Zarr v3)."""
    levels = [smooth_blobs(SHAPE, "uint16", 5)]
    while len(levels) < LEVELS:
        levels.append(halve(levels[-1]))
    datasets: list[Any] = []  # JSON
    for number in range(LEVELS):
        factor = 2**number
        transforms = [
            {"type": "scale", "scale": [size * factor for size in SCALE]},
            {"type": "translation", "translation": [size * (factor - 1) / 2 for size in SCALE]},
        ]
        datasets.append({"path": f"s{number}", "coordinateTransformations": transforms})
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "em", "axes": axes, "datasets": datasets}]}
    for number, volume in enumerate(levels):
        chunks = tuple(min(chunk, size) for chunk, size in zip(CHUNKS, volume.shape, strict=True))
        array = group.create_array(f"s{number}", shape=volume.shape, chunks=chunks, dtype=volume.dtype, fill_value=0)
        array[...] = volume
    return tuple(levels)


@pytest.fixture(params=["0.4", "0.5"])
def served(request: pytest.FixtureRequest, archive: Callable[..., Archive], tmp_path: Path) -> Served:
    folder = tmp_path / "served" / "bucket" / "em.zarr"
    folder.parent.mkdir(parents=True)
    if request.param == "0.4":
        levels = write_ome_zarr_04(folder, shape=SHAPE, chunks=CHUNKS, levels=LEVELS).levels
    else:
        levels = write_05(folder)
    return Served(request.param, folder, levels, archive(FolderStore(tmp_path / "served")))


def multiscale(folder: Path) -> dict[str, Any]:
    """The one multiscales entry, wherever its version keeps it."""
    attributes: dict[str, Any] = dict(zarr.open_group(folder, mode="r").attrs)
    (entry,) = attributes.get("ome", attributes)["multiscales"]
    found: dict[str, Any] = entry
    return found


def placed(entry: dict[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Scale and translation by level."""
    found = {}
    for level in entry["datasets"]:
        transforms = {item["type"]: item for item in level["coordinateTransformations"]}
        found[level["path"]] = (transforms["scale"]["scale"], transforms["translation"]["translation"])
    return found


def with_zarr(folder: Path) -> Volume:
    return np.asarray(zarr.open_array(folder, mode="r")[...])


def with_tensorstore(folder: Path, zarr_format: int) -> Volume:
    tensorstore = pytest.importorskip("tensorstore")
    driver = {2: "zarr", 3: "zarr3"}[zarr_format]
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}
    values: Volume = tensorstore.open(spec, open=True, read=True).result().read().result()
    return values


def check_level(root: Path, served: Served, level: int, expected: Volume) -> None:
    folder = root / "part" / f"s{level}"
    np.testing.assert_array_equal(with_zarr(folder), expected)
    np.testing.assert_array_equal(with_tensorstore(folder, served.zarr_format), expected)


def test_two_of_five_levels(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    receipt = run_within(served.manifest(scales=[1, 3]), root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    check_level(root, served, 1, served.levels[1])
    check_level(root, served, 3, served.levels[3])
    assert {path.name for path in (root / "part").iterdir() if path.is_dir()} == {"s1", "s3"}
    before, after = placed(multiscale(served.folder)), placed(multiscale(root / "part"))
    assert after == {level: before[level] for level in ("s1", "s3")}
    for name, data in files_below(root / "part.source-metadata").items():
        if name not in ("subset.json", "dataset.json"):  # ours
            assert data == (served.folder / name).read_bytes()


def test_a_crop(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    crop = {"start": [20, 40, 70], "shape": [30, 50, 60], "scale": 0}
    receipt = run_within(served.manifest(scales=[0, 1], crop=crop), root)
    assert receipt.failures == ()
    hull = (slice(16, 64), slice(32, 96), slice(64, 160))
    check_level(root, served, 0, served.levels[0][hull])
    coarse = (slice(0, 32), slice(0, 64), slice(32, 88))  # whole chunks around (10:25, 20:45, 35:65) of 48 x 80 x 88
    check_level(root, served, 1, served.levels[1][coarse])
    before, after = placed(multiscale(served.folder)), placed(multiscale(root / "part"))
    for level, box in (("s0", hull), ("s1", coarse)):
        scale, at = before[level]
        assert after[level][0] == scale
        moved = [origin + size * part.start for origin, size, part in zip(at, scale, box, strict=True)]
        assert after[level][1] == pytest.approx(moved)
    asked = [seen.path for seen in served.archive.requests if seen.status == 200]
    assert not [path for path in asked if "/s2/" in path and path[-1].isdigit()]


def test_what_the_publisher_left_out_is_fill_and_said_to_be(served: Served, tmp_path: Path) -> None:
    shutil.rmtree(served.chunk(0, 5))
    root = tmp_path / "data"
    crop = {"start": [64, 0, 0], "shape": [32, 64, 64]}
    receipt = run_within(served.manifest(scales=[0], crop=crop), root)
    assert receipt.exit_code == 0
    assert [(item.status, item.absent) for item in receipt.datasets] == [("complete", 4)]
    expected = served.levels[0][64:96, 0:64, 0:64].copy()
    expected[16:] = 0
    check_level(root, served, 0, expected)


def test_a_chunk_that_could_not_be_had_is_a_failure_not_fill(served: Served, tmp_path: Path) -> None:
    chunk = served.chunk(0, 1, 1, 1)
    path = f"bucket/em.zarr/{chunk.relative_to(served.folder).as_posix()}"
    served.archive.set_faults({path: [{"status": 500}]})
    root = tmp_path / "data"
    crop = {"start": [16, 32, 32], "shape": [32, 32, 32]}
    receipt = run_within(served.manifest(scales=[0], crop=crop), root)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.location == f"s3://{path}"
    assert [dataset.absent for dataset in receipt.datasets] == [0]
    served.archive.set_faults({})
    assert run_within(served.manifest(scales=[0], crop=crop), root).exit_code == 0
    check_level(root, served, 0, served.levels[0][16:48, 32:64, 32:64])


def test_a_box_of_nothing_is_no_success(served: Served, tmp_path: Path) -> None:
    first = served.chunk(0, 0, 0, 0)
    kept = first.read_bytes()
    shutil.rmtree(first.parents[1])
    root = tmp_path / "data"
    crop = {"start": [0, 0, 0], "shape": [16, 64, 64]}
    told: list[str] = []
    receipt = run_within(served.manifest(scales=[0], crop=crop), root, on_event=lambda event: told.append(event.event))
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.SOURCE
    assert "none of its 4 wanted chunks is there" in failure.message
    assert "s3://bucket/em.zarr/s0" in failure.message
    assert "check the crop" in failure.message
    assert "failed" in told

    first.parent.mkdir(parents=True)
    first.write_bytes(kept)
    again = run_within(served.manifest(scales=[0], crop=crop), root)
    assert [(item.status, item.absent) for item in again.datasets] == [("complete", 3)]
    expected = np.zeros_like(served.levels[0][:16, :64, :64])
    expected[:, :32, :32] = served.levels[0][:16, :32, :32]
    check_level(root, served, 0, expected)


def test_a_level_without_a_chunk_is_no_success_and_stops_no_other(served: Served, tmp_path: Path) -> None:
    """Voxels of an empty level would be read as fill value."""
    chunks = served.folder / "s1" / served.chunk(1, 0, 0, 0).relative_to(served.folder / "s1").parts[0]
    shutil.move(chunks, aside := tmp_path / "aside")
    for other in [path for path in chunks.parent.iterdir() if path.is_dir()]:
        shutil.rmtree(other)
    root = tmp_path / "data"
    for _ in range(2):  # the second run goes by what the first one noted of its listing
        receipt = run_within(served.manifest(scales=[0, 1]), root)
        assert receipt.exit_code == 1
        (failure,) = receipt.failures
        assert failure.kind == ErrorKind.SOURCE
        assert failure.message.startswith("s1: none of its ")
        check_level(root, served, 0, served.levels[0])

    shutil.move(aside, chunks)
    assert run_within(served.manifest(scales=[0, 1]), root).exit_code == 0


def test_run_again_asks_nothing_and_restores_our_own_documents(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    manifest = served.manifest(scales=[1, 2], crop={"start": [20, 40, 70], "shape": [30, 50, 60]})
    assert run_within(manifest, root).exit_code == 0
    before = files_below(root / "part")
    served.archive.reset()
    again = run_within(manifest, root)
    assert (again.exit_code, again.totals.requests) == (0, 0)

    written = json.loads((root / "part.source-metadata" / "subset.json").read_text())["documents"]
    assert written
    for name in written:
        (root / "part" / name).unlink()
    restored = run_within(manifest, root)
    assert (restored.exit_code, restored.totals.requests) == (0, 0)
    assert served.archive.counts() == {}
    assert files_below(root / "part") == before


def test_a_mirror_subset_keeps_every_byte_and_key(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    crop = {"start": [20, 40, 70], "shape": [30, 50, 60]}
    receipt = run_within(served.manifest(scales=[0], crop=crop, subset="mirror"), root)
    assert receipt.exit_code == 0
    source, found = files_below(served.folder), files_below(root / "part")
    assert {path: source.get(path) for path in found} == found
    chunks = {path for path in found if path[-1].isdigit()}
    assert len(chunks) == 3 * 2 * 3
    assert all(path.startswith("s0/") for path in chunks)
    assert multiscale(root / "part") == multiscale(served.folder)


def test_labels_come_along(served: Served, tmp_path: Path) -> None:
    folder = served.folder / "labels"
    shutil.copytree(served.folder, tmp_path / "copy")
    group = zarr.open_group(folder, mode="w", zarr_format=served.zarr_format)  # type: ignore[arg-type]  # 2 or 3
    listed: dict[str, Any] = {"labels": ["cells"]}
    group.attrs.update(listed if served.version == "0.4" else {"ome": {"version": "0.5", **listed}})
    shutil.copytree(tmp_path / "copy", folder / "cells")
    root = tmp_path / "data"
    assert run_within(served.manifest(), root).exit_code == 0
    assert files_below(root / "part") == files_below(served.folder)

    part = tmp_path / "part"
    crop = {"start": [20, 40, 70], "shape": [30, 50, 60]}
    receipt = run_within(served.manifest(scales=[0], crop=crop), part)
    assert receipt.failures == ()
    hull = served.levels[0][16:64, 32:96, 64:160]
    np.testing.assert_array_equal(with_zarr(part / "part" / "s0"), hull)
    np.testing.assert_array_equal(with_zarr(part / "part" / "labels" / "cells" / "s0"), hull)
    (level,) = placed(multiscale(part / "part" / "labels" / "cells"))
    assert level == "s0"


# --- shards -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sharded(archive: Callable[..., Archive], tmp_path: Path) -> Served:
    folder = tmp_path / "served" / "bucket" / "em.zarr"
    folder.parent.mkdir(parents=True)
    levels = write_ome_zarr_05_sharded(folder).levels
    return Served("0.5", folder, levels, archive(FolderStore(tmp_path / "served")))


def test_whole_sharded_arrays_arrive_as_they_are(sharded: Served, tmp_path: Path) -> None:
    assert run_within(sharded.manifest(), tmp_path / "all").exit_code == 0
    assert files_below(tmp_path / "all" / "part") == files_below(sharded.folder)
    assert run_within(sharded.manifest(scales=[1]), tmp_path / "coarse").exit_code == 0
    check_level(tmp_path / "coarse", sharded, 1, sharded.levels[1])


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"crop": {"start": [90, 0, 0], "shape": [32, 32, 32]}}, "not inside the array"),
        ({"scales": [0, 9]}, "no scale 9"),
    ],
)
def test_what_only_the_source_can_tell(choice: dict[str, Any], says: str, served: Served, tmp_path: Path) -> None:
    receipt = run_within(served.manifest(**choice), tmp_path / "data")
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert says in failure.message
