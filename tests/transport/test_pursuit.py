"""The state of one fetch, and what answers mean, without a network."""

from __future__ import annotations

import random

import pytest

from emasync.errors import (
    AccessDeniedError,
    ErrorKind,
    PreconditionFailedError,
    RefusedError,
    ThrottledError,
    TransientError,
)
from emasync.model.digest import Span, Validator
from emasync.settings import HostPolicy
from emasync.transport import answers
from emasync.transport.decoding import GzipDecoder
from emasync.transport.interface import Head
from emasync.transport.object_store import Endpoints
from emasync.transport.pursuit import Pursuit

DATE = "Fri, 21 Nov 2025 09:30:30 GMT"
RNG = random.Random(1)
POLICY = HostPolicy(max_attempts=3)


def part(start: int, stop: int, total: int | str, **fields: str) -> dict[str, str]:
    return {"content-range": f"bytes {start}-{stop - 1}/{total}", **fields}


def failed(pursuit: Pursuit, error: TransientError, *, answers_seen: int = 1, now_s: float = 0.0) -> float:
    return pursuit.failed(error, POLICY, answers_seen=answers_seen, now_s=now_s, rng=RNG)


def test_a_tail_is_asked_for_under_the_answers_own_validator() -> None:
    pursuit = Pursuit("x", Span(100, 200))
    assert pursuit.request_headers() == {"Accept-Encoding": "identity", "Range": "bytes=100-199"}
    head = pursuit.accept(206, part(100, 150, 150, etag='"e"'))
    assert (head.start, head.stop, head.total_bytes) == (100, 150, 150)
    assert pursuit.advance(bytes(20)) == bytes(20)
    assert repr(pursuit) == "<Pursuit x: at 120 of 150, 0 failures>"
    assert pursuit.request_headers() == {
        "Accept-Encoding": "identity",
        "Range": "bytes=120-149",
        "If-Match": '"e"',
    }
    with pytest.raises(TransientError, match="broke off at byte 120, 150 were promised"):
        pursuit.end()
    assert pursuit.advance(bytes(31)) == bytes(30)  # one byte more than promised
    assert pursuit.satisfied
    pursuit.end()


def test_google_objects_are_bound_to_their_generation() -> None:
    pursuit = Pursuit("x", validator=Validator(etag='"e"', generation="17"))
    assert pursuit.request_headers()["x-goog-if-generation-match"] == "17"
    assert "If-Match" not in pursuit.request_headers()
    with pytest.raises(PreconditionFailedError):
        pursuit.accept(200, {"x-goog-generation": "18", "etag": '"e"'})
    assert not pursuit.doubt()


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_tag_date_and_size_decide(etag: str) -> None:
    fields = {"last-modified": DATE, **({"etag": etag} if etag else {})}
    pursuit = Pursuit("x")
    pursuit.accept(200, {"content-length": "10", **fields})
    pursuit.advance(bytes(4))
    assert "If-Match" not in pursuit.request_headers()
    with pytest.raises(PreconditionFailedError, match="had 10 bytes, now it has 11"):
        pursuit.accept(206, part(4, 10, 10, **fields) | {"content-range": "bytes 4-9/11"})
    with pytest.raises(PreconditionFailedError, match="another object"):
        pursuit.accept(206, part(4, 10, 10, **{**fields, "last-modified": "Sat, 22 Nov 2025 09:30:30 GMT"}))
    pursuit.accept(206, part(4, 10, 10, **fields))


def test_an_origin_with_unstable_tags_is_compared_by_date() -> None:
    pursuit = Pursuit("x", Span(0, 10), Validator(etag='"e"', last_modified=DATE))
    pursuit.by_date = True
    assert "If-Match" not in pursuit.request_headers()
    pursuit.accept(206, part(0, 10, 10, etag='"other"', **{"last-modified": DATE}))
    with pytest.raises(PreconditionFailedError):
        pursuit.accept(206, part(0, 10, 10, etag='"third"'))
    assert not pursuit.doubt()


def test_an_empty_validator_binds_nothing() -> None:
    pursuit = Pursuit("x", Span(0, 10), Validator())
    pursuit.accept(206, part(0, 10, 10, etag='"e"'))
    assert pursuit.request_headers()["If-Match"] == '"e"'


def test_a_part_that_nobody_asked_for() -> None:
    with pytest.raises(RefusedError, match="a part of the object came"):
        Pursuit("x").accept(206, part(0, 10, 20))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "got Content-Range none"),
        (part(0, 10, 20), "asked for bytes 5-14"),
        (part(5, 14, 20), "asked for bytes 5-14"),
        (part(5, 16, 20), "asked for bytes 5-14"),
        (part(5, 14, "*"), "asked for bytes 5-14"),
        (part(5, 15, 20, **{"content-length": "11"}), "do not agree"),
        (part(5, 15, 20, **{"content-encoding": "gzip"}), "Content-Encoding"),
    ],
)
def test_parts_that_are_not_what_was_asked(fields: dict[str, str], says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        Pursuit("x", Span(5, 15)).accept(206, fields)


def test_an_encoded_body_begins_again() -> None:
    pursuit = Pursuit("x", accept_gzip=True)
    assert pursuit.request_headers() == {"Accept-Encoding": "gzip"}
    pursuit.accept(200, {"content-encoding": "x-gzip", "content-length": "100", "etag": '"e"'})
    pursuit.advance(bytes(50))
    assert not pursuit.complete_at(50)
    assert pursuit.request_headers() == {"Accept-Encoding": "gzip", "If-Match": '"e"'}


def test_a_body_of_unknown_length_is_whole_when_nothing_follows() -> None:
    pursuit = Pursuit("x")
    assert not pursuit.complete_at(0)
    pursuit.accept(200, {"transfer-encoding": "chunked"})
    pursuit.advance(bytes(50))
    assert (pursuit.complete_at(50), pursuit.complete_at(51), pursuit.complete_at(None)) == (True, False, False)
    assert repr(pursuit) == "<Pursuit x: at 50 of ?, 0 failures>"


def test_new_bytes_reset_the_count_and_old_ones_do_not() -> None:
    pursuit = Pursuit("x", Span(0, 100))
    pursuit.accept(206, part(0, 100, 100))
    failed(pursuit, TransientError("a"))
    failed(pursuit, TransientError("b"))
    pursuit.advance(bytes(1))
    assert pursuit.failures == 0
    failed(pursuit, TransientError("c"))
    pursuit.accept(200, {"content-length": "100"})
    pursuit.advance(bytes(1))
    assert pursuit.failures == 1
    failed(pursuit, TransientError("d"))
    with pytest.raises(TransientError, match="e; given up after 3 tries"):
        failed(pursuit, TransientError("e"))


def test_a_dead_origin_spends_one_try_only() -> None:
    pursuit = Pursuit("x")
    gone = TransientError("gone", kind=ErrorKind.UNREACHABLE)
    delays = [failed(pursuit, gone, answers_seen=5) for _ in range(40)]
    assert pursuit.failures == 1
    assert max(delays) > 30  # it waits longer and longer all the same
    failed(pursuit, gone, answers_seen=6)
    with pytest.raises(TransientError):
        failed(pursuit, gone, answers_seen=7)  # others are answered: this is not the origin


def test_patience_that_was_asked_for_ends_with_the_policys() -> None:
    pursuit = Pursuit("x")
    for now_s in range(0, 120, 10):
        failed(pursuit, ThrottledError("busy"), now_s=float(now_s))
    with pytest.raises(ThrottledError):
        failed(pursuit, ThrottledError("busy"), now_s=120.0)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "RequestTimeTooSkewed", "clock is off"),
        (403, "SignatureDoesNotMatch", "check the AWS credentials"),
        (401, "", "asked with netrc; what is not public needs credentials"),
    ],
)
def test_denials_say_what_to_do(status: int, code: str, says: str) -> None:
    error = answers.failure(status, {}, f"<Code>{code}</Code>".encode(), "x", now_s=0.0, tried="with netrc")
    assert isinstance(error, AccessDeniedError)
    assert says in error.message


@pytest.mark.parametrize(
    ("status", "says"), [(404, "check its name"), (410, "--refresh"), (400, "open the URL in a browser")]
)
def test_refusals_say_what_to_do(status: int, says: str) -> None:
    assert says in answers.failure(status, {}, b"", "x", now_s=0.0, tried="").message


def test_encodings_that_mean_nothing() -> None:
    assert answers.encoding_of({"content-encoding": "aws-chunked, identity"}, "x") is None
    with pytest.raises(RefusedError, match="gzip, gzip"):
        answers.encoding_of({"content-encoding": "gzip, gzip"}, "x")
    with pytest.raises(RefusedError, match="the body is not"):
        list(GzipDecoder("x").feed(b"plain text"))


def test_values_are_values() -> None:
    assert Endpoints() == Endpoints(s3=None, gs="https://storage.googleapis.com")
    assert Head(status=200, start=0, stop=1, total_bytes=1).validator == Validator()
