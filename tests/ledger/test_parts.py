from __future__ import annotations

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.interface import Failed, Invalidated, Part, PartDone, PartialStarted, PartialState, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Validator
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, TaskKey, TaskSetSpec

from .conftest import Opener

FIRST, SECOND = Validator(etag='"1"'), Validator(etag='"2"', last_modified="Tue, 01 Jan 2030 00:00:00 GMT")


def started(set_id: int, key: TaskKey, generation: int = 0, validator: Validator = FIRST) -> PartialStarted:
    return PartialStarted(set_id=set_id, key=key, generation=generation, size_bytes=100, validator=validator)


def part(set_id: int, key: TaskKey, start: int, stop: int, *, generation: int = 0, epoch: int = 0) -> PartDone:
    return PartDone(
        set_id=set_id, key=key, generation=generation, start=start, stop=stop, crc32c=start + 1, epoch=epoch
    )


@pytest.fixture(params=["big.tif", 3])
def big(request: pytest.FixtureRequest, ledger: SqliteLedger) -> tuple[int, TaskKey]:
    """A set and a key: of a listed set, and of a gridded one."""
    key: TaskKey = request.param
    ledger.begin_plan("d", "1")
    grid = ChunkGrid(start=(0,), shape=(9,), prefix="") if isinstance(key, int) else None
    set_id = ledger.add_set(TaskSetSpec(dataset="d", base="s3://b", destination="d", grid=grid))
    if isinstance(key, str):
        ledger.add_entries(set_id, [ObjectEntry(key=key, size_bytes=100)])
    ledger.finish_plan("d")
    return set_id, key


def test_parts_are_remembered_with_their_validator(
    ledger: SqliteLedger, open_ledger: Opener, big: tuple[int, TaskKey]
) -> None:
    assert ledger.partial(*big) is None
    ledger.record([started(*big, validator=SECOND), part(*big, 50, 100, epoch=3), part(*big, 0, 50)])
    ledger.record([started(*big, validator=SECOND)])
    ledger.record([part(*big, 50, 100, epoch=4)])
    expected = PartialState(
        generation=0,
        size_bytes=100,
        validator=SECOND,
        parts=(Part(start=0, stop=50, crc32c=1, epoch=0), Part(start=50, stop=100, crc32c=51, epoch=4)),
    )
    assert ledger.partial(*big) == expected
    assert len(ledger.unfinished()) == 1
    ledger.close(clean=False)
    again = open_ledger()
    assert again.partial(*big) == expected
    assert again.last_epoch() == 4


def test_a_partial_is_never_bound_to_another_validator(ledger: SqliteLedger, big: tuple[int, TaskKey]) -> None:
    ledger.record([started(*big), part(*big, 0, 50)])
    with pytest.raises(MachineError, match="record Invalidated first"):
        ledger.record([started(*big, validator=SECOND)])
    with pytest.raises(MachineError, match="record Invalidated first"):
        ledger.record([started(*big, generation=1)])
    found = ledger.partial(*big)
    assert found is not None
    assert found.validator == FIRST
    ledger.record([Invalidated(set_id=big[0], key=big[1])])
    assert ledger.partial(*big) is None
    ledger.record([started(*big), part(*big, 0, 50)])  # of the older generation: too late
    assert ledger.partial(*big) is None
    ledger.record([started(*big, generation=1, validator=SECOND), part(*big, 0, 10), part(*big, 10, 20, generation=1)])
    found = ledger.partial(*big)
    assert found is not None
    assert (found.generation, found.validator) == (1, SECOND)
    assert [item.start for item in found.parts] == [10]


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (50, 101)])
def test_parts_lie_inside_the_object(ledger: SqliteLedger, big: tuple[int, TaskKey], start: int, stop: int) -> None:
    ledger.record([started(*big)])
    with pytest.raises(MachineError, match="of 100 bytes"):
        ledger.record([part(*big, start, stop)])


def test_a_whole_object_needs_no_parts_any_more(ledger: SqliteLedger, big: tuple[int, TaskKey]) -> None:
    set_id, key = big
    ledger.record([started(*big), part(*big, 0, 100)])
    failed = Failed(set_id=set_id, key=key, location="x", kind=ErrorKind.STALLED, message="m", attempts=1)
    ledger.record([failed])
    assert ledger.partial(*big) is not None
    ledger.record([Sealed(set_id=set_id, key=key, size_bytes=100, crc32c=1), Placed(set_id=set_id, key=key)])
    assert ledger.partial(*big) is None
    assert ledger.unfinished() == frozenset()
    assert ledger._connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)


def test_a_batch_that_fails_leaves_no_partial(ledger: SqliteLedger, big: tuple[int, TaskKey]) -> None:
    with pytest.raises(MachineError, match="cannot be placed"):
        ledger.record([started(*big), part(*big, 0, 9), Placed(set_id=big[0], key=big[1])])
    assert ledger.partial(*big) is None


# --- pieces of files that are whole ----------------------------------------------------------------------------------


def sealed(set_id: int, key: TaskKey, *, generation: int = 0) -> Sealed:
    return Sealed(
        set_id=set_id,
        key=key,
        size_bytes=100,
        crc32c=9,
        validator=FIRST,
        verified="computed",
        generation=generation,
    )


def test_parts_of_a_whole_file_are_kept_as_its_pieces(
    ledger: SqliteLedger, open_ledger: Opener, big: tuple[int, TaskKey]
) -> None:
    ledger.record([started(*big), part(*big, 50, 100), part(*big, 0, 50), sealed(*big)])
    ledger.record([Placed(set_id=big[0], key=big[1])])
    assert ledger.partial(*big) is None
    assert ledger.pieces(*big) == ((0, 50, 1), (50, 100, 51))
    ledger.close(clean=True)
    again = open_ledger()
    assert again.pieces(*big) == ((0, 50, 1), (50, 100, 51))
    again.record([Invalidated(set_id=big[0], key=big[1])])
    assert again.pieces(*big) == ()


def test_parts_that_do_not_cover_a_file_say_nothing_of_it(ledger: SqliteLedger, big: tuple[int, TaskKey]) -> None:
    ledger.record([started(*big), part(*big, 0, 50), part(*big, 60, 100), sealed(*big)])
    assert ledger.pieces(*big) == ()
