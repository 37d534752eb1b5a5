"""Links that take the network to know: what is asked, and what becomes of each kind of answer."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from emasync.errors import (
    AccessDeniedError,
    EmasyncError,
    ErrorKind,
    FormatError,
    InputError,
    SourceError,
    StalledError,
)
from emasync.model.location import Location
from emasync.sources.idr_omero import SERVER
from emasync.sources.links.interface import DOCUMENT_BYTES, Draft, Outcome, Question, Reading, Settled, Wrapped
from emasync.sources.links.reading import MAX_STEPS, read_link, settled
from emasync.sources.open_data import REGISTRY
from emasync.testing.fetcher import MemoryFetcher

ASSET = "https://api.dandiarchive.org/api/assets/0b8a6d31-4de7-4b8c-95f5-5a5e2a2d0a2f/"
STATE = "https://host.org/state.json"
PROJECTS = f"{SERVER}/api/v0/m/projects/?limit=1000&offset=0"


async def question_of(text: str) -> Question:
    question = await asyncio.to_thread(read_link, text)  # looks for files and plug-ins
    assert isinstance(question, Question)
    return question


async def settle(text: str, fetcher: MemoryFetcher) -> Settled:
    return await settled(text, await question_of(text), fetcher)


async def test_a_question_that_nobody_answers_says_what_was_asked() -> None:
    fetcher = MemoryFetcher()
    fetcher.fail(f"{REGISTRY}some-slug.yaml", StalledError("raw.githubusercontent.com: no answer for 15 s"))

    with pytest.raises(SourceError) as caught:
        await settle("some-slug", fetcher)

    assert caught.value.kind is ErrorKind.STALLED
    assert "it takes the network to know whether the Registry of Open Data has an entry" in caught.value.message
    assert "no answer for 15 s" in caught.value.message


async def test_a_word_that_is_no_slug_either_is_not_understood() -> None:
    with pytest.raises(InputError, match="such are:"):
        await settle("some-slug", MemoryFetcher())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ASSET, "no asset"),
        (f"https://x.org/#!{STATE}", "not there, or not public"),
        ("idr0086", "unknown, or not public"),
    ],
)
async def test_what_is_not_there_and_what_is_not_public_are_alike(text: str, says: str) -> None:
    question = await question_of(text)
    for error in (None, AccessDeniedError("403")):
        fetcher = MemoryFetcher()
        if error is not None:
            fetcher.fail(question.location, error)
        with pytest.raises(SourceError, match=says) as caught:
            await settle(text, fetcher)
        assert caught.value.kind is ErrorKind.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "asked", "data"),
    [
        (ASSET, ASSET, b"<html>maintenance</html>"),
        (ASSET, ASSET, b"[]"),
        (ASSET, ASSET, b"{}"),
        (ASSET, ASSET, b'{"path": 7}'),
        (f"https://x.org/#!{STATE}", STATE, b"<html></html>"),
        (f"https://x.org/#!{STATE}", STATE, b"[1]"),
        (f"https://x.org/#!{STATE}", STATE, b'{"layers": {"a": []}}'),
        ("idr0086", PROJECTS, b"<html>login</html>"),
        ("idr0086", PROJECTS, b'{"data": 1, "meta": {"totalCount": 1}}'),
        ("idr0086", PROJECTS, b'{"data": [{"Name": "idr0086-x"}], "meta": {"totalCount": 1}}'),
        ("idr0086", PROJECTS, b'{"data": []}'),
    ],
)
async def test_answers_that_make_no_sense(text: str, asked: str, data: bytes) -> None:
    with pytest.raises((SourceError, FormatError, InputError)) as caught:
        await settle(text, MemoryFetcher({asked: data}))

    assert caught.value.message


async def test_a_document_that_is_too_long_is_refused() -> None:
    with pytest.raises(EmasyncError):
        await settle(f"https://x.org/#!{STATE}", MemoryFetcher({STATE: bytes(DOCUMENT_BYTES + 1)}))


async def test_pages_of_projects_that_end_early_are_no_endless_question() -> None:
    empty = orjson.dumps({"data": [], "meta": {"totalCount": 5}})

    with pytest.raises(SourceError, match="no project of idr0086"):
        await settle("idr0086", MemoryFetcher({PROJECTS: empty}))


# --- chains of questions, as plug-ins may make them -------------------------------------------------------------------


def asks(outcome: Outcome | None) -> Question:
    return Question(location=Location.parse(STATE), why="more", answer=lambda _data: outcome)


async def test_an_answer_may_be_a_link_or_the_next_question() -> None:
    reading = Reading(drafts=(Draft(name="x", entry={"source": "web"}),))
    fetcher = MemoryFetcher({STATE: b"{}"})

    assert await settled("x", asks(asks(reading)), fetcher) == reading
    found = await settled("x", asks(Wrapped("EMPIAR-11759")), fetcher)
    assert isinstance(found, Reading)
    assert found.drafts[0].entry["entry"] == 11759
    with pytest.raises(InputError, match="such are:"):
        await settled("x", asks(None), fetcher)


async def test_questions_without_end_are_left() -> None:
    def forever(_data: bytes | None) -> Question:
        return Question(location=Location.parse(STATE), why="more", answer=forever)

    fetcher = MemoryFetcher({STATE: b"{}"})
    with pytest.raises(InputError, match="without end"):
        async with asyncio.timeout(30):
            await settled("x", forever(None), fetcher)

    assert sum(origin.requests for origin in fetcher.statistics().values()) == MAX_STEPS
