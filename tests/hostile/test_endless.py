"""Answers without an end: every document ends within its bound, whatever the server goes on about."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from tests.hostile.endless import answers, endless
from tests.transport.scripted import Say, Script, chunked, ok, scripted

from emasync.errors import RefusedError, TransportError
from emasync.model.clock import SystemClock
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing.clock import ManualClock
from emasync.transport.decoding import PADDING_BYTES, GzipDecoder

LIMIT_BYTES = 256 << 10
TAKEN_BYTES = 40 << 20
"""Most that may be taken off such a server: all tries, and what lies in the buffers of sockets. For ever is more."""

HURRY = Settings(hosts={"127.0.0.1": {"max_attempts": 2, "first_byte_timeout_s": 0.3, "connect_timeout_s": 0.7}})
both = pytest.mark.parametrize("wire", [True, False], ids=["wire", "aiohttp"])


@both
@pytest.mark.parametrize("kind", answers())
async def test_a_document_ends_whatever_comes(kind: str, opened: Any, wire: bool) -> None:
    if kind == "chunk extensions" and not wire:
        pytest.skip("aiohttp bounds what a body holds, not what lies between its chunks")
    if kind == "trailers" and not wire:
        pytest.skip("as above")
    # interim answers are no silence; that the final one does not come is seen by the clock only
    clock = SystemClock() if kind == "interim answers" else ManualClock(autojump_s=0.2)
    async with endless(kind) as server, opened(HURRY, clock=clock) as fetcher:
        with pytest.raises(TransportError):
            async with asyncio.timeout(20):
                await fetcher.read(Location.parse(server.url), limit_bytes=LIMIT_BYTES)
        assert server.size_bytes < TAKEN_BYTES or kind == "interim answers"


async def test_framing_in_plenty_is_no_offence(opened: Any) -> None:
    """Servers that flush each byte, with an extension to each chunk."""
    body = bytes(range(256)) * 200
    pieces = b"".join(b"1;a=b\r\n%c\r\n" % value for value in body)
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\nX-A: b\r\n\r\n"
    async with scripted([Say(answer)]) as server, opened() as fetcher:
        assert (await fetcher.read(Location.parse(server.url))).data == body
        assert len(server.asked) == 1


@pytest.mark.parametrize("size_bytes", [0, 1, 1 << 22])
def test_gzip_that_does_not_shrink_is_no_offence(size_bytes: int) -> None:
    body = bytes(range(256)) * (size_bytes // 256) + b"x" * (size_bytes % 256)
    stored = gzip.compress(body, compresslevel=0)
    assert b"".join(GzipDecoder("x").feed(stored)) == body


def test_gzip_of_nothing_is_padding() -> None:
    decoder = GzipDecoder("x")
    with pytest.raises(RefusedError, match="padding"):
        list(decoder.feed(gzip.compress(b"", mtime=0) * (PADDING_BYTES // 20 + 1)))


# --- redirects --------------------------------------------------------------------------------------------------------


def _moved(target: str) -> bytes:
    return ok(b"", f"Location: {target}", status="302 Found")


@both
@pytest.mark.parametrize(
    ("target", "requests"),
    [("/{}", 11), ("/x", 1), ("file:///etc/passwd", 1), ("ftp://127.0.0.1/x", 1), ("s3://bucket/key", 1),
     ("gopher://127.0.0.1/x", 1), ("http://user:secret@127.0.0.1/x", 1), ("//[::1", 1), ("http://127.0.0.1:0x50/", 1)],
)  # fmt: skip
async def test_redirects_end_and_keep_to_http(target: str, requests: int, opened: Any, wire: bool) -> None:
    def answer(number: int, _request: bytes) -> Say:
        return Say(_moved(target.format(number)))

    async with scripted(answer) as server, opened(HURRY) as fetcher:
        with pytest.raises(TransportError, match="redirect") as caught:
            await fetcher.read(Location.parse(server.url))
        assert len(server.asked) == requests
    assert "secret" not in caught.value.message


# --- listings ---------------------------------------------------------------------------------------------------------


def _listing(rows: str, top: str) -> bytes:
    return f"<ListBucketResult>{top}{rows}</ListBucketResult>".encode()


def _row(key: str, size: str = "1") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


MORE = "<IsTruncated>true</IsTruncated>"


@pytest.mark.parametrize(
    ("pages", "most"),
    [
        (lambda n: _listing(_row(f"p/{n:09}"), MORE + "<NextContinuationToken>same</NextContinuationToken>"), 3),
        (lambda n: _listing("", MORE + f"<NextContinuationToken>t{n}</NextContinuationToken>"), 105),
        (lambda n: _listing(_row(f"p/{9 - n}"), MORE + f"<NextContinuationToken>t{n}</NextContinuationToken>"), 3),
        (lambda n: _listing(_row("p/a"), MORE), 3),
        (lambda n: _listing(_row("q/outside"), ""), 3),
        (lambda n: _listing(_row("p/a", "9223372036854775808" + "0"), ""), 3),
        (lambda n: _listing(_row("p/a", "-1"), ""), 3),
        (lambda n: b'<!DOCTYPE x [<!ENTITY e "p/">]>' + _listing(_row("&e;"), ""), 3),
        (lambda n: _listing(_row("p/" + "a" * (17 << 20)), ""), 3),
    ],
    ids=["same token", "tokens for ever", "backwards", "no token, no progress", "outside", "huge size", "negative size",
         "entities", "a page above its bound"],
)  # fmt: skip
async def test_listings_end(pages: Any, most: int, opened: Any) -> None:
    def answer(number: int, request: bytes) -> Say:
        return Say(chunked(pages(number), piece_bytes=1 << 20))

    async with scripted(answer) as server, opened(HURRY) as fetcher:
        with pytest.raises(RefusedError):
            async for _ in fetcher.list(Location("http", f"127.0.0.1:{server.port}", "/b/p/")):
                pass
        assert _asked_within(server, most)


def _asked_within(server: Script, most: int) -> bool:
    return 0 < len(server.asked) <= most + 1  # one more to learn whether there is a listing at all
