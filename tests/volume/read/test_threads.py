"""Work on several cores: everything once, nothing after an error, and the caller fetches for the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

import pytest

from emasync.volume.threads import Threads


def four(item: int) -> Iterable[int]:
    return range(4 * item, 4 * item + 4)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_piece_is_done_once(count: int, waits: bool) -> None:
    done = list[int]()
    threads = Threads(count)
    for items in (0, 1, 2, 30):
        done.clear()
        threads.run(four, done.append, range(items), waits=waits)
        assert Counter(done) == Counter(range(4 * items))


def test_one_thread_is_the_callers() -> None:
    found = set[int]()
    for waits in (False, True):
        Threads(1).run(four, lambda _: found.add(threading.get_ident()), range(9), waits=waits)
    assert found == {threading.get_ident()}


def test_pieces_of_one_item_are_shared() -> None:
    """Each piece waits for another thread that is at work, too."""
    both = threading.Barrier(2)

    def work(_: int) -> None:
        both.wait(60)

    Threads(2).run(four, work, [0])


def test_the_caller_fetches_while_another_works() -> None:
    fetched = list[int]()
    here, busy, enough = threading.get_ident(), threading.Event(), threading.Event()

    def fetch(item: int) -> list[int]:
        if fetched:
            assert busy.wait(60)  # what was fetched first is being worked on
        assert threading.get_ident() == here
        fetched.append(item)
        if len(fetched) == 4:
            enough.set()
        return [item]

    def work(_: int) -> None:
        busy.set()
        assert enough.wait(60)

    Threads(2).run(fetch, work, range(4))
    assert fetched == [0, 1, 2, 3]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("where", ["fetch", "work"])
def test_after_an_error_nothing_begins(where: str, waits: bool) -> None:
    done = list[int]()

    def fetch(item: int) -> Iterable[int]:
        if where == "fetch" and item == 2:
            raise ValueError("item 2")
        return four(item)

    def work(piece: int) -> None:
        if where == "work" and piece == 8:
            raise ValueError("piece 8")
        done.append(piece)

    threads = Threads(3)
    with pytest.raises(ValueError, match=r"item 2|piece 8"):
        threads.run(fetch, work, range(1000), waits=waits)
    assert len(done) < 3000
    count = len(done)
    threads.run(four, done.append, [5])  # the pool goes on
    assert len(done) == count + 4
