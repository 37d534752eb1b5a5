"""A long JSON array, element by element, over whatever pieces it comes in."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.errors import NotFoundError, SourceError
from emasync.model.location import Location
from emasync.sources import dandi_stream
from emasync.sources.dandi_stream import ArraySplitter, Element, stream_array
from emasync.testing.fetcher import MemoryFetcher

PLACE = Location.parse("s3://dandiarchive/dandisets/000027/0.210831.2033/assets.jsonld")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=3), max_size=6)


def split(data: bytes, piece: int) -> list[Element]:
    splitter = ArraySplitter("m")
    found = [element for start in range(0, len(data), piece) for element in splitter.feed(data[start : start + piece])]
    splitter.finish()
    return found


@given(records=RECORDS, piece=st.integers(1, 40), indent=st.none() | st.just(1), ascii_only=st.booleans())
def test_whatever_the_pieces_the_elements_are_the_same(
    records: list[dict[str, object]], piece: int, indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(records, indent=indent, ensure_ascii=ascii_only).encode()
    found = split(data, piece)
    assert [element.value for element in found] == records
    assert [json.loads(element.text) for element in found] == records


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "broken or cut off"),
        (b"[", "broken or cut off"),
        (b'[{"a":1}', "broken or cut off"),
        (b'[{"a":1},', "broken or cut off"),
        (b'[{"a":1}]x', "goes on behind its end"),
        (b'[{"a":1}{"b":2}]', "where a comma belongs"),
        (b'{"detail":"Not found."}', "begins with"),
        (b"[1,2]", "where a record belongs"),
        (b"<!DOCTYPE html>", "begins with"),
        (b'[{"a":"\xff"}]', "not UTF-8"),
        (b'[{"a":1,}]', "broken or cut off"),
        (b"[" + b'{"a":' * 100_000, "broken or cut off"),
    ],
)
def test_what_is_no_array_of_records_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        split(data, 7 if len(data) < 1_000 else 1 << 20)


def test_an_element_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dandi_stream, "MAX_ELEMENT_CHARACTERS", 100)
    with pytest.raises(SourceError, match="more than 100 characters"):
        split(b'[{"a":"' + b"x" * 200 + b'"}]', 10)


def served(data: bytes) -> MemoryFetcher:
    fetcher = MemoryFetcher()
    fetcher.put(PLACE, data)
    return fetcher


MANY = [{"path": f"sub-{number}/{'é' * (number % 7)}.nwb", "n": number} for number in range(9_000)]


async def test_one_request_brings_all_of_it_and_breaks_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dandi_stream, "BLOCK_BYTES", 5_000)
    fetcher = served(json.dumps(MANY, ensure_ascii=False).encode())
    fetcher.interrupt(PLACE, 1, 70_000, 3)
    assert [element.value async for element in stream_array(fetcher, PLACE)] == MANY
    assert len(fetcher.log) == 1


async def test_a_restart_from_the_beginning_gives_nothing_twice() -> None:
    blocks = dandi_stream._Blocks("m")
    fetcher = served(b"0123456789")
    head = (await fetcher.read(PLACE)).head
    for piece in (b"01234", b"0123456", b"789"):
        if piece.startswith(b"0"):
            blocks.begin(head)
        await blocks.feed(piece)
    await blocks.flush()
    assert blocks.queue.get_nowait() == b"0123456789"


async def test_an_error_comes_in_its_turn() -> None:
    with pytest.raises(NotFoundError):
        [element async for element in stream_array(MemoryFetcher(), PLACE)]


async def test_leaving_early_ends_the_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dandi_stream, "BLOCK_BYTES", 100)
    elements = stream_array(served(json.dumps(MANY).encode()), PLACE)
    assert (await anext(elements)).value == MANY[0]
    assert len(asyncio.all_tasks()) == 2
    await elements.aclose()
    assert len(asyncio.all_tasks()) == 1
