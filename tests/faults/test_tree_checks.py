"""Checksums of whole Zarr trees, from the files that lie on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sources.dandi_desk import run, twin_of

import emasync
from emasync.testing import Archive
from emasync.testing.volumes import write_ome_zarr_04

IMAGE = "sub-1/sub-1_SPIM.ome.zarr"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("image") / "x.zarr"
    write_ome_zarr_04(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def server(archive: Callable[..., Archive], image: dict[str, bytes]) -> Archive:
    twin = twin_of({"a.nwb": b"a"})
    twin.add_zarr("000027", IMAGE, image)
    twin.add_zarr("000027", "names.zarr", {"a/b": b"1", "a-b": b"22", "a0": b"3", "é/10": b"4", "é/2": b"5"})
    return archive(twin.store, apps=[twin])


async def test_trees_on_disk_have_the_checksums_of_the_archive(server: Archive, tmp_path: Path) -> None:
    assert (await run(server, tmp_path, version="draft")).ok
    report = await emasync.averify(tmp_path, full=True)
    assert report.ok
    (dataset,) = report.datasets
    assert {tree.path: tree.found == tree.published for tree in dataset.trees} == {IMAGE: True, "names.zarr": True}
    assert not (tmp_path / ".emasync" / "trees.sqlite").exists()
    assert (await emasync.averify(tmp_path)).datasets[0].trees == (), "a quick look reads too little"


async def test_a_record_of_other_files_is_told(server: Archive, tmp_path: Path) -> None:
    assert (await run(server, tmp_path, version="draft")).ok
    (path,) = (tmp_path / "d.source-metadata" / "dandi").glob("assets-*.json")
    text = path.read_text()
    before = (await emasync.averify(tmp_path, full=True)).datasets[0].trees
    other = hashlib.md5(b"other", usedforsecurity=False).hexdigest()
    path.write_text(text.replace(before[0].published.partition("-")[0], other))
    report = await emasync.averify(tmp_path, full=True)
    assert not report.ok
    assert [tree.agrees for tree in report.datasets[0].trees] == [False, True]


async def test_a_part_of_a_tree_has_no_checksum(server: Archive, tmp_path: Path) -> None:
    assert (await run(server, tmp_path, version="draft", scales=[2], include=["sub-1/*"])).ok
    report = await emasync.averify(tmp_path, full=True)
    assert report.ok
    assert [(tree.path, tree.found) for tree in report.datasets[0].trees] == [(IMAGE, None)]
