"""Members of the ledger find their arrays: as columns as well as row by row, whatever folder a set begins in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emasync.hooks.index.listed_objects import ListedObjects, Members
from emasync.ledger.interface import MemberBlock, Row
from emasync.model.grid import ChunkGrid
from emasync.model.task import State, TaskSetSpec
from emasync.volume.states import ChunkState

GRID = ChunkGrid(start=(0, 0), shape=(20, 30), prefix="s0/", separator="/")
OTHER = ChunkGrid(start=(2, 0), shape=(5, 5), prefix="s1/", encoding="default", separator="/")
ARRAYS: dict[str, Any] = {  # Any: of arrays of trees, what is looked at
    "d/x/s0": SimpleNamespace(grid=GRID, folder="d/x"),
    "d/x/s1": SimpleNamespace(grid=OTHER, folder="d/x"),
}
PLACED, PENDING = int(State.PLACED), int(State.PENDING)


def block(destination: str, names: list[str], states: list[int]) -> MemberBlock:
    texts = [name.encode() for name in names]
    spec = TaskSetSpec(dataset="d", base="s3://b", destination=destination)
    crcs = np.arange(1, len(names) + 1, dtype="<u4")
    return MemberBlock(spec, b"".join(texts), np.array(list(map(len, texts)), "<i4"), np.array(states, np.uint8), crcs)


def as_rows(members: MemberBlock) -> list[Row]:
    found, at = [], 0
    for number, length in enumerate(members.lengths.tolist()):
        path = f"{members.spec.destination}/{members.names[at : at + length].decode()}"
        state, crc = State(int(members.states[number])), int(members.crc32c[number])
        crc_told = crc if state is State.PLACED else None
        found.append(Row(members.spec, 1, path, path, state, 1, crc_told, "", None, None, None, 0, 0))
        at += length
    return found


def states_of(objects: ListedObjects) -> list[int]:
    states: list[int] = np.concatenate(list(objects.states(ChunkState.ABSENT))).tolist()
    return states


def taken(*members: MemberBlock | Row, arrays: dict[str, Any] = ARRAYS) -> tuple[dict[str, Any], list[str]]:
    others: list[str] = []
    found = Members(arrays, lambda row: others.append(row.destination))
    for one in members:
        found.take(one)
    found.flush()
    told = {
        place: (states_of(objects), None if objects.crc32c is None else objects.crc32c.tolist())
        for place, objects in found.objects.items()
    }
    return told, sorted(others)


@pytest.mark.parametrize("destination", ["d", "d/x", "d/x/s0"])
def test_columns_say_what_rows_say(destination: str) -> None:
    below = [f"d/x/{GRID.destination(number)}" for number in (0, 7, 599, 30)]
    below += ["d/x/s0/.zarray", "d/x/s0/20/0"]
    if destination != "d/x/s0":
        below += [f"d/x/{OTHER.destination(number)}" for number in (3, 24)] + ["d/x/s1/c/0/0", "d/x/zarr.json"]
    names = [path.removeprefix(f"{destination}/") for path in below]
    states = [PLACED, PENDING, PLACED, PLACED, PLACED, PENDING, PENDING, PLACED, PLACED, PLACED][: len(names)]
    members = block(destination, names, states)

    told, others = taken(members)

    assert (told, others) == taken(*as_rows(members))
    present = np.array(told["d/x/s0"][0]) == ChunkState.PRESENT
    assert np.flatnonzero(present).tolist() == [0, 30, 599]
    assert told["d/x/s0"][0][7] == ChunkState.NOT_DOWNLOADED
    assert told["d/x/s0"][1][599] == 3
    assert others[:2] == ["d/x/s0/.zarray", "d/x/s0/20/0"]


def test_an_array_inside_of_anothers_folder_gets_its_own() -> None:
    inner = ChunkGrid(start=(0, 0), shape=(4, 4), prefix="s0/in/", separator="/")
    arrays = {**ARRAYS, "d/x/s0/in": SimpleNamespace(grid=inner, folder="d/x")}
    members = block("d/x", ["s0/1/1", "s0/in/0/1", "s0/in/2/2"], [PLACED] * 3)

    told, others = taken(members, arrays=arrays)

    assert others == []
    assert told["d/x/s0/in"][0].count(ChunkState.PRESENT) == 2
    assert told["d/x/s0"][0].count(ChunkState.PRESENT) == 1
