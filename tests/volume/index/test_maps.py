"""Chunk maps give back what was written, chunk by chunk, in any order of asking, here and in another process."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.index.entries import written

from emasync.errors import SourceError
from emasync.formats.json_document import JsonObject
from emasync.model.grid import ChunkGrid, VoxelGrid
from emasync.volume.index_entry import chunk_map, formula
from emasync.volume.index_writer import IndexWriter
from emasync.volume.interface import ABSENT, NOT_DOWNLOADED, UNKNOWN, WHOLE_FILE, ChunkMap, Numbers
from emasync.volume.states import ChunkState, in_blocks

PLACES = st.lists(
    st.tuples(
        st.integers(-3, 2**31 - 4), st.integers(1, 2**32 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1)
    ),
    min_size=1,
    max_size=50,
)


def mapped(root: Path, places: JsonObject, writer_fills: Any = None) -> ChunkMap:
    index = written(root, writer_fills or (lambda _: None))
    return chunk_map(places, root, index.columns)


@settings(max_examples=20, deadline=None)
@given(PLACES, st.integers(0, 5))
def test_dense_records(places: list[tuple[int, int, int, int]], before: int) -> None:
    files, sizes, starts, skipped = (np.array(column) for column in zip(*places, strict=True))
    told: JsonObject = {"kind": "dense"}

    def fill(writer: IndexWriter) -> None:
        writer.add_records(np.zeros(before), np.zeros(before), np.zeros(before))  # another array's
        told["first"] = writer.add_records(files, starts, sizes)
        writer.column("skipped").append(np.zeros(before))
        told["skipped"] = writer.column("skipped").append(skipped)
        told["crc32c"] = writer.column("crc32c").append(skipped[::-1])

    with TemporaryDirectory() as folder:
        index = mapped(Path(folder), told, fill)
        order = np.random.default_rng(0).permutation(len(places))
        found = index.find(order)
        assert (found.files == files[order]).all()
        assert (found.sizes == sizes[order]).all()
        assert (found.starts == starts[order]).all()
        assert found.skipped is not None
        assert (found.skipped == skipped[order]).all()
        assert found.crc32c is not None
        assert (found.crc32c == skipped[::-1][order]).all()
        assert {column.dtype for column in (found.files, found.starts, found.sizes)} == {np.dtype(np.int64)}


@settings(max_examples=20, deadline=None)
@given(
    st.sets(st.integers(0, 2**40)),
    st.sets(st.integers(0, 2**40), max_size=30),
    st.sampled_from([ABSENT, NOT_DOWNLOADED]),
)
def test_sparse_records(there: set[int], asked: set[int], missing: int) -> None:
    keys = np.array(sorted(there), np.int64)
    told: JsonObject = {"kind": "sparse", "count": len(keys), "missing": missing}

    def fill(writer: IndexWriter) -> None:
        told["keys"] = writer.column("keys").append(keys)
        told["first"] = writer.add_records(0, keys + 1, np.full(len(keys), 9))

    with TemporaryDirectory() as folder:
        numbers = np.array([*asked, *there], np.int64)
        found = mapped(Path(folder), told, fill).find(numbers)
        known = np.isin(numbers, keys)
        assert (found.files == np.where(known, 0, missing)).all()
        assert (found.starts == np.where(known, numbers + 1, 0)).all()
        assert (found.sizes == np.where(known, 9, 0)).all()


def test_one_piece(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/volume.mrc").write_bytes(b"x" * 2000)
    told: JsonObject = {"kind": "affine", "start": 1024, "size_bytes": 976}

    def fill(writer: IndexWriter) -> None:
        told["file"] = writer.files.add("d/volume.mrc")

    index = mapped(tmp_path, told, fill)
    found = index.find(np.array([0]))
    assert (index.path(int(found.files[0])), found.starts.tolist(), found.sizes.tolist()) == (
        "d/volume.mrc",
        [1024],
        [976],
    )


@pytest.mark.parametrize(
    ("grid", "name"),
    [
        (ChunkGrid(start=(0, 0), shape=(2, 3), prefix="s0/"), "d/s0/1.1"),
        (ChunkGrid(start=(7, 9), shape=(2, 3), prefix="s0/", encoding="default", separator="/"), "d/s0/c/8/10"),
        (ChunkGrid(start=(7, 9), shape=(2, 3), prefix="", encoding="n5", separator="/", rebase=True), "d/1/1"),
    ],
)
def test_names_are_a_formula(grid: ChunkGrid, name: str, tmp_path: Path) -> None:
    index = mapped(tmp_path, formula("d", grid, state=int(ChunkState.PRESENT)))
    found = index.find(np.array([4]))
    assert (index.path(int(found.files[0])), found.starts.tolist(), found.sizes.tolist()) == (name, [0], [WHOLE_FILE])


def test_names_that_say_voxels(tmp_path: Path) -> None:
    grid = VoxelGrid(
        start=(0, 1, 0), shape=(2, 2, 2), prefix="8_8_8/", chunk=(64, 64, 64), origin=(5, 0, 0), size=(100, 200, 300)
    )
    assert mapped(tmp_path, formula("d", grid, state=0)).path(3) == "d/8_8_8/64-128_128-192_5-69"


def test_states_of_a_formula(tmp_path: Path) -> None:
    grid = ChunkGrid(start=(0, 0), shape=(2, 2), prefix="")
    told: JsonObject = {}

    def fill(writer: IndexWriter) -> None:
        told.update(formula("d", grid, blocks=writer.add_states(in_blocks(np.arange(4, dtype=np.uint8)))[0]))

    index = mapped(tmp_path, told, fill)
    found = index.find(np.arange(4)[::-1])
    assert found.files.tolist() == [UNKNOWN, NOT_DOWNLOADED, ABSENT, 0]
    assert found.sizes.tolist() == [0, 0, 0, WHOLE_FILE]


def test_where_nobody_remembers_the_disk_is_asked(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/0.1").write_bytes(b"")
    index = mapped(tmp_path, formula("d", ChunkGrid(start=(0, 0), shape=(1, 3), prefix=""), probe=True))
    assert index.find(np.arange(3)).files.tolist() == [UNKNOWN, 1, UNKNOWN]


def _look_up(index: ChunkMap, numbers: Numbers, answers: Any) -> None:
    answers.put(index.find(numbers).starts.tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_maps_go_to_other_processes_as_their_paths(method: Literal["fork", "spawn"], tmp_path: Path) -> None:
    starts = np.arange(100_000) * 7
    told: JsonObject = {"kind": "dense", "first": 0}
    index = mapped(tmp_path, told, lambda writer: writer.add_records(0, starts, np.ones(len(starts))))
    assert index.find(np.array([3])).starts.tolist() == [21]
    assert len(pickle.dumps(index)) < 1_000
    context: Any = multiprocessing.get_context(method)  # typeshed: each method has a class of its own
    answers = context.Queue()
    child = context.Process(target=_look_up, args=(index, np.array([99_999, 0]), answers))
    child.start()
    assert answers.get(timeout=60) == [699_993, 0]
    child.join()


def test_chunks_kept_in_an_unknown_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"not known: 'quantum'.*emasync index"):
        mapped(tmp_path, {"kind": "quantum"})
