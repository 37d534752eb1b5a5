"""Levels and boxes that change: what is left after a prune is what a new root of the new manifest would hold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

import emasync
from emasync.testing import Archive
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import write_ome_zarr_04, write_ome_zarr_05_sharded

WHOLE: Mapping[str, Any] = {}
BOX = {"scales": [0, 1], "crop": {"start": [0, 0, 0], "shape": [32, 32, 32]}}
MOVED = {"scales": [0, 1], "crop": {"start": [16, 16, 16], "shape": [32, 32, 32]}}
SMALL = {"scales": [0], "crop": {"start": [0, 0, 0], "shape": [16, 16, 16]}}

CHANGES = {
    "fewer levels": (WHOLE, {"scales": [1]}),
    "a box of what was whole": (WHOLE, SMALL),
    "another box: chunks of two grids share their names": (BOX, MOVED),
    "a smaller box": (BOX, SMALL),
    "a box and back": (SMALL, WHOLE),
}


@dataclass(frozen=True)
class Served:
    archive: Archive

    def manifest(self, kind: str, choice: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        entry = {"id": "part", "source": "bucket", "url": f"s3://bucket/{kind}.zarr", **choice}
        mirrors = {"s3://bucket": f"{self.archive.url}/bucket"}
        return {"version": 1, "root": str(folder), "mirrors": mirrors, "datasets": [entry]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "bucket").mkdir()
    write_ome_zarr_04(folder / "bucket/plain.zarr", shape=(64, 64, 64), chunks=(16, 16, 16), levels=2)
    write_ome_zarr_05_sharded(
        folder / "bucket/sharded.zarr", shape=(64, 64, 64), chunks=(16, 16, 16), shards=(32, 32, 32)
    )
    with Archive.start(FolderStore(folder)) as archive:
        yield Served(archive)


@pytest.mark.parametrize("kind", ["plain", "sharded"])
@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_a_prune_leaves_what_a_new_root_would_hold(
    served: Served, tmp_path: Path, kind: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    assert run_within(served.manifest(kind, before, root), root).ok
    new = served.manifest(kind, after, root)
    assert run_within(new, root).ok
    dry = emasync.prune(root, new, dry_run=True)
    report = emasync.prune(root, new)
    assert report.ok
    assert report.datasets == dry.datasets
    assert run_within(served.manifest(kind, after, other), other).ok
    expected = files_below(other / "part")
    assert files_below(root / "part") == expected
    assert emasync.prune(root, new).datasets == ()
    again = run_within(new, root)
    assert (again.ok, again.totals.requests) == (True, 0)
    assert emasync.verify(root, full=True).ok
    assert [path for path in (root / "part").rglob("*") if path.is_dir() and not any(path.iterdir())] == []


def test_a_dropped_dataset_takes_the_metadata_along_that_we_wrote(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "root"
    both = served.manifest("plain", BOX, root)
    (entry,) = both["datasets"]
    both["datasets"] = [entry, {**entry, "id": "other", **SMALL}]
    assert run_within(both, root).ok
    kept = files_below(root / "other")
    only = {**both, "datasets": both["datasets"][1:]}
    assert list(emasync.prune(root, only).kept) == ["part"]  # no manifest file: nobody knows where it came from
    dry = emasync.prune(root, only, drop=["part"], dry_run=True)
    done = emasync.prune(root, only, drop=["part"])
    assert done.datasets == dry.datasets
    assert done.datasets[0].documents > 0
    assert not (root / "part").exists()
    assert not (root / "part.source-metadata/subset.json").exists()
    assert files_below(root / "other") == kept
    assert run_within(both, root).ok
    assert emasync.verify(root, full=True).ok


@pytest.mark.parametrize("kind", ["plain", "sharded"])
def test_a_bag_holds_rewritten_metadata_and_chunks_cut_out_of_shards(served: Served, tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    assert run_within(served.manifest(kind, BOX, root), root).ok
    report = emasync.export(root, "part", to="bagit", out=tmp_path / "bag", data="none")
    expected = files_below(root / "part")
    assert report.files == len(expected)
    manifest = (tmp_path / "bag/manifest-sha256.txt").read_text().splitlines()
    assert {line.split("  ", 1)[1] for line in manifest} == {f"data/{path}" for path in expected}
    lines = [line.split(" ", 2) for line in (tmp_path / "bag/fetch.txt").read_text().splitlines()]
    fetched = {name for _, _, name in lines}
    held = files_below(tmp_path / "bag/data")
    assert {f"data/{path}" for path in held} | fetched == {f"data/{path}" for path in expected}
    assert all(expected[path] == data for path, data in held.items())
    chunks = [name for name in fetched if not name.endswith((".json", ".zgroup", ".zattrs", ".zarray"))]
    assert bool(chunks) == (kind == "plain")  # those of shards are at no URL of their own
    assert all(url.startswith("https://bucket.s3.amazonaws.com/") for url, _, _ in lines)
    shutil.rmtree(tmp_path / "bag")
    left = emasync.export(root, "part", to="metalink", out=tmp_path / "m.meta4").left_out
    assert left == len(held)
