"""Claims that follow from rows against claims that are all written down, as on a filesystem that folds case."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import ErrorKind, InputError
from emasync.ledger.interface import Failed, Placed, Sealed
from emasync.ledger.rooms import Rooms, folders_of
from emasync.ledger.store import SqliteLedger
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, TaskSetSpec

from .conftest import StillClock

SEGMENTS = st.sampled_from(["a", "b", "a.b", "a0", "é", "0"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
SPECS = [
    TaskSetSpec(dataset="d", base="s3://b", destination=""),
    TaskSetSpec(dataset="d", base="s3://b/p", destination="a"),
    TaskSetSpec(dataset="d", asset="x", base="s3://b/p", destination="a"),
    TaskSetSpec(dataset="d", base="s3://other", destination="a/a"),
    TaskSetSpec(dataset="d", base="s3://b", destination="b/a.b"),
    TaskSetSpec(dataset="d", base="s3://g", destination="a/b", grid=ChunkGrid(start=(0,), shape=(3,), prefix="0/")),
]
ENTRIES = st.lists(st.tuples(NAMES, st.none() | NAMES, st.sampled_from([1, 1, 1, 2])), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, len(SPECS) - 1), ENTRIES),
        st.tuples(st.sampled_from(["land", "fail"]), st.integers(0, 5), st.just([])),
        st.tuples(st.sampled_from(["plan", "retry", "forget"]), st.just(0), st.just([])),
    ),
    max_size=14,
)


def happen(ledger: SqliteLedger, steps: list[tuple[str, int, list[tuple[str, str | None, int]]]]) -> list[object]:
    """What the ledger answers to each step, and what it knows at the end."""
    said: list[object] = []
    plans = 1
    ledger.begin_plan("d", "1")
    for what, number, entries in steps:
        if what == "add":
            set_id = ledger.add_set(SPECS[number])
            if SPECS[number].grid is None:
                page = [ObjectEntry(key=key, size_bytes=size, path=path) for key, path, size in entries]
                try:
                    said.append(ledger.add_entries(set_id, page))
                except InputError as error:
                    said.append(error.message)
        elif what in ("land", "fail"):
            for task in [task for item in ledger.open_sets() for task in ledger.lease(item.set_id, number)]:
                name = {"set_id": task.set_id, "key": task.key}
                if what == "fail":
                    ledger.record([Failed(location="x", kind=ErrorKind.STALLED, message="m", attempts=1, **name)])  # type: ignore[arg-type]  # set and key
                else:
                    sealed = Sealed(size_bytes=1, crc32c=1, generation=task.generation, **name)  # type: ignore[arg-type]  # set and key
                    ledger.record([sealed, Placed(**name)])  # type: ignore[arg-type]  # set and key
                said.append(task)
        elif what == "plan":
            ledger.finish_plan("d")
            plans += 1
            ledger.begin_plan("d", str(plans))
        elif what == "retry":
            said.append(ledger.retry_failed())
        else:
            said.append([item.destination for item in ledger.leftovers(99)])
            ledger.forget_leftovers([item.destination for item in ledger.leftovers(99)])
    ledger.finish_plan("d")
    return [*said, list(ledger.rows()), list(ledger.unwanted()), ledger.tallies(), ledger.failures("d", 99)]


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, fewest=st.sampled_from([1, 32]))
def test_claims_that_follow_from_rows_are_the_claims(
    steps: list[tuple[str, int, list[tuple[str, str | None, int]]]], fewest: int
) -> None:
    answers = []
    for casefold in (False, True):
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            if not casefold:  # the other one keeps rows throughout
                patch.setattr("emasync.ledger.listed.FEWEST", fewest)
                patch.setattr("emasync.ledger.pages.OBJECTS", 3)
            ledger = SqliteLedger.open(
                Path(folder), root=Path(folder), clock=StillClock(), boot_id="1", casefold=casefold
            )
            with closing(ledger._connection):
                answers.append(happen(ledger, steps))
                kept = ledger._connection.execute("SELECT count(*) FROM places WHERE key IS NULL").fetchone()[0]
                assert casefold or kept <= 1, "a claim is written down that follows from its row"
    assert answers[0] == answers[1]


def test_folders_around_a_place() -> None:
    assert list(folders_of(b"a/b//c", 5)) == [b"", b"a/", b"a/b/", b"a/b//"]


def test_what_is_remembered_of_a_set_grows_with_it(ledger: SqliteLedger) -> None:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPECS[1])
    rooms = Rooms(ledger._connection)
    assert rooms.owner(b"a/m") is None
    for key in ("m", "c", "x"):
        ledger.add_entries(set_id, [ObjectEntry(key=key)])
        rooms.grow(set_id, key.encode(), key.encode())
        assert rooms.owner(b"a/" + key.encode()) == (set_id, key.encode())
    assert rooms.between(b"a", b"b", 9) == [(b"a/" + key, set_id, key) for key in (b"c", b"m", b"x")]
    assert rooms.between(b"a/d", b"a/x", 9) == [(b"a/m", set_id, b"m")]
