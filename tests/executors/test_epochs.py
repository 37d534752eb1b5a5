"""No fact is durable before its worker said so, however the workers' counts lie to each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emasync.executors.epochs import EpochBook

EVENTS = st.lists(
    st.tuples(st.sampled_from(["fact", "durable", "leave"]), st.integers(1, 3), st.integers(min_value=1, max_value=6)),
    max_size=60,
)


@given(EVENTS)
def test_what_is_durable_was_said_to_be(events: list[tuple[str, int, int]]) -> None:
    book, facts, durable = EpochBook(100), [], 100
    for what, worker, epoch in events:
        if what == "fact":
            number = book.number(worker, epoch)
            assert number > durable, "a fact is never born durable"
            facts.append((number, worker, epoch))
        elif what == "durable":
            facts = [fact for fact in facts if fact[1] != worker or fact[2] > epoch]
            durable = max(durable, book.settle(worker, epoch))
        else:
            facts = [fact for fact in facts if fact[1] != worker]
            durable = max(durable, book.leave(worker))
        assert all(number > durable for number, _, _ in facts)
    assert durable <= book.durable_epoch


def test_the_slowest_worker_decides() -> None:
    book = EpochBook(7)
    assert [book.number(1, 1), book.number(2, 1), book.number(1, 2)] == [8, 9, 10]
    assert book.settle(1, 2) == 8
    assert book.settle(2, 1) == 10


def test_an_idle_worker_keeps_nobody_back() -> None:
    book = EpochBook(0)
    book.number(1, 1)
    book.settle(1, 1)
    assert [book.number(2, epoch) for epoch in range(1, 4)] == [2, 3, 4]
    assert book.settle(2, 3) == 4
    assert book.number(1, 2) == 5, "far behind in its own count, in front in the ledger's"


def test_what_was_there_before_is_durable() -> None:
    book = EpochBook(3)
    assert (book.number(1, 0), book.durable_epoch) == (0, 3)


def test_a_dead_worker_keeps_its_epochs_open_until_they_are_made_durable() -> None:
    book = EpochBook(0)
    book.number(1, 1)
    book.number(2, 1)
    assert book.settle(2, 1) == 0
    assert book.leave(1) == 2
