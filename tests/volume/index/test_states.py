"""States of chunks survive packing, whatever they are and wherever blocks begin, and uniform ones take no room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.index.entries import entry, written

from emasync.volume.index_columns import COLUMNS, Columns, ColumnWriter
from emasync.volume.index_writer import IndexWriter
from emasync.volume.states import BLOCK, ChunkState, StateColumns, States, in_blocks, look_up

STRETCHES = st.lists(st.tuples(st.sampled_from(list(ChunkState)), st.integers(1, BLOCK + 100)), min_size=1, max_size=12)


def packed(folder: Path, arrays: list[States]) -> tuple[Columns, list[int]]:
    """States of several arrays, one after the other, and where each begins."""
    blocks, bits = (ColumnWriter(folder / f"{name}.npy", COLUMNS[name]) for name in ("blocks", "bits"))
    columns = StateColumns(blocks, bits)
    firsts = [columns.append(in_blocks(states))[0] for states in arrays]
    blocks.close()
    bits.close()
    if not bits.rows:
        (folder / "bits.npy").unlink()
    return Columns(folder), firsts


@settings(max_examples=20, deadline=None)
@given(st.lists(STRETCHES, min_size=1, max_size=3))
def test_every_state_comes_back(stretches: list[list[tuple[ChunkState, int]]]) -> None:
    arrays = [
        np.concatenate([np.full(count, state, np.uint8) for state, count in stretch]).astype(np.uint8)
        for stretch in stretches
    ]
    with TemporaryDirectory() as folder:
        columns, firsts = packed(Path(folder), arrays)
        for states, first in zip(arrays, firsts, strict=True):
            numbers = np.random.default_rng(len(states)).integers(0, len(states), 300)
            assert (look_up(columns, first, numbers) == states[numbers]).all()
            every = np.arange(len(states))
            assert (look_up(columns, first, every) == states).all()


@pytest.mark.parametrize("states", [(0, 1), (0, 2), (0, 3), (1, 2), (0, 1, 2), (0, 1, 2, 3)])
def test_blocks_of_any_mixture(states: tuple[int, ...], tmp_path: Path) -> None:
    mixed = np.random.default_rng(1).choice(np.array(states, np.uint8), 2 * BLOCK + 17)
    columns, (first,) = packed(tmp_path, [mixed])
    assert (look_up(columns, first, np.arange(len(mixed))) == mixed).all()


def test_counts_are_those_of_the_states(tmp_path: Path) -> None:
    found = []

    def fill(writer: IndexWriter) -> None:
        states = np.repeat(np.array([0, 1, 2, 3], np.uint8), [BLOCK, 5, 7, 11])
        found.append(writer.add_states(in_blocks(states))[1].tolist())

    written(tmp_path, fill)
    assert found == [[BLOCK, 5, 7, 11]]


def test_an_eighth_of_216_million_chunks_stays_below_an_eighth_of_30_mb(tmp_path: Path) -> None:
    """As Hemibrain at 8 nm: any chunk may be absent, and what was not fetched yet is the end of the grid."""
    chunks, rng = 216_000_000 // 8, np.random.default_rng(0)
    mixture = (rng.random((64, BLOCK)) < 0.4).astype(np.uint8)
    rest = np.full(BLOCK, ChunkState.NOT_DOWNLOADED, np.uint8)

    def blocks() -> Iterator[States]:
        for number in range(-(-chunks // BLOCK)):
            size = min(BLOCK, chunks - number * BLOCK)
            yield (mixture[number % 64] if number < 6_000 else rest)[:size]

    def fill(writer: IndexWriter) -> None:
        first, _ = writer.add_states(blocks())
        writer.add(entry(chunks={"kind": "formula", "folder": "d", "grid": {}, "state": None, "blocks": first}))

    index = written(tmp_path, fill)
    size_bytes = sum(path.stat().st_size for path in index.columns.folder.iterdir())
    assert size_bytes < 30_000_000 // 8
    numbers = np.array([0, 5_432 * BLOCK + 77, chunks - 1])
    expected = [mixture[0, 0], mixture[5_432 % 64, 77], ChunkState.NOT_DOWNLOADED]
    assert look_up(index.columns, 0, numbers).tolist() == expected
