"""An index is written whole or not at all, opened without reading it, and noticed when it is out of date."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.volume.index.entries import entry, written

from emasync.errors import ErrorKind, InputError, MachineError, SourceError
from emasync.formats.chunks import ChunkLayout
from emasync.model.grid import ChunkGrid
from emasync.volume.index import CHECKED_FILES, indexed_datasets, open_index
from emasync.volume.index_entry import ArrayEntry, formula
from emasync.volume.index_layout import HEAD, index_folder
from emasync.volume.index_writer import IndexWriter, remove_index


@pytest.mark.parametrize("fill", [7, -0.5, math.inf, [1.0, 2.0], True])
def test_entries_come_back_as_they_were(fill: object) -> None:
    layout = ChunkLayout(chunks=(2, 3), dtype=">f4", edges="own", fill_value=fill)  # type: ignore[arg-type]
    made = entry(layout=layout, sources=(3, 9), attributes={"series": "*.dm3"}, role="labels")
    assert ArrayEntry.from_line(made.to_line()) == made


def test_a_fill_value_that_is_no_number_comes_back() -> None:
    layout = ChunkLayout(chunks=(2, 3), dtype="<f4", fill_value=math.nan)
    found = ArrayEntry.from_line(entry(layout=layout).to_line()).layout.fill_value
    assert isinstance(found, float)
    assert math.isnan(found)


def many(writer: IndexWriter) -> None:
    """Three arrays of each of some assets, written in no order."""
    for number in np.random.default_rng(0).permutation(500).tolist():
        for scale in range(3):
            writer.add(entry(asset=f"session-{number}/image.zarr", scale=scale))
    writer.add(entry(asset=""))


def test_arrays_of_one_asset_are_found_among_many(tmp_path: Path) -> None:
    index = written(tmp_path, many)
    assert len(index) == 1501
    found = list(index.entries("session-77/image.zarr"))
    assert [(item.asset, item.scale) for item in found] == [("session-77/image.zarr", scale) for scale in range(3)]
    assert [item.scale for item in index.entries("")] == [0]
    assert list(index.entries("session-77")) == []
    assert list(index.entries("zzz")) == []


def test_a_reader_needs_json_and_numpy_alone(tmp_path: Path) -> None:
    def fill(writer: IndexWriter) -> None:
        first = writer.add_records([0, 1], [10, 20], [5, 6])
        writer.add(entry(chunks={"kind": "dense", "first": first}))

    written(tmp_path, fill)
    folder = tmp_path / ".emasync/index/d"
    head = json.loads((folder / "index.json").read_text())
    generation = folder / head["generation"]
    (line,) = (generation / "arrays.jsonl").read_text().splitlines()
    records = np.load(generation / "records.npy", mmap_mode="r")
    assert json.loads(line)["chunks"] == {"kind": "dense", "first": 0}
    assert records["start"].tolist() == [10, 20]
    assert head["columns"]["records"] == 2


def test_there_is_no_index_before_it_is_finished_and_none_of_one_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with IndexWriter(tmp_path, "d") as writer:
            writer.add(entry())
            assert indexed_datasets(tmp_path) == []
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(index_folder(tmp_path, "d").iterdir()) == []
    with pytest.raises(InputError, match=r"no index of dataset 'd'; there are: none.*emasync index"):
        open_index(tmp_path, "d")


def test_an_open_index_stays_whole_while_another_takes_its_place(tmp_path: Path) -> None:
    old = written(tmp_path, many)
    old.columns.get("rows")
    lines = old.entries()
    first = next(lines)
    new = written(tmp_path, lambda writer: writer.add(entry(asset="other")))
    assert [item.asset for item in new.entries()] == ["other"]
    assert [first, *lines][-1].asset == "session-99/image.zarr"
    assert sorted(path.name for path in index_folder(tmp_path, "d").iterdir()) == [new.columns.folder.name, HEAD]


def test_an_index_whose_generation_is_gone_is_stale(tmp_path: Path) -> None:
    old = written(tmp_path, many)
    written(tmp_path, many)
    with pytest.raises(SourceError, match="generation of the index is gone") as caught:
        list(old.entries())
    assert caught.value.kind is ErrorKind.STALE_INDEX


@pytest.mark.parametrize(("schema", "who"), [(99, "a newer version"), (0, "an older version")])
def test_other_schemas_are_refused(schema: int, who: str, tmp_path: Path) -> None:
    written(tmp_path, many)
    path = index_folder(tmp_path, "d") / HEAD
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema}))
    with pytest.raises(SourceError, match=f"made by {who} of emasync.*emasync index") as caught:
        open_index(tmp_path, "d")
    assert caught.value.kind is ErrorKind.STALE_INDEX


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 1, "generation": "../../x"}', "x" * 100])
def test_damaged_heads_are_refused(text: str, tmp_path: Path) -> None:
    written(tmp_path, many)
    (index_folder(tmp_path, "d") / HEAD).write_text(text)
    with pytest.raises(SourceError, match="emasync index") as caught:
        open_index(tmp_path, "d")
    assert caught.value.kind is ErrorKind.STALE_INDEX


@pytest.mark.parametrize("name", ["rows.npy", "arrays.jsonl"])
def test_damaged_tables_are_refused(name: str, tmp_path: Path) -> None:
    index = written(tmp_path, many)
    path = index.columns.folder / name
    path.write_bytes(b"\x93NUMPY" + b"\0" * (path.stat().st_size - 6))
    with pytest.raises(SourceError) as caught:
        list(open_index(tmp_path, "d").entries())
    assert caught.value.kind is ErrorKind.STALE_INDEX


def documented(root: Path) -> None:
    """A root with an index of one array and its document."""

    def fill(writer: IndexWriter) -> None:
        grid = ChunkGrid(start=(0, 0), shape=(2, 3), prefix="")
        writer.add(entry(chunks=formula("d", grid, state=0), sources=(writer.files.add("d/.zarray"),)))

    (root / "d").mkdir(parents=True)
    (root / "d/.zarray").write_bytes(b'{"shape": [20, 30]}')
    written(root, fill)


def test_a_document_that_changed_makes_the_index_stale(tmp_path: Path) -> None:
    documented(tmp_path)
    list(open_index(tmp_path, "d").arrays())
    (tmp_path / "d/.zarray").write_bytes(b'{"shape": [20, 31]}')
    os.utime(tmp_path / "d/.zarray", ns=(5, 5))
    with pytest.raises(SourceError, match=r"\.zarray: changed since it was indexed") as caught:
        list(open_index(tmp_path, "d").arrays())
    assert caught.value.kind is ErrorKind.STALE_INDEX
    assert [item.asset for item in open_index(tmp_path, "d").entries()] == ["a.zarr"]


def test_a_document_that_is_gone_makes_the_index_stale(tmp_path: Path) -> None:
    documented(tmp_path)
    (tmp_path / "d/.zarray").unlink()
    with pytest.raises(SourceError, match="cannot be looked at now"):
        list(open_index(tmp_path, "d").arrays())


def test_a_root_may_be_moved_and_copied_with_other_times(tmp_path: Path) -> None:
    documented(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy/d/.zarray", ns=(5, 5))
    (tmp_path / "old").rename(tmp_path / "new")
    for name in ("new", "copy"):
        (array,) = open_index(tmp_path / name, "d").arrays()
        assert array.chunks.path(4) == "d/1.1"


def test_only_some_files_of_an_array_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    paths = [tmp_path / f"d/{number}" for number in range(CHECKED_FILES + 1)]
    for path in paths:
        path.write_bytes(b"x")

    def fill(writer: IndexWriter) -> None:
        files = tuple(writer.files.add(f"d/{path.name}") for path in paths)
        writer.add(entry(sources=files))

    index = written(tmp_path, fill)
    paths[-1].unlink()
    list(index.arrays())
    with pytest.raises(SourceError, match="cannot be looked at now"):
        index.files.require_unchanged(tmp_path, CHECKED_FILES)


def test_names_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"d/\xff\xe9.tif")
    (tmp_path / "d").mkdir()
    (tmp_path / name).write_bytes(b"x")

    def fill(writer: IndexWriter) -> None:
        writer.files.add(name)

    index = written(tmp_path, fill)
    assert index.files.path(0) == name


def test_an_index_pickles_as_its_paths(tmp_path: Path) -> None:
    index = written(tmp_path, many)
    len(index)
    data = pickle.dumps(index)
    assert len(data) < 1_000
    assert len(pickle.loads(data)) == 1501  # noqa: S301 - our own


def test_what_the_ledger_knows_of_a_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"y")

    def fill(writer: IndexWriter) -> None:
        writer.files.add("a")
        writer.files.add("b")
        writer.files.know_crc32c("b", 0xDEADBEEF)
        writer.files.know_crc32c("never added", 1)

    files = written(tmp_path, fill).columns.get("files")
    assert files["has_crc32c"].tolist() == [0, 1]
    assert files["crc32c"].tolist() == [0, 0xDEADBEEF]


def test_a_place_that_cannot_be_written_to_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / ".emasync").mkdir()
    (tmp_path / ".emasync/index").write_text("a file in the way")
    with pytest.raises(MachineError, match=r"cannot write '.*\.emasync/index/d'"):
        IndexWriter(tmp_path, "d")


def test_room_is_filled_in_any_order(tmp_path: Path) -> None:
    def fill(writer: IndexWriter) -> None:
        writer.add_records([7], [8], [9])
        room = writer.column("records").room(1000)
        room["start"][::-1] = np.arange(1000)
        writer.add_records([1], [2], [3])

    records = written(tmp_path, fill).columns.get("records")
    assert records["start"].tolist() == [8, *range(999, -1, -1), 2]


def test_an_index_is_taken_away_whole(tmp_path: Path) -> None:
    written(tmp_path, many)
    remove_index(tmp_path, "d")
    remove_index(tmp_path, "d")
    assert indexed_datasets(tmp_path) == []
    assert not index_folder(tmp_path, "d").exists()
