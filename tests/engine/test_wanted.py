"""Large objects of which only some bytes are wanted: these are fetched and kept, and the next run asks for the rest."""

from __future__ import annotations

from tests.engine.desk import BASE, PART, Desk, Meddled
from tests.engine.test_engine import body, md5

from emasync.ledger.interface import PartialState
from emasync.model.digest import Span
from emasync.model.task import ObjectEntry, State
from emasync.transport.interface import Receiver

DATA = body(10 * PART + 5)


async def planned(desk: Desk, size_bytes: int | None = len(DATA)) -> None:
    desk.put({"big": DATA})
    await desk.plan(ObjectEntry(key="big", size_bytes=size_bytes, digests=(md5(DATA),)))


async def fetch(desk: Desk, *spans: Span) -> None:
    outcome = await desk.run(wanted={(1, "big"): spans})
    assert (outcome.failed, outcome.stopped) == (0, None)


async def held(desk: Desk) -> PartialState | None:
    async with desk.ledger() as ledger:
        state: PartialState | None = await ledger.call("partial", 1, "big")
    return state


def spans_asked(desk: Desk) -> list[tuple[int, int]]:
    return [(row.span.start, row.span.stop) for row in desk.fetcher.log if isinstance(row.span, Span)]


async def test_only_what_is_wanted_is_fetched_and_the_next_run_fetches_the_rest(desk: Desk) -> None:
    await planned(desk)

    await fetch(desk, Span(100, 200), Span(3 * PART, 5 * PART + 1), Span(10 * PART, 20 * PART))

    first = spans_asked(desk)
    assert sorted(first) == [
        (100, 200),
        (3 * PART, 4 * PART),
        (4 * PART, 5 * PART),
        (5 * PART, 5 * PART + 1),
        (10 * PART, 10 * PART + 5),
    ]
    state = await held(desk)
    assert state is not None
    assert sorted((part.start, part.stop) for part in state.parts) == sorted(first)
    assert await desk.objects(State.PENDING) == 1
    (partial,) = desk.partials()
    assert partial.stat().st_blocks * 512 < len(DATA)  # nobody reserved room for the rest

    await fetch(desk, Span(120, 180), Span(4 * PART - 1, 4 * PART + 1))
    assert spans_asked(desk) == first

    outcome = await desk.run()
    assert outcome.placed == 1
    assert desk.file("big").read_bytes() == DATA
    assert sum(stop - start for start, stop in spans_asked(desk)) == len(DATA)


async def test_what_overlaps_what_is_here_is_asked_for_once(desk: Desk) -> None:
    await planned(desk, None)
    await fetch(desk, Span(50, 150))
    await fetch(desk, Span(100, 300))
    assert spans_asked(desk) == [(50, 150), (150, 300)]
    await desk.run()
    assert desk.file("big").read_bytes() == DATA


async def test_all_of_it_is_placed(desk: Desk) -> None:
    await planned(desk)
    await fetch(desk, Span(0, 6 * PART))
    await fetch(desk, Span(6 * PART, len(DATA)))
    assert await desk.objects(State.PLACED) == 1
    assert desk.file("big").read_bytes() == DATA


async def test_a_server_that_knows_no_ranges_gives_all_of_it(desk: Desk) -> None:
    async def whole(_: Receiver, __: Span | None) -> None:
        return None

    desk.fetcher = Meddled({}, whole)
    await planned(desk)
    await fetch(desk, Span(PART, 2 * PART))
    assert await desk.objects(State.PLACED) == 1
    assert desk.file("big").read_bytes() == DATA


async def test_parts_of_another_version_are_not_mixed(desk: Desk) -> None:
    await planned(desk, None)
    await fetch(desk, Span(0, PART))
    before = await held(desk)
    desk.fetcher.put(f"{BASE}/big", DATA[::-1])

    await fetch(desk, Span(2 * PART, 3 * PART))

    after = await held(desk)
    assert before is not None
    assert after is not None
    assert after.generation == before.generation + 1
    assert [(part.start, part.stop) for part in after.parts] == [(2 * PART, 3 * PART)]
