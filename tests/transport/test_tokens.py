"""Tokens of the environment: to their own host, after it asked, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from emasync.errors import AccessDeniedError, InputError
from emasync.manifest.dandi_links import INSTANCES
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.testing import Archive
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.stores import MemoryStore
from emasync.transport.governed import GovernedFetcher
from emasync.transport.surroundings import Surroundings, host_of
from emasync.transport.tokens import name_of, read_tokens, variable_for

Opener = Callable[..., GovernedFetcher]
SECRET = "token 5ecret"


@dataclass
class Guarded:
    """Paths below ``api/`` want the token; ``api/away`` leads to another host."""

    away: str = ""

    def answer(self, asked: Asked) -> Answer | None:
        if not asked.key.startswith("api/"):
            return None
        if asked.headers.get("authorization") != SECRET:
            return of_bytes(401, (), b"")
        if asked.key == "api/away":
            return of_bytes(302, (("Location", self.away),), b"")
        return of_bytes(200, (("Content-Type", "application/json"),), b"{}")


@pytest.fixture
def guarded(archive: Callable[..., Archive]) -> Archive:
    app = Guarded()
    server = archive(MemoryStore({"bucket/open": b"open"}), apps=[app])
    app.away = f"http://localhost:{server.port}/bucket/open"
    return server


def sent(server: Archive) -> list[tuple[str, str | None]]:
    return [(seen.path, seen.headers.get("authorization")) for seen in server.requests]


def with_token(host: str = "127_0_0_1", field: str = SECRET) -> Surroundings:
    return Surroundings(tokens={host: field})


async def test_a_token_goes_to_a_host_that_asks_and_stays_there(guarded: Archive, opened: Opener) -> None:
    async with opened(surroundings=with_token()) as fetcher:
        await fetcher.read(Location.parse(f"{guarded.url}/bucket/open"))
        await fetcher.read(Location.parse(f"{guarded.url}/api/x"))
        await fetcher.read(Location.parse(f"{guarded.url}/api/away"))
    assert sent(guarded) == [
        ("bucket/open", None),
        ("api/x", None),
        ("api/x", SECRET),
        ("api/away", SECRET),
        ("bucket/open", None),
    ]


async def test_requests_that_were_under_way_without_it_go_again(guarded: Archive, opened: Opener) -> None:
    async with opened(surroundings=with_token()) as fetcher:
        with guarded.held():
            reads = [asyncio.create_task(fetcher.read(Location.parse(f"{guarded.url}/api/{n}"))) for n in range(4)]
            await guarded.until(lambda load: load.in_flight == 4)
        assert [document.data for document in await asyncio.gather(*reads)] == [b"{}"] * 4
    assert len(guarded.requests) == 8


async def test_a_wrong_token_is_tried_once_and_never_told(
    guarded: Archive, opened: Opener, events: list[Event]
) -> None:
    async with opened(surroundings=with_token(field="token wr0ng")) as fetcher:
        for _ in range(2):
            with pytest.raises(AccessDeniedError, match="with the token of the environment") as caught:
                await fetcher.read(Location.parse(f"{guarded.url}/api/x"))
            assert "wr0ng" not in caught.value.message
        assert "wr0ng" not in repr(fetcher)
    assert [field for _, field in sent(guarded)] == [None, "token wr0ng", "token wr0ng"]
    assert "wr0ng" not in repr(events)


async def test_no_other_host_sees_it(guarded: Archive, opened: Opener) -> None:
    async with opened(surroundings=with_token("API_DANDIARCHIVE_ORG")) as fetcher:
        with pytest.raises(AccessDeniedError, match="without credentials"):
            await fetcher.read(Location.parse(f"{guarded.url}/api/x"))
    assert sent(guarded) == [("api/x", None)]


def test_only_encrypted_or_to_this_machine() -> None:
    around = Surroundings(tokens={"API_EXAMPLE_ORG": SECRET, "LOCALHOST": SECRET})
    assert around.token_for(Location.parse("https://api.example.org/x")) == SECRET
    assert around.token_for(Location.parse("http://api.example.org/x")) is None
    assert around.token_for(Location.parse("http://localhost:8000/x")) == SECRET
    assert around.token_for(Location.parse("https://api.example.org.evil.com/x")) is None
    assert "5ecret" not in repr(around)


def test_variables_of_other_tools_and_our_own() -> None:
    found = read_tokens(
        {"DANDI_API_KEY": "abc ", "LINC_API_KEY": "", "EMASYNC_TOKEN_ARCHIVE_EXAMPLE_ORG": "Bearer d", "PATH": "/"}
    )
    assert found == {"API_DANDIARCHIVE_ORG": "token abc", "ARCHIVE_EXAMPLE_ORG": "Bearer d"}


def test_each_known_dandi_archive_has_its_variable() -> None:
    """Named as dandi-cli names them: the instance in capitals, with an underscore for the dash."""
    for name, instance in INSTANCES.items():
        variable = f"{name.upper().replace('-', '_')}_API_KEY"
        host = host_of(Location.parse(instance.api))
        assert variable_for(host) == variable
        assert read_tokens({variable: "abc"}) == {name_of(host): "token abc"}


@pytest.mark.parametrize("value", ["a\nX-Evil: 1", "a\x00b", "ä", "x" * 5000])
def test_what_cannot_be_sent_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(InputError, match="API_DANDIARCHIVE_ORG") as caught:
        read_tokens({"DANDI_API_KEY": value})
    assert value not in caught.value.message
