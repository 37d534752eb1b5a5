from __future__ import annotations

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.interface import Tally
from emasync.model.task import State
from emasync.plan.guards import RESERVE_INODES, Demand, Guard, Room


def tally(name: str, unknown: int = 0, **states: tuple[int, int]) -> Tally:
    objects = {State[state.upper()]: count for state, (count, _) in states.items()}
    sizes = {State[state.upper()]: size for state, (_, size) in states.items()}
    return Tally(dataset=name, objects=objects, bytes=sizes, unknown_size=unknown)


def guard(room: Room, *, max_total: int | None = None, reserve: int = 0) -> Guard:
    return Guard(max_total_bytes=max_total, reserve_bytes=reserve, measure=lambda: room)


def test_demand_sums_over_datasets_and_leaves_out_what_is_absent() -> None:
    demand = Demand.of(
        [
            tally("a", unknown=2, pending=(3, 30), placed=(5, 500), absent=(9, 900)),
            tally("b", sealed=(1, 7), failed=(1, 4)),
        ]
    )
    assert demand == Demand(wanted_bytes=541, wanted_objects=10, missing_bytes=30, missing_objects=3, unknown_sizes=2)


def test_everything_wanted_counts_against_max_total() -> None:
    demand = Demand.of([tally("a", pending=(1, 10), placed=(1, 90))])
    guard(Room(free_bytes=10), max_total=100).check(demand)
    with pytest.raises(MachineError, match=r"100 bytes in 2 objects.*max_total is 99") as caught:
        guard(Room(free_bytes=10), max_total=99).check(demand)
    assert caught.value.kind == ErrorKind.GUARD


def test_only_what_is_missing_counts_against_free_space() -> None:
    demand = Demand.of([tally("a", pending=(1, 10), placed=(1, 10**15))])
    guard(Room(free_bytes=15), reserve=5).check(demand)
    with pytest.raises(MachineError, match="10 bytes are still to be fetched and 9 bytes may be used"):
        guard(Room(free_bytes=14), reserve=5).check(demand)
    with pytest.raises(MachineError, match="and 0 bytes may be used"):
        guard(Room(free_bytes=1), reserve=5).check(demand)


def test_space_that_unfinished_files_hold_is_ours() -> None:
    demand = Demand.of([tally("a", pending=(1, 100))])
    guard(Room(free_bytes=20, unfinished_bytes=80)).check(demand)
    with pytest.raises(MachineError):
        guard(Room(free_bytes=20, unfinished_bytes=79)).check(demand)


def test_inodes_are_counted_where_the_filesystem_does() -> None:
    demand = Demand.of([tally("a", pending=(10, 10))])
    guard(Room(free_bytes=10)).check(demand)
    guard(Room(free_bytes=10, free_inodes=RESERVE_INODES + 10)).check(demand)
    with pytest.raises(MachineError, match="10 files are still to be made"):
        guard(Room(free_bytes=10, free_inodes=RESERVE_INODES + 9)).check(demand)
