"""What a stop may leave between ledger and disk, laid out by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.engine.desk import BASE, Desk

from emasync.disk.crc import crc32c_of
from emasync.ledger.interface import Fact, Placed, Sealed
from emasync.model.task import ObjectEntry, State, TaskSetSpec, partial_name

DATA = b"what was fetched"
SEALED = Sealed(set_id=1, key="x", size_bytes=len(DATA), crc32c=crc32c_of(DATA), epoch=1)
PLACED = Placed(set_id=1, key="x")
NAME = partial_name(1, "x", 0)


async def after_a_stop(desk: Desk, *facts: Fact) -> None:
    desk.put({"x": DATA})
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA)))
    async with desk.ledger() as ledger:
        await ledger.call("record", list(facts), durable=True)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("partial", "final", "fetched"),
    [
        (DATA, None, 0),  # the rename is finished
        (None, DATA, 0),  # the rename had happened
        (None, None, 1),
        (b"x" * len(DATA), None, 1),  # sealed, and yet wrong
        (DATA, DATA, 0),  # both: an equal file will do
    ],
)
async def test_a_sealed_file_is_placed_or_fetched_again(
    desk: Desk, partial: bytes | None, final: bytes | None, fetched: int
) -> None:
    await after_a_stop(desk, SEALED)
    if partial is not None:
        await asyncio.to_thread(write, desk.root / ".emasync/partial" / NAME, partial)
    if final is not None:
        await asyncio.to_thread(write, desk.file("x"), final)

    outcome = await desk.run()

    assert (outcome.stopped, outcome.failed) == (None, 0)
    assert desk.content(["x"]) == {"x": DATA}
    assert len(desk.fetcher.log) == fetched
    assert desk.partials() == []


async def test_a_sealed_file_does_not_replace_what_somebody_put_there(desk: Desk) -> None:
    await after_a_stop(desk, SEALED)
    await asyncio.to_thread(write, desk.root / ".emasync/partial" / NAME, DATA)
    await asyncio.to_thread(write, desk.file("x"), b"mine")

    await desk.run()

    assert desk.content(["x"]) == {"x": b"mine"}
    assert await desk.kinds() == ["destination_exists"]
    assert desk.partials() == []


@pytest.mark.parametrize(("on_disk", "fetched"), [(DATA, 0), (b"0" * len(DATA), 1), (None, 1)])
async def test_after_another_boot_what_was_not_durable_is_read_before_it_is_trusted(
    desk: Desk, on_disk: bytes | None, fetched: int
) -> None:
    await after_a_stop(desk, SEALED, PLACED)
    if on_disk is not None:
        await asyncio.to_thread(write, desk.file("x"), on_disk)
    desk.boot_id = "another boot"

    outcome = await desk.run()

    assert (outcome.stopped, outcome.failed) == (None, 0)
    assert desk.content(["x"]) == {"x": DATA}
    assert len(desk.fetcher.log) == fetched
    assert any(event.event == "warning" for event in desk.events) == bool(fetched)


async def test_a_rename_that_a_power_cut_undid_is_done_again(desk: Desk) -> None:
    await after_a_stop(desk, SEALED, PLACED)
    await asyncio.to_thread(write, desk.root / ".emasync/partial" / NAME, DATA)
    desk.boot_id = "another boot"

    await desk.run()

    assert desk.content(["x"]) == {"x": DATA}
    assert len(desk.fetcher.log) == 0


async def test_partials_that_nobody_speaks_of_go(desk: Desk) -> None:
    await after_a_stop(desk)
    await asyncio.to_thread(write, desk.root / ".emasync/partial/7-abc-0", b"left")

    await desk.run()

    assert desk.partials() == []
    assert await desk.objects(State.PLACED) == 1


async def test_a_file_of_ours_makes_room_for_a_folder_that_a_newer_plan_wants(desk: Desk) -> None:
    desk.put({"x": DATA, "x/y": b"deeper"})
    await desk.plan(ObjectEntry(key="x", size_bytes=len(DATA)))
    await desk.run()
    async with desk.ledger() as ledger:
        await ledger.call("begin_plan", "d", "1" * 64)
        set_id = await ledger.call("add_set", TaskSetSpec(dataset="d", base=BASE, destination="d"))
        await ledger.call("add_entries", set_id, [ObjectEntry(key="x/y", size_bytes=6)])
        await ledger.call("finish_set", set_id)
        await ledger.call("finish_plan", "d")

    outcome = await desk.run()

    assert (outcome.stopped, outcome.placed) == (None, 1)
    assert desk.content(["x/y"]) == {"x/y": b"deeper"}
