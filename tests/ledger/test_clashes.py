from __future__ import annotations

import sqlite3
from itertools import permutations

import pytest

from emasync.errors import DestinationError, ErrorKind, InputError, MachineError
from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import Absent, Admission, Invalidated, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.digest import Digest, Validator
from emasync.model.grid import ChunkGrid
from emasync.model.packing import pack_validator
from emasync.model.task import ObjectEntry, State, TaskSetSpec

from .conftest import Opener

SPEC = TaskSetSpec(dataset="d", base="s3://b/p", destination="d")
OTHER = TaskSetSpec(dataset="d", asset="o", base="s3://other", destination="d")
ALIAS = TaskSetSpec(dataset="d", asset="a", base="s3://b", destination="d")


def add(ledger: SqliteLedger, spec: TaskSetSpec, *keys: str, path: str | None = None) -> Admission:
    return ledger.add_entries(ledger.add_set(spec), [ObjectEntry(key=key, size_bytes=4, path=path) for key in keys])


def land(ledger: SqliteLedger, set_id: int, *keys: str) -> None:
    ledger.record([Sealed(set_id=set_id, key=key, size_bytes=4, crc32c=1) for key in keys])
    ledger.record([Placed(set_id=set_id, key=key) for key in keys])


def states(ledger: SqliteLedger) -> dict[str, str]:
    return {f"{row.location}": row.state.name.lower() for row in ledger.rows()}


def check_tallies(ledger: SqliteLedger) -> None:
    """Counts equal a scan."""
    for tally in ledger.tallies():
        rows = list(ledger.rows(dataset=tally.dataset))
        for state in State:
            assert tally.objects[state] == sum(row.state is state for row in rows), state
        unwanted = sum(1 for _ in ledger.unwanted(tally.dataset))
        assert tally.unwanted == unwanted


@pytest.fixture
def planning(ledger: SqliteLedger) -> SqliteLedger:
    ledger.begin_plan("d", "1")
    return ledger


def test_the_same_object_twice_is_one(planning: SqliteLedger) -> None:
    assert add(planning, SPEC, "x", "y").added == 2
    again = add(planning, SPEC, "x", "y", "z")
    assert (again.added, again.kept, again.clashes) == (1, 2, ())
    alias = add(planning, ALIAS, "p/x", path="x")
    assert (alias.added, alias.kept) == (0, 1)
    assert add(planning, SPEC, "w", "w").kept == 1
    check_tallies(planning)


def test_another_object_of_one_name_fails(planning: SqliteLedger) -> None:
    add(planning, SPEC, "x")
    admission = add(planning, OTHER, "x", "y")
    (clash,) = admission.clashes
    assert (clash.kind, clash.destination, clash.other, clash.placed) == ("duplicate", "d/x", "s3://b/p/x", False)
    assert states(planning) == {"s3://b/p/x": "pending", "s3://other/x": "failed", "s3://other/y": "pending"}
    count, (failure,) = planning.failures("d", 9)
    assert (count, failure.kind, failure.location) == (1, ErrorKind.NAME_CLASH, "s3://other/x")
    assert planning.retry_failed() == 0
    assert add(planning, OTHER, "x").kept == 1
    check_tallies(planning)


@pytest.mark.parametrize("order", list(permutations(["a", "a/b", "a/c/d"])))
@pytest.mark.parametrize("at_once", [False, True])
def test_a_file_beside_its_folder_fails_whatever_came_first(
    planning: SqliteLedger, order: tuple[str, ...], at_once: bool
) -> None:
    pages = [order] if at_once else [(key,) for key in order]
    clashes = [clash for page in pages for clash in add(planning, SPEC, *page).clashes]
    assert [(clash.kind, clash.destination, clash.placed) for clash in clashes] == [("file_prefix", "d/a", False)]
    assert states(planning) == {"s3://b/p/a": "failed", "s3://b/p/a/b": "pending", "s3://b/p/a/c/d": "pending"}
    check_tallies(planning)


def test_a_placed_file_gives_way_to_a_folder(planning: SqliteLedger) -> None:
    add(planning, SPEC, "a")
    set_id = planning.add_set(SPEC)
    land(planning, set_id, "a")
    (clash,) = add(planning, SPEC, "a/b").clashes
    assert clash.placed
    assert clash.key == "a"
    assert [file.destination for file in planning.leftovers(9)] == ["d/a"]
    assert planning.generation(set_id, "a") == 1
    check_tallies(planning)


def test_names_that_only_begin_alike_do_not_clash(planning: SqliteLedger) -> None:
    assert not add(planning, SPEC, "a", "a.b", "a-b", "a0", "ab", "A").clashes
    assert not add(planning, SPEC, "a.b0", "a!/x").clashes
    check_tallies(planning)


def test_folders_deep_below_are_noticed(planning: SqliteLedger) -> None:
    add(planning, SPEC, *[f"f/g/h/{number}" for number in range(50)])
    (clash,) = add(planning, SPEC, "f/g").clashes
    assert clash.other == "d/f/g/"
    (other,) = add(planning, SPEC, "f/g/h/7/deep/x").clashes
    assert other.destination == "d/f/g/h/7"


def test_case_counts_only_where_the_filesystem_ignores_it(open_ledger: Opener) -> None:
    ledger = open_ledger(casefold=True)
    ledger.begin_plan("d", "1")
    add(ledger, SPEC, "Read", "straße")
    kinds = {clash.destination: clash.kind for clash in add(ledger, SPEC, "READ", "STRASSE", "read/x").clashes}
    assert kinds == {"d/READ": "casefold", "d/STRASSE": "casefold", "d/Read": "file_prefix"}
    assert add(ledger, SPEC, "straße").kept == 1
    ledger.close(clean=True)
    assert add(open_ledger(casefold=False), SPEC, "STRAßE").clashes[0].kind == "casefold"


def test_one_key_with_two_names_is_a_mistake(planning: SqliteLedger) -> None:
    add(planning, SPEC, "x", path="one")
    with pytest.raises(InputError, match="named twice, as d/one and as d/two"):
        add(planning, SPEC, "x", path="two")


@pytest.mark.parametrize("key", ["folder/", ""])
def test_a_destination_needs_a_file_name(planning: SqliteLedger, key: str) -> None:
    with pytest.raises(DestinationError, match="has no file name"):
        add(planning, SPEC, "fine", key)
    assert states(planning) == {}


def test_only_listed_sets_of_this_plan_take_entries(planning: SqliteLedger) -> None:
    listed = planning.add_set(SPEC)
    gridded = planning.add_set(
        TaskSetSpec(dataset="d", base="s3://g", destination="d/g", grid=ChunkGrid(start=(0,), shape=(2,), prefix=""))
    )
    planning.begin_plan("d", "2")
    for set_id in (listed, gridded):
        with pytest.raises(MachineError, match="takes no entries"):
            planning.add_entries(set_id, [])
    with pytest.raises(MachineError, match="never begun"):
        planning.add_set(TaskSetSpec(dataset="stranger", base="s3://b", destination="x"))


# --- plans that change -----------------------------------------------------------------------------------------------


def replan(ledger: SqliteLedger, digest: str, *pages: tuple[TaskSetSpec, list[ObjectEntry]]) -> list[Admission]:
    ledger.begin_plan("d", digest)
    admissions = [ledger.add_entries(ledger.add_set(spec), page) for spec, page in pages]
    ledger.finish_plan("d")
    return admissions


def entry(key: str, size_bytes: int | None = 4, **more: object) -> ObjectEntry:
    return ObjectEntry(key=key, size_bytes=size_bytes, **more)  # type: ignore[arg-type]  # fields of ObjectEntry


def test_a_changed_plan_keeps_what_it_still_names(ledger: SqliteLedger) -> None:
    replan(ledger, "1", (SPEC, [entry("a"), entry("b"), entry("c")]))
    set_id = ledger.add_set(SPEC)
    land(ledger, set_id, "a", "b")
    assert ledger.begin_plan("d", "1").complete
    state = ledger.begin_plan("d", "2")
    assert (state.complete, state.resumed) == (False, False)
    assert ledger.lease(set_id, 9) == []
    assert ledger.add_set(SPEC) == set_id
    assert ledger.lease(set_id, 9) == []
    ledger.add_entries(set_id, [entry("b"), entry("d")], cursor="d")
    assert ledger.begin_plan("d", "2").resumed
    assert ledger.cursor(set_id) == "d"
    assert not ledger.set_finished(set_id)
    ledger.finish_set(set_id)
    assert ledger.set_finished(set_id)
    ledger.finish_plan("d")
    assert states(ledger) == {"s3://b/p/b": "placed", "s3://b/p/d": "pending"}
    assert [row.destination for row in ledger.unwanted("d")] == ["d/a"]
    assert ledger.removable("d/a") is not None
    assert ledger.removable("d/b") is None
    assert ledger.removable("d/zzz") is None
    check_tallies(ledger)
    ledger.retire(list(ledger.unwanted()))
    assert list(ledger.unwanted()) == []
    check_tallies(ledger)
    replan(ledger, "3", (SPEC, [entry("a"), entry("b")]))
    assert states(ledger) == {"s3://b/p/a": "pending", "s3://b/p/b": "placed"}
    check_tallies(ledger)


def test_a_set_that_is_named_no_more_is_unwanted(ledger: SqliteLedger) -> None:
    replan(ledger, "1", (SPEC, [entry("a")]), (OTHER, [entry("b"), entry("c")]))
    land(ledger, ledger.add_set(OTHER), "b")
    replan(ledger, "2", (SPEC, [entry("a")]))
    assert [item.spec for item in ledger.open_sets()] == [SPEC]
    assert [row.destination for row in ledger.unwanted()] == ["d/b"]
    check_tallies(ledger)
    replan(ledger, "3", (OTHER, [entry("b"), entry("c")]))
    assert states(ledger) == {"s3://other/b": "placed", "s3://other/c": "pending"}
    check_tallies(ledger)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (entry("a"), entry("a"), True),
        (entry("a", 4), entry("a", 5), False),
        (entry("a", None), entry("a", 5), True),
        (
            entry("a", listed=pack_validator(Validator(etag='"1"'))),
            entry("a", listed=pack_validator(Validator(etag='"2"'))),
            False,
        ),
        (
            entry("a", listed=pack_validator(Validator(etag='"1"'))),
            entry("a", listed=pack_validator(Validator(etag='"1"'))),
            True,
        ),
        (entry("a", listed=pack_validator(Validator(etag='"1"'))), entry("a"), True),
        (entry("a"), entry("a", listed=pack_validator(Validator(last_modified="Tue"))), True),
        (entry("a", digests=(Digest("md5", "00"),)), entry("a", digests=(Digest("md5", "01"),)), False),
        (entry("a", digests=(Digest("md5", "00"),)), entry("a", digests=(Digest("sha1", "01"),)), True),
    ],
)
def test_a_listing_that_speaks_of_another_object_takes_the_file_back(
    ledger: SqliteLedger, before: ObjectEntry, after: ObjectEntry, same: bool
) -> None:
    replan(ledger, "1", (SPEC, [before]))
    set_id = ledger.add_set(SPEC)
    land(ledger, set_id, "a")
    delivered = next(ledger.rows()).validator
    replan(ledger, "2", (SPEC, [after]))
    (row,) = ledger.rows()
    assert row.state is (State.PLACED if same else State.PENDING)
    assert row.generation == (0 if same else 1)
    assert [file.destination for file in ledger.leftovers(9)] == ([] if same else ["d/a"])
    if same:
        assert row.validator == delivered
        assert row.size_bytes == 4
    check_tallies(ledger)


def test_what_was_absent_is_fetched_when_it_is_listed(ledger: SqliteLedger) -> None:
    replan(ledger, "1", (SPEC, [entry("a")]))
    ledger.record([Absent(set_id=ledger.add_set(SPEC), key="a")])
    replan(ledger, "2", (SPEC, [entry("a")]))
    assert states(ledger) == {"s3://b/p/a": "pending"}


def test_a_destination_passes_to_the_set_that_names_it_now(ledger: SqliteLedger) -> None:
    replan(ledger, "1", (SPEC, [entry("x"), entry("y"), entry("z"), entry("s")]))
    set_id = ledger.add_set(SPEC)
    land(ledger, set_id, "x", "y")
    ledger.record([Sealed(set_id=set_id, key="s", size_bytes=4, crc32c=1, epoch=1)])
    moved = [entry(f"p/{name}", path=name) for name in "xzs"]
    admissions = replan(ledger, "2", (ALIAS, moved), (OTHER, [entry("y")]))
    assert [admission.added for admission in admissions] == [3, 1]
    assert states(ledger) == {
        "s3://b/p/x": "placed",
        "s3://b/p/z": "pending",
        "s3://b/p/s": "pending",
        "s3://other/y": "pending",
    }
    assert [file.destination for file in ledger.leftovers(9)] == ["d/s", "d/y"]
    assert list(ledger.unwanted()) == []
    check_tallies(ledger)


def test_a_new_path_leaves_the_old_file_over(ledger: SqliteLedger) -> None:
    replan(ledger, "1", (SPEC, [entry("a", path="one")]))
    land(ledger, ledger.add_set(SPEC), "a")
    replan(ledger, "2", (SPEC, [entry("a", path="two")]))
    assert [row.destination for row in ledger.rows()] == ["d/two"]
    assert [file.destination for file in ledger.leftovers(9)] == ["d/one"]
    ledger.forget_leftovers(["d/one"])
    assert ledger.leftovers(9) == []
    replan(ledger, "3", (SPEC, [entry("b", path="one")]))
    check_tallies(ledger)


def test_losers_of_an_older_plan_get_another_chance(ledger: SqliteLedger) -> None:
    replan(ledger, "1", (SPEC, [entry("x")]), (OTHER, [entry("x")]))
    replan(ledger, "2", (OTHER, [entry("x")]))
    assert states(ledger) == {"s3://other/x": "pending"}
    assert ledger.failures("d", 9) == (0, [])
    check_tallies(ledger)


def test_an_unwanted_file_gives_way_to_a_folder_and_an_unwanted_folder_does_not_to_a_file(
    ledger: SqliteLedger,
) -> None:
    replan(ledger, "1", (SPEC, [entry("a"), entry("f/x"), entry("g/x")]))
    land(ledger, ledger.add_set(SPEC), "a", "f/x")
    (admission,) = replan(ledger, "2", (SPEC, [entry("a/b"), entry("f"), entry("g")]))
    assert [(clash.kind, clash.destination) for clash in admission.clashes] == [("file_prefix", "d/f")]
    assert states(ledger) == {"s3://b/p/a/b": "pending", "s3://b/p/f": "failed", "s3://b/p/g": "pending"}
    assert [file.destination for file in ledger.leftovers(9)] == ["d/a"]
    check_tallies(ledger)


def test_a_page_that_fails_leaves_nothing(planning: SqliteLedger) -> None:
    set_id = planning.add_set(SPEC)
    planning.add_entries(set_id, [entry("k", path="one")], cursor="k")
    with pytest.raises(InputError):
        planning.add_entries(set_id, [entry("f/1"), entry("k", path="two")], cursor="zz")
    assert planning.cursor(set_id) == "k"
    assert add(planning, SPEC, "f").clashes == ()
    assert add(planning, SPEC, "f/1").clashes[0].destination == "d/f"


def test_a_lost_claim_is_named(planning: SqliteLedger) -> None:
    add(planning, SPEC, "a", path="b")
    with sqlite3.connect(planning._database.path) as other:
        other.execute("DELETE FROM objects")
    other.close()
    with pytest.raises(MachineError, match="a claim of task set 1 without its object"):
        add(planning, OTHER, "b")


def test_a_plan_that_failed_is_a_failure_until_it_begins_again(ledger: SqliteLedger) -> None:
    ledger.begin_plan("d", "1")
    ledger.fail_plan("d", ErrorKind.NOT_FOUND, "no such entry", "https://h/x")
    count, (failure,) = ledger.failures("d", 9)
    assert (count, failure.kind, failure.message) == (1, ErrorKind.NOT_FOUND, "no such entry")
    ledger.begin_plan("d", "1")
    assert ledger.failures("d", 9) == (0, [])


def test_more_failures_than_are_kept_are_counted(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.ledger.sidenotes.MAX_DETAILS", 2)
    replan(ledger, "1", (SPEC, [entry(key) for key in "abcd"]), (OTHER, [entry(key) for key in "abcd"]))
    count, named = ledger.failures("d", 3)
    assert count == 4
    assert [failure.location for failure in named] == ["s3://other/a", "s3://other/b", "s3://other/c"]
    assert "more than 2 failures" in named[2].message


@pytest.mark.parametrize("first", ["sealed", "clash"])
@pytest.mark.parametrize("small", [True, False], ids=["in a batch", "alone"])
@pytest.mark.parametrize("refused", [False, True], ids=["renamed", "refused"])
def test_a_file_that_loses_its_name_while_it_is_fetched_goes_again(
    ledger: SqliteLedger, first: str, small: bool, refused: bool
) -> None:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(TaskSetSpec(dataset="d", base="s3://b", destination="d"))
    ledger.add_entries(set_id, [ObjectEntry(key="clash", size_bytes=4)])
    ledger.lease(set_id, 9)
    row = SealedRow(set_id, "clash", 5, 9, "computed", Validator())
    sealed = Sealed(set_id=set_id, key="clash", size_bytes=5, crc32c=9, validator=Validator(), epoch=1)

    def seal() -> int:
        if small:
            return ledger.seal_rows([row], 1)
        ledger.record([sealed])
        return 0

    batch = seal() if first == "sealed" else 0
    (clash,) = ledger.add_entries(set_id, [ObjectEntry(key="clash/below", size_bytes=4)]).clashes
    assert clash.key == "clash"
    ledger.forget_leftovers(["d/clash"])  # looked for before the rename: it was not there
    batch = seal() if first == "clash" else batch

    if small:
        ledger.place_rows(batch, {(set_id, "clash")} if refused else set())
    else:
        ledger.record([Invalidated(set_id=set_id, key="clash") if refused else Placed(set_id=set_id, key="clash")])
    states = {row.key: row.state for row in ledger.rows()}
    assert states == {"clash": State.FAILED, "clash/below": State.PENDING}
    left = [(item.destination, item.size_bytes, item.crc32c) for item in ledger.leftovers(9)]
    assert left == ([] if refused else [("d/clash", 5, 9)])
    assert [tally.objects[State.FAILED] for tally in ledger.tallies()] == [1]
    assert [tally.bytes[State.FAILED] for tally in ledger.tallies()] == [4]
    ((_, (failure,)),) = [ledger.failures("d", 9)]
    assert "a file and a folder" in failure.message
