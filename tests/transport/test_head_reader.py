"""Whatever came before it over a connection, a header means what the strict parser says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.transport.head_reader import HeadReader
from emasync.transport.response_head import MalformedHeadError, ResponseHead, parse_head

STATUS = b"HTTP/1.1 200 OK"
FIELDS = [
    b"Server: nginx",
    b"Date: Sat, 21 Nov 2026 19:10:19 GMT",
    b"Content-Length: 65536",
    b"Connection: keep-alive",
    b'ETag: "65920080-10000"',
    b"X-Empty:",
]


def message(*lines: bytes, body: bytes = b"the body") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


USUAL = message(STATUS, *FIELDS)


def outcome(read: Callable[[bytes], ResponseHead | None], data: bytes) -> ResponseHead | str | None:
    try:
        return read(data)
    except MalformedHeadError as error:
        return f"malformed: {error}"


def check(*messages: bytes) -> None:
    reader = HeadReader()
    for data in messages:
        assert outcome(reader.read, data) == outcome(parse_head, data)


ODD_VALUES = [
    b"",
    b" ",
    b"5",
    b"7 ",
    b" 7",
    b"+5",
    b"5, 5",
    b"0x5",
    b"-1",
    b"007",
    b"9" * 19,
    b"9" * 20,
    b"close",
    b"keep-alive, upgrade",
    b"chunked",
    b'W/"x y"',
    b"a\tb",
    b"a\x00b",
    b"a\rb",
    b"a\nb",
    b"a\r\n b",
    b"a\x7fb",
    b"\xc3\xa9",
    b"x" * 20_000,
]


@pytest.mark.parametrize("value", ODD_VALUES)
@pytest.mark.parametrize("at", range(len(FIELDS)))
def test_another_value(at: int, value: bytes) -> None:
    name = FIELDS[at].partition(b":")[0]
    plain, odd = ([*FIELDS[:at], name + b": " + text, *FIELDS[at + 1 :]] for text in (b"65537", value))
    check(USUAL, message(STATUS, *odd), USUAL, message(STATUS, *odd))
    check(USUAL, message(STATUS, *plain), message(STATUS, *odd), message(STATUS, *plain), USUAL)
    renamed = message(STATUS, *(b"Q" + line[1:] if line in plain and line not in FIELDS else line for line in plain))
    check(USUAL, message(STATUS, *plain), renamed, USUAL)


@pytest.mark.parametrize(
    "field",
    [
        b"Transfer-Encoding: chunked",
        b"Content-Length: 5",
        b"Connection: close",
        b'etag: "65920080-10001"',
        b"Server : nginx",
        b"Upgrade: h2c",
        b" folded",
        b"no colon",
    ],
)
@pytest.mark.parametrize("at", range(len(FIELDS)))
def test_another_field(at: int, field: bytes) -> None:
    instead, more = [*FIELDS[:at], field, *FIELDS[at + 1 :]], [*FIELDS[:at], field, *FIELDS[at:]]
    varied = [name + b": 7" for name, _, _ in (line.partition(b":") for line in FIELDS)]
    fewer = [*FIELDS[:at], *FIELDS[at + 1 :]]
    check(USUAL, message(STATUS, *instead), message(STATUS, *more), message(STATUS, *instead), USUAL)
    check(USUAL, message(STATUS, *varied), message(STATUS, *fewer), USUAL)
    check(USUAL, message(STATUS, *varied), message(STATUS, *instead), USUAL, message(STATUS, *more))


@pytest.mark.parametrize(
    "status",
    [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 None",
        b"HTTP/1.1 206 Part",
        b"HTTP/1.1 304 Same",
        b"HTTP/1.1 100 Go",
        b"HTTP/2",
    ],
)
def test_another_status_before_or_behind(status: bytes) -> None:
    other = message(status, *FIELDS)
    longer, longest = other.replace(b"65536", b"65537"), USUAL.replace(b"65536", b"655360")
    check(USUAL, longest, other, longer, USUAL)
    check(other, longer, other, USUAL, longest, other)
    check(other + USUAL, USUAL, longer + USUAL, longest)


def test_fields_that_come_more_than_once_are_one_list() -> None:
    check(*(message(STATUS, b"Content-Length: 5", b"X: 1", b"x: %d" % number) for number in range(4)))
    check(*(message(STATUS, b"Content-Length: 5", b"X: %d" % number, b"x: 1") for number in range(4)))


def test_what_has_not_come_whole_is_waited_for() -> None:
    for cut in range(len(USUAL)):
        check(USUAL, USUAL[:cut], USUAL)


def test_fields_of_one_answer_are_not_those_of_the_next() -> None:
    reader = HeadReader()
    heads = [reader.read(USUAL.replace(b"-10000", b"-%d" % number)) for number in range(4)]
    assert [head and head.fields["etag"] for head in heads] == [f'"65920080-{number}"' for number in range(4)]


NAMES = st.sampled_from([b"ETag", b"Date", b"Content-Length", b"Connection", b"Transfer-Encoding", b"X-A", b"x-a"])
VALUES = st.one_of(st.sampled_from(ODD_VALUES), st.binary(max_size=4), st.integers(0, 10**6).map(lambda n: b"%d" % n))
HEADS = st.tuples(
    st.sampled_from([STATUS, STATUS, b"HTTP/1.1 206 Part"]), st.lists(st.tuples(NAMES, VALUES), max_size=4)
)


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """A header, and some that differ from it in a value or two, or in a few bytes."""
    status, fields = draw(HEADS)
    found = []
    at = draw(st.integers(0, max(0, len(fields) - 1)))
    for _ in range(draw(st.integers(2, 6))):
        found.append(message(status, *(name + b": " + value for name, value in fields)))
        if fields:
            at = draw(st.sampled_from([at, at, draw(st.integers(0, len(fields) - 1))]))
            fields = [*fields[:at], (fields[at][0], draw(VALUES)), *fields[at + 1 :]]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(found[-1])))
        found[-1] = found[-1][:at] + draw(st.binary(max_size=2)) + found[-1][at + draw(st.integers(0, 2)) :]
    return found


@given(alike())
@settings(max_examples=400, deadline=None)
def test_headers_that_are_nearly_alike(messages: list[bytes]) -> None:
    check(*messages)


@pytest.mark.soak
@given(alike())
@settings(max_examples=200_000, deadline=None)
def test_headers_that_are_nearly_alike_for_long(messages: list[bytes]) -> None:
    check(*messages)
