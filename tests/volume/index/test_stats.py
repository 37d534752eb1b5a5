"""What is in each chunk, against numpy, and nothing made up of chunks that are not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.volume.index.entries import entry, written

from emasync.formats.chunks import ChunkLayout
from emasync.formats.json_document import JsonObject
from emasync.formats.stored import Codec
from emasync.model.grid import ChunkGrid
from emasync.volume import index_stats
from emasync.volume.files import LocalFiles
from emasync.volume.index import DatasetIndex
from emasync.volume.index_entry import Coverage, formula
from emasync.volume.index_stats import chunk_stats, summary, write_stats
from emasync.volume.index_writer import IndexWriter
from emasync.volume.states import in_blocks

VOXELS = np.random.default_rng(2).integers(0, 5, (20, 30)).astype("<u2")


def tiled(root: Path, codecs: tuple[Codec, ...] = ()) -> DatasetIndex:
    """2 by 3 chunks of which one is absent, one not downloaded and one unknown."""
    (root / "d").mkdir()
    for row, column in np.ndindex(2, 3):
        chunk = VOXELS[row * 10 :, column * 10 :][:10, :10]
        (root / f"d/{row}.{column}").write_bytes(np.ascontiguousarray(chunk).tobytes())

    def fill(writer: IndexWriter) -> None:
        states = np.array([0, 0, 1, 2, 3, 0], np.uint8)
        blocks, _ = writer.add_states(in_blocks(states))
        layout = ChunkLayout(chunks=(10, 10), dtype="<u2", codecs=codecs, fill_value=7)
        grid = ChunkGrid(start=(0, 0), shape=(2, 3), prefix="")
        coverage = Coverage(chunks=6, present=3, absent=1, not_downloaded=1, unknown=1)
        writer.add(entry(role="thumbnail", path="thumbnail", layout=layout, chunks=formula("d", grid, blocks=blocks)))
        writer.add(entry(layout=layout, chunks=formula("d", grid, blocks=blocks), coverage=coverage))

    return written(root, fill)


def rows(index: DatasetIndex) -> NDArray[Any]:
    (image,) = (item for item in index.entries() if item.role == "image")
    found = chunk_stats(index, image)
    assert found is not None
    return np.array(found.tolist())


def expected(voxels: NDArray[Any]) -> list[float]:
    return [float(voxels.min()), float(voxels.max()), float(voxels.mean()), float((voxels == 0).mean())]


def test_each_chunk_has_its_own_row(tmp_path: Path) -> None:
    index = tiled(tmp_path)
    assert [chunk_stats(index, item) for item in index.entries()] == [None, None]
    assert write_stats(index, LocalFiles(str(tmp_path))) == []
    found = rows(index)
    for number, chunk in [(0, VOXELS[:10, :10]), (1, VOXELS[:10, 10:20]), (5, VOXELS[10:, 20:])]:
        assert found[number].tolist() == pytest.approx(expected(chunk))
    assert found[2].tolist() == [7, 7, 7, 0]
    assert np.isnan(found[[3, 4]]).all()
    assert [chunk_stats(index, item) is None for item in index.entries() if item.role == "thumbnail"] == [True]


def test_chunks_that_cannot_be_read_are_told_and_the_others_have_their_row(tmp_path: Path) -> None:
    index = tiled(tmp_path)
    (tmp_path / "d/0.1").write_bytes(b"short")
    notes = write_stats(index, LocalFiles(str(tmp_path)))
    assert len(notes) == 1
    assert "d/0.1" in notes[0]
    assert np.isnan(rows(index)[1]).all()
    assert rows(index)[0].tolist() == pytest.approx(expected(VOXELS[:10, :10]))


def test_an_array_that_nothing_decodes_is_told(tmp_path: Path) -> None:
    index = tiled(tmp_path, codecs=(Codec("zfpy"),))
    (note,) = write_stats(index, LocalFiles(str(tmp_path)))
    assert "image/s0" in note
    assert np.isnan(rows(index)).all()


def test_one_long_piece_is_read_in_pieces(tmp_path: Path) -> None:
    side = int((index_stats.PIECE_BYTES // 4 + 1000) ** 0.5) + 1
    voxels = np.random.default_rng(0).random((2, side, side), np.float32).astype(">f4")
    voxels[1, 5] = np.nan
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.mrc").write_bytes(b"header" + voxels.tobytes())
    told: JsonObject = {"kind": "affine", "start": 6, "size_bytes": voxels.nbytes}

    def fill(writer: IndexWriter) -> None:
        told["file"] = writer.files.add("d/a.mrc")
        layout = ChunkLayout(chunks=voxels.shape, dtype=">f4")
        shape: dict[str, Any] = {"shape": voxels.shape, "origin": (0,) * 3, "axes": ("z", "y", "x")}
        writer.add(entry(layout=layout, chunks=told, coverage=Coverage(chunks=1, present=1), **shape))

    index = written(tmp_path, fill)
    assert voxels.nbytes > index_stats.PIECE_BYTES
    assert write_stats(index, LocalFiles(str(tmp_path))) == []
    known = voxels[~np.isnan(voxels)].astype(np.float64)
    assert rows(index)[0].tolist() == pytest.approx([known.min(), known.max(), known.mean(), 0], rel=1e-5)


@given(st.lists(st.lists(st.integers(-5, 5), max_size=6), max_size=5))
def test_pieces_sum_up_to_the_whole(pieces: list[list[int]]) -> None:
    whole = np.array([value for piece in pieces for value in piece])
    found = summary([np.array(piece, np.int64) for piece in pieces])
    if whole.size:
        assert found == pytest.approx(expected(whole))
    else:
        assert np.isnan(found).all()
