"""Who holds what, and how much of the rest one worker may have."""

from __future__ import annotations

from emasync.executors.leases import FEW, LeaseBook
from emasync.ledger.interface import OpenSet
from emasync.model.task import Task, TaskSetSpec

SPEC = TaskSetSpec(dataset="d", base="https://h/b", destination="d")


def tasks(*keys: int) -> list[Task]:
    return [Task(SPEC, 1, str(key)) for key in keys]


def opened(pending: int) -> OpenSet:
    return OpenSet(set_id=1, spec=SPEC, pending=pending)


def test_what_is_leased_waits_no_more() -> None:
    book = LeaseBook(2)
    book.add(1, "h", tasks(1, 2, 3))
    assert book.waiting(opened(10)) == 7
    book.seal(1, [(1, "1")])
    assert book.waiting(opened(9)) == 7, "the ledger counts a sealed object as pending no longer"
    book.settle(1, [(1, "1"), (1, "2")])
    assert book.waiting(opened(8)) == 7
    assert book.names(1) == {(1, "3")}


def test_what_was_refused_is_pending_and_still_held() -> None:
    book = LeaseBook(2)
    book.add(1, "h", tasks(1))
    book.seal(1, [(1, "1")])
    book.reopen(1, [(1, "1")])
    assert book.waiting(opened(1)) == 0
    book.settle(1, [(1, "1")])
    assert book.waiting(opened(0)) == 0


def test_who_leaves_leaves_its_tasks() -> None:
    book = LeaseBook(2)
    book.add(1, "h", tasks(1, 2))
    book.seal(1, [(1, "2")])
    assert book.leave(1) == tasks(1, 2)
    assert book.waiting(opened(5)) == 5
    assert book.leave(1) == []


def test_much_is_dealt_out_freely_and_little_with_care() -> None:
    book = LeaseBook(2)
    assert book.portion(1, "h", 1_000_000) == 250_000
    assert book.portion(1, "h", 10) == 3
    book.add(1, "h", tasks(1, 2, 3))
    assert book.portion(1, "h", 7) == 0
    assert book.portion(2, "h", 7) == 3
    assert book.portion(1, "other", 7) == 2


def test_a_worker_without_work_gets_some() -> None:
    book = LeaseBook(8)
    assert book.portion(1, "h", 1) == FEW
    book.add(2, "h", tasks(1))
    assert book.portion(1, "h", 1) == FEW
