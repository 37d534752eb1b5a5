"""The same answers over both transports, odd and broken ones among them: the same bytes, or the same kind of error."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.transport.scripted import Say, scripted

from emasync.errors import EmasyncError
from emasync.model.digest import Span, Validator
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.transport.governed import GovernedFetcher
from emasync.transport.surroundings import Surroundings

CASES = 2000
CHUNK = 250

TRIES = 6
"""More than answers that a case spoils and connections that it closes, so that what heals does heal."""

UNFINISHED = frozenset(
    {
        "chunks without end",
        "error until the end",
        "half",
        "half a header",
        "nearly all",
        "no length",
        "no length, HTTP/1.0",
        "nothing",
        "shorter than told",
    }
)
"""Answers that end with their connection."""

LOST = frozenset({"half a header", "nothing"})
"""Answers that no reset can spoil: it throws away what was not read yet, which is a matter of luck."""

Fields = list[bytes]
Build = Callable[["Case", bytes], bytes]


SURPLUS = frozenset({"chunks and surplus", "chunks in words", "longer than told", "more than told"})
"""aiohttp takes a whole answer for broken when what is behind it came in the same piece; the wire path gives the body
that was promised, or what the status says, and closes the connection (law 8)."""

HANDED_ON = frozenset({"gzip in chunks", "new version"})
"""Answers that cost the wire path a request more: the server must not have a better one for that."""


class NoJitter(random.Random):
    """Always the same delays."""

    def uniform(self, a: float, b: float) -> float:
        return b


@dataclass(frozen=True)
class Case:
    """One object, one question, and how the server answers it; the same for the same seed.

    Attributes
    ----------
    spoiled : int
        So many answers are as `odd` says, then all are good; many: all are odd.
    """

    seed: int
    body: bytes
    span: Span | None
    validator: Validator | None
    odd: str
    then: str
    spoiled: int

    @classmethod
    def of(cls, seed: int) -> Case:
        rng = random.Random(seed)
        body = rng.randbytes(rng.choice([0, 1, 10, 1000, 5000, 70_000, 200_000]))
        span = None
        if body and rng.random() < 0.5:
            start = rng.randrange(len(body))
            span = Span(start, start + rng.randint(1, len(body)))
        odd = rng.choice(sorted(ODDITIES))
        return cls(
            seed=seed,
            body=body,
            span=span,
            validator=rng.choice([None, None, Validator(etag='"e"'), Validator(etag='"other"')]),
            odd=odd,
            then="reset" if odd in LOST and rng.random() < 0.5 else rng.choice(["keep", "close"]),
            spoiled=1 << 20 if odd in HANDED_ON else rng.choice([1, 2, 1 << 20, 1 << 20]),
        )

    def answer(self, number: int, request: bytes) -> Say:
        """What is said to request `number` of one transport."""
        if number >= self.spoiled:
            return Say(self.good(request))
        then = "close" if self.odd in UNFINISHED and self.then == "keep" else self.then
        return Say(ODDITIES[self.odd](self, request), then)

    def promises(self) -> list[tuple[str, bytes]]:
        """What a client may take from an answer with bytes behind its end."""
        kept = self.body if self.span is None else self.body[self.span.start : self.span.stop]
        refusal = ("refused", b"") if self.span is not None else ("", kept[:-5])
        return [("", kept), refusal if self.odd == "longer than told" else ("", kept), ("precondition_failed", b"")]

    # --- pieces ------------------------------------------------------------------------------------------------------

    def selected(self, request: bytes) -> tuple[bytes, Fields, bytes]:
        """Status line, fields and body as a good server has them."""
        asked = field_of(request, b"range")
        match = field_of(request, b"if-match")
        if match not in (None, b'"e"'):
            return b"HTTP/1.1 412 Precondition Failed", [], b"<Error><Code>PreconditionFailed</Code></Error>"
        if asked is None:
            return b"HTTP/1.1 200 OK", [b'ETag: "e"'], self.body
        first, _, last = asked.removeprefix(b"bytes=").partition(b"-")
        start, stop = int(first), min(int(last) + 1 if last else len(self.body), len(self.body))
        if start >= len(self.body):
            return b"HTTP/1.1 416 No", [b"Content-Range: bytes */%d" % len(self.body)], b""
        told = b"Content-Range: bytes %d-%d/%d" % (start, stop - 1, len(self.body))
        return b"HTTP/1.1 206 Partial Content", [told, b'ETag: "e"'], self.body[start:stop]

    def good(self, request: bytes) -> bytes:
        line, fields, body = self.selected(request)
        return message(line, [*fields, b"Content-Length: %d" % len(body)], body)


def field_of(request: bytes, name: bytes) -> bytes | None:
    for line in request.split(b"\r\n"):
        if line.lower().startswith(name + b":"):
            return line.partition(b":")[2].strip()
    return None


def message(line: bytes, fields: Fields, body: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join([line, *fields, b"", b""]) + body


def in_chunks(body: bytes, *, size: Callable[[int], bytes] = lambda n: b"%x" % n) -> bytes:
    pieces = [body[start : start + 999] for start in range(0, len(body), 999)]
    return b"".join(size(len(piece)) + b"\r\n" + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


def status(code: bytes, *fields: bytes, body: bytes = b"<Error/>") -> Build:
    return lambda case, request: message(b"HTTP/1.1 " + code, [*fields, b"Content-Length: %d" % len(body)], body)


def framed(frame: Callable[[bytes], tuple[Fields, bytes]], version: bytes = b"HTTP/1.1") -> Build:
    """A good answer with another framing."""

    def build(case: Case, request: bytes) -> bytes:
        line, fields, body = case.selected(request)
        framing, framed_body = frame(body)
        return message(line.replace(b"HTTP/1.1", version), [*fields, *framing], framed_body)

    return build


def with_fields(*extra: bytes, end: bytes = b"\r\n") -> Build:
    """A good answer with more fields."""

    def build(case: Case, request: bytes) -> bytes:
        line, fields, body = case.selected(request)
        return message(line, [*fields, *extra, b"Content-Length: %d" % len(body)], body, end)

    return build


def with_range(told: Callable[[int, int, int], bytes]) -> Build:
    """A 206 that tells another range."""

    def build(case: Case, request: bytes) -> bytes:
        line, fields, body = case.selected(request)
        if not line.startswith(b"HTTP/1.1 206"):
            return case.good(request)
        start = int(fields[0].partition(b"bytes ")[2].partition(b"-")[0])
        fields = [b"Content-Range: " + told(start, start + len(body) - 1, len(case.body)), *fields[1:]]
        return message(line, [*fields, b"Content-Length: %d" % len(body)], body)

    return build


def with_line(line: bytes) -> Build:
    def build(case: Case, request: bytes) -> bytes:
        _, fields, body = case.selected(request)
        return message(line, [*fields, b"Content-Length: %d" % len(body)], body)

    return build


def length(told: Callable[[int], bytes]) -> Build:
    return framed(lambda body: ([b"Content-Length: " + told(len(body))], body))


def cut(part: float) -> Build:
    """A good answer that ends early."""
    return lambda case, request: (good := case.good(request))[: int(len(good) * part)]


ODDITIES: dict[str, Build] = {
    "good": lambda case, request: case.good(request),
    "nothing": lambda case, request: b"",
    "half": cut(0.5),
    "nearly all": cut(0.99),
    "half a header": lambda case, request: case.good(request)[:20],
    "more than told": lambda case, request: case.good(request) + b"surplus",
    "two answers": lambda case, request: case.good(request) * 2,
    "shorter than told": length(lambda n: b"%d" % (n + 5)),
    "longer than told": length(lambda n: b"%d" % max(0, n - 5)),
    "length twice": framed(lambda body: ([b"Content-Length: %d" % len(body)] * 2, body)),
    "two lengths": framed(lambda b: ([b"Content-Length: %d" % len(b), b"Content-Length: %d" % (len(b) + 1)], b)),
    "length with a sign": length(lambda n: b"+%d" % n),
    "negative length": length(lambda n: b"-%d" % n),
    "length in hex": length(lambda n: b"0x%x" % n),
    "length in words": length(lambda n: b"many"),
    "endless length": length(lambda n: b"9" * 30),
    "padded length": length(lambda n: b"   %d  " % n),
    "no length": framed(lambda body: ([], body)),
    "no length, HTTP/1.0": framed(lambda body: ([], body), b"HTTP/1.0"),
    "HTTP/1.0": framed(lambda body: ([b"Content-Length: %d" % len(body)], body), b"HTTP/1.0"),
    "chunks": framed(lambda body: ([b"Transfer-Encoding: chunked"], in_chunks(body))),
    "chunks and surplus": framed(lambda body: ([b"Transfer-Encoding: chunked"], in_chunks(body) + b"x")),
    "chunks and trailers": framed(
        lambda body: ([b"Transfer-Encoding: chunked"], in_chunks(body).removesuffix(b"\r\n") + b"T: x\r\n\r\n")
    ),
    "chunks without end": framed(lambda body: ([b"Transfer-Encoding: chunked"], in_chunks(body)[:-5])),
    "chunks in words": framed(lambda body: ([b"Transfer-Encoding: chunked"], in_chunks(body, size=lambda n: b"zz"))),
    "chunks and length": framed(
        lambda body: ([b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(body)], in_chunks(body))
    ),
    "gzip in chunks": framed(
        lambda body: ([b"Transfer-Encoding: chunked", b"Content-Encoding: gzip"], in_chunks(gzip.compress(body)))
    ),
    "gzip": framed(
        lambda b: ([b"Content-Encoding: gzip", b"Content-Length: %d" % len(gzip.compress(b, mtime=0))],
                   gzip.compress(b, mtime=0))
    ),
    "no gzip": with_fields(b"Content-Encoding: gzip"),
    "brotli": with_fields(b"Content-Encoding: br"),
    "identity": with_fields(b"Content-Encoding: identity"),
    "gzip without end": framed(
        lambda b: ([b"Content-Encoding: gzip", b"Content-Length: %d" % len(gzip.compress(b)[:-3])],
                   gzip.compress(b)[:-3])
    ),
    "close": with_fields(b"Connection: close"),
    "cookies": with_fields(b"Set-Cookie: a=b", b"Set-Cookie: c=d"),
    "other tag": with_fields(b'ETag: "z"'),
    "weak tag": with_fields(b'etag: W/"e"'),
    "wide characters": with_fields("X: é".encode(), b"X: \xff"),
    "long field": with_fields(b"X: " + b"y" * 9000),
    "longer field": with_fields(b"X: " + b"y" * 15_000, b"Y: " + b"y" * 15_000, b"Z: " + b"y" * 15_000),
    "too long a field": with_fields(b"X: " + b"y" * 70_000),
    "many fields": with_fields(*(b"X-%d: y" % n for n in range(100))),
    "too many fields": with_fields(*(b"X-%d: y" % n for n in range(300))),
    "folded field": with_fields(b"X: a\r\n b"),
    "no colon": with_fields(b"X"),
    "no name": with_fields(b": x"),
    "white space in front of a colon": with_fields(b"X : y"),
    "control character": with_fields(b"X: \x01"),
    "zero byte": with_fields(b"X: \x00"),
    "bare line feeds": with_fields(end=b"\n"),
    "error page": framed(
        lambda b: ([b"Content-Type: text/html", b"Content-Length: 20"], b"<html><h1>Oh</h1>   ")
    ),
    "interim answers": lambda case, request: b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 2 + case.good(request),
    "no reason": with_line(b"HTTP/1.1 200"),
    "whole": with_line(b"HTTP/1.1 200 OK"),
    "part": with_line(b"HTTP/1.1 206 Partial Content"),
    "another success": with_line(b"HTTP/1.1 203 OK"),
    "no content": status(b"204 No Content", body=b""),
    "not modified": lambda case, request: b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "old version": with_line(b"HTTP/0.9 200 OK"),
    "new version": with_line(b"HTTP/2.0 200 OK"),
    "lower case": with_line(b"http/1.1 200 OK"),
    "another protocol": with_line(b"ICY 200 OK"),
    "no status": with_line(b"HTTP/1.1 OK"),
    "long status": with_line(b"HTTP/1.1 2000 OK"),
    "nonsense": lambda case, request: b"nonsense\r\n\r\n",
    "page without header": lambda case, request: b"<html>sorry</html>",
    "range shifted": with_range(lambda first, last, total: b"bytes %d-%d/%d" % (first + 1, last + 1, total)),
    "range too long": with_range(lambda first, last, total: b"bytes %d-%d/%d" % (first, last + 1, total + 1)),
    "range of another total": with_range(lambda first, last, total: b"bytes %d-%d/%d" % (first, last, total + 1)),
    "range without total": with_range(lambda first, last, total: b"bytes %d-%d/*" % (first, last)),
    "range in words": with_range(lambda first, last, total: b"all"),
    "range backwards": with_range(lambda first, last, total: b"bytes %d-%d/%d" % (last + 1, first, total)),
    "redirect to nowhere": status(b"302 Found"),
    "redirect to a file": status(b"302 Found", b"Location: file:///etc/passwd"),
    "redirect in a circle": status(b"302 Found", b"Location: ?"),
    **{
        f"status {code}": status(b"%d x" % code)
        for code in (300, 400, 401, 403, 404, 408, 410, 412, 418, 429, 500, 501, 502, 503, 504, 999)
    },
    "slow down": status(b"400 x", body=b"<Error><Code>SlowDown</Code></Error>"),
    "patience": status(b"503 x", b"Retry-After: 7"),
    "chunked error": lambda case, request: message(
        b"HTTP/1.1 404 x", [b"Transfer-Encoding: chunked"], in_chunks(b"<Error><Code>NoSuchKey</Code></Error>")
    ),
    "error until the end": lambda case, request: b"HTTP/1.1 404 x\r\n\r\n<Error/>",
    "long error": status(b"403 x", body=b"e" * 100_000),
    "416": lambda case, request: message(b"HTTP/1.1 416 x", [b"Content-Range: bytes */7", b"Content-Length: 0"], b""),
}  # fmt: skip


async def outcome(case: Case, url: str, *, wire: bool) -> tuple[str, bytes]:
    """The kind of the error, or the bytes."""
    settings = Settings(hosts={"*": {"max_attempts": TRIES, "give_up_after_s": 1.0}})
    clock = ManualClock(autojump_s=0.001)
    fetcher = GovernedFetcher(settings, clock=clock, rng=NoJitter(), surroundings=Surroundings(), wire=wire)
    recorder = Recorder()
    async with fetcher:
        try:
            await fetcher.transfer(Location.parse(url), recorder, span=case.span, validator=case.validator)
        except EmasyncError as error:
            return str(error.kind), b""
    return "", bytes(recorder.data)


@pytest.mark.parametrize("first", range(0, CASES, CHUNK))
async def test_bytes_or_kind_of_error_agree(first: int) -> None:
    differ = []
    for seed in range(first, first + CHUNK):
        case = Case.of(seed)
        found = []
        for wire in (True, False):
            async with scripted(case.answer) as server:
                found.append(await outcome(case, server.url, wire=wire))
        if found[0] != found[1] and not (case.odd in SURPLUS and found[0] in case.promises()):
            differ.append((case.seed, case.odd, case.then, case.spoiled, [(kind, len(data)) for kind, data in found]))
    assert differ == []
