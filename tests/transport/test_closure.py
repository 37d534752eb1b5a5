"""A body that ends with its connection is whole only where TLS says so, for documents and data, over both clients."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from emasync.errors import TransientError
from emasync.model.location import Location
from emasync.testing import Archive
from emasync.testing.conformance import Recorder
from emasync.transport.surroundings import Surroundings

BODY = bytes(range(250)) * 100
NO_LENGTH = {"no_length": True, "ignore_range": True}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def start(archive: Callable[..., Archive], authority: trustme.CA) -> Callable[..., Archive]:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served)

    def begin(*, body: bytes = BODY, **fault: Any) -> Archive:
        return archive({"b/x.bin": body}, faults={"b/x.bin": [{**NO_LENGTH, **fault}]}, tls=served)

    return begin


@pytest.fixture
def trusting(authority: trustme.CA) -> Surroundings:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Surroundings(tls=context)


@pytest.fixture(params=[True, False], ids=["wire", "aiohttp"])
def wire(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("body", [b"", b"x", BODY], ids=len)
async def test_an_end_with_a_word_is_the_end(body: bytes, start: Any, opened: Any, trusting: Surroundings) -> None:
    """Also where header, body and end come at once."""
    server = start(body=body)
    place = Location.parse(f"{server.url}/b/x.bin")
    recorder = Recorder()
    async with opened(surroundings=trusting) as fetcher:
        await fetcher.transfer(place, recorder)
        assert (await fetcher.read(place)).data == body
        (statistics,) = fetcher.statistics().values()
    assert recorder.data == body
    assert statistics.retries == 0


@pytest.mark.parametrize("after", [0, 1000, len(BODY)])
async def test_an_end_without_a_word_is_a_break(after: int, start: Any, opened: Any, trusting: Surroundings) -> None:
    place = Location.parse(f"{start(cut_after=after).url}/b/x.bin")
    async with opened(surroundings=trusting) as fetcher:
        with pytest.raises(TransientError):
            await fetcher.transfer(place, Recorder())
        with pytest.raises(TransientError):
            await fetcher.read(place)


async def test_it_is_asked_for_again(start: Any, opened: Any, trusting: Surroundings) -> None:
    place = Location.parse(f"{start(cut_after=1000, times=1).url}/b/x.bin")
    async with opened(surroundings=trusting) as fetcher:
        assert (await fetcher.read(place)).data == BODY


async def test_what_tells_its_length_needs_no_word(
    archive: Any, authority: trustme.CA, opened: Any, trusting: Surroundings
) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    server = archive({"b/x.bin": BODY}, faults={"b/x.bin": [{"cut_after": len(BODY)}]}, tls=served)
    recorder = Recorder()
    async with opened(surroundings=trusting) as fetcher:
        await fetcher.transfer(Location.parse(f"{server.url}/b/x.bin"), recorder)
    assert recorder.data == BODY
