"""Bodies that come in pieces, break off, begin again, or are not what was announced."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.engine.desk import BASE, PART, Desk

from emasync.disk.crc import crc32c_of
from emasync.errors import ErrorKind
from emasync.model.digest import Span, Validator
from emasync.model.location import Location
from emasync.model.task import ObjectEntry
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Head, Receiver

DATA = bytes(range(256)) * 40


class Scripted(MemoryFetcher):
    """Answers with given heads and bodies, in order, as one transfer."""

    def __init__(self, answers: Sequence[tuple[Head, bytes]]) -> None:
        super().__init__({f"{BASE}/x": DATA})
        self._answers = answers

    async def transfer(
        self,
        location: Location,
        receiver: Receiver,
        *,
        span: Span | None = None,
        validator: Validator | None = None,
    ) -> Head:
        for head, data in self._answers:
            receiver.begin(head)
            for start in range(0, len(data), 1000):
                await receiver.feed(data[start : start + 1000])
        return self._answers[0][0]


def head(start: int, *, status: int = 200, total: int | None = len(DATA), encoding: str | None = None) -> Head:
    return Head(
        status=status,
        start=start,
        stop=None,
        total_bytes=total,
        validator=Validator(etag='"1"'),
        content_encoding=encoding,
    )


@pytest.mark.parametrize("small", [True, False])
async def test_a_body_that_begins_again_replaces_what_had_come(desk: Desk, small: bool) -> None:
    if small:
        desk.settings = desk.settings.__class__(small_object_bytes=len(DATA), hosts=desk.settings.hosts)
    desk.fetcher = Scripted([(head(0), b"x" * 7000), (head(0), DATA)])
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA)))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (1, 0)
    assert desk.content(["x"]) == {"x": DATA}


async def test_a_tail_that_starts_elsewhere_is_refused(desk: Desk) -> None:
    desk.fetcher = Scripted([(head(0, status=206), DATA[:3000]), (head(3500, status=206), DATA[3500:PART])])
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA)))

    await desk.run()

    assert await desk.kinds() == ["refused"]
    assert not desk.file("x").exists()


async def test_a_small_body_longer_than_announced_is_dropped(desk: Desk) -> None:
    desk.fetcher = Scripted([(head(0, total=None), DATA)])
    await desk.plan(ObjectEntry(key="x", size_bytes=1000))

    await desk.run()

    assert await desk.kinds() == [ErrorKind.SIZE_MISMATCH]


async def test_a_decoded_body_may_be_longer_than_what_is_stored(desk: Desk) -> None:
    desk.fetcher = Scripted([(head(0, total=None, encoding="gzip"), DATA)])
    await desk.plan(ObjectEntry(key="x", size_bytes=900))

    outcome = await desk.run()

    assert outcome.placed == 1
    assert desk.content(["x"]) == {"x": DATA}


async def test_a_chunk_that_turns_out_to_be_large_is_fetched_as_one(desk: Desk) -> None:
    from emasync.model.grid import ChunkGrid
    from emasync.model.task import TaskSetSpec

    desk.put({"0": DATA, "1": b"small"})
    grid = ChunkGrid(start=(0,), shape=(2,), prefix="")
    async with desk.ledger() as ledger:
        await ledger.call("begin_plan", "d", "0" * 64)
        await ledger.call("add_set", TaskSetSpec(dataset="d", base=BASE, destination="d", grid=grid))
        await ledger.call("finish_plan", "d")

    outcome = await desk.run()

    assert outcome.placed == 2
    assert desk.content(["0", "1"]) == {"0": DATA, "1": b"small"}
    async with desk.ledger() as ledger:
        rows = await ledger.call(lambda opened: list(opened.rows()))
    assert {row.key: row.crc32c for row in rows} == {0: crc32c_of(DATA), 1: crc32c_of(b"small")}


async def test_engine_scheduler_and_objects_say_how_they_are(desk: Desk) -> None:
    desk.put({"x": DATA})
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA)))
    async with desk.opened() as engine:
        assert repr(engine) == (
            "<Engine planned False, <Scheduler empty>, <Committer epoch 0, 0 objects waiting, busy False>>"
        )
        await engine.run()
        assert "0 queued, 0 in flight" in repr(engine)
