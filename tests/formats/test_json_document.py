"""Documents from the network: bounded, exact, and broken ones say where."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isnan

import pytest

from emasync.errors import ErrorKind, FormatError
from emasync.formats.json_document import MAX_DEPTH, Field, Json, describe, parse_object, write_object


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "does not parse"),
        (b"{", "does not parse"),
        (b"\xff\xfe\xff", "does not parse"),
        (b'{"a": 1}{', "does not parse"),
        (b'{"a": ' + b"9" * 5000 + b"}", "does not parse"),
        (b"[1]", r"expected a JSON object, got \[1\]"),
        (b"null", "expected a JSON object, got null"),
        (b'"' + b"x" * 200 + b'"', r"got 'x{59}\.\.\."),
        (nested(MAX_DEPTH + 1), "nested deeper than 64 levels"),
        (nested(200_000), "nested deeper than 64 levels"),
        (b'{"a": "' + b"x" * 100 + b'"}', "metadata of 109 bytes; at most 100 are read"),
    ],
)
def test_what_is_no_bounded_object_is_refused(data: bytes, rule: str) -> None:
    limit = 100 if data.startswith(b'{"a": "') else 1 << 20
    with pytest.raises(FormatError, match=rf"^em/\.zattrs: .*{rule}") as failure:
        parse_object("em/.zattrs", data, limit_bytes=limit)
    assert failure.value.kind is ErrorKind.FORMAT
    assert failure.value.location == "em/.zattrs"


def test_depth_is_counted_in_objects_and_lists() -> None:
    assert parse_object("k", nested(MAX_DEPTH))
    with pytest.raises(FormatError):
        parse_object("k", b'{"a":' * 65 + b"1" + b"}" * 65)


def test_real_writers_literals_survive() -> None:
    value = parse_object(
        "k", b'{"a": NaN, "b": -Infinity, "c": 123456789012345678901234567890, "d": 11.840000000000002}'
    )
    assert isinstance(value["a"], float)
    assert isnan(value["a"])
    assert write_object(value).split() == [
        b"{",
        *(b'"a": NaN, "b": -Infinity, "c": 123456789012345678901234567890, "d": 11.840000000000002').split(),
        b"}",
    ]


def test_names_from_the_network_are_printed_safely() -> None:
    with pytest.raises(FormatError, match=r"^a%1B\[2Jb/zarr\.json"):
        parse_object("a\x1b[2Jb/zarr.json", b"")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, "an object of 1 members"),
        ([1, 2, "x"], "[1, 2, 'x']"),
        ([{}], "a list of 1"),
        (list(range(100)), "a list of 100"),
        ([10**30, 10**31], "a list of 2"),
        (None, "null"),
        (True, "True"),
        ("é\n", "'\\xe9\\n'"),
        (10**100, "1" + "0" * 59 + "..."),
    ],
)
def test_values_are_described_briefly(value: Json, text: str) -> None:
    assert describe(value) == text


READERS: dict[str, Callable[[Field], object]] = {
    "object": Field.object,
    "items": Field.items,
    "text": Field.text,
    "integer": lambda field: field.integer(1),
    "number": Field.number,
}


@pytest.mark.parametrize(
    ("reader", "value", "rule"),
    [
        ("object", [], "expected an object"),
        ("items", {}, "expected a list"),
        ("text", 1, "expected a string"),
        ("integer", 0, "expected an integer from 1"),
        ("integer", True, "expected an integer"),
        ("integer", 1.5, "expected an integer"),
        ("integer", "1", "expected an integer"),
        ("integer", 1 << 63, "expected an integer"),
        ("integer", float("inf"), "expected an integer"),
        ("number", "1", "expected a number"),
        ("number", False, "expected a number"),
        ("number", float("nan"), "expected a finite number"),
        ("number", 10**400, "expected a finite number"),
    ],
)
def test_a_field_says_where_and_what(reader: str, value: Json, rule: str) -> None:
    field = Field("em/zarr.json", "", {"shape": value}).member("shape")
    with pytest.raises(FormatError, match=rf"^em/zarr\.json: shape is .*; {rule}"):
        READERS[reader](field)


def test_fields_know_their_place() -> None:
    root = Field("k", "", json.loads('{"a": [{"b": 64.0}], "n": null}'))
    inner = root.member("a").items()[0].member("b")
    assert inner.where == "a[0].b"
    assert inner.integer(0) == 64
    assert inner.number() == 64.0
    assert root.member("n").optional_text() is None
    assert root.member("missing").optional_text() is None
    with pytest.raises(FormatError, match=r"^k is an object of 2 members; rule"):
        raise root.broken("rule")


@pytest.mark.parametrize(
    "data", [b'{"a\\ud800": ["x\\uDFFFy", NaN, 1]}', b'{"a\xed\xa0\x80": ["x\xed\xbf\xbfy", NaN, 1]}']
)
def test_halves_of_characters_are_replaced_and_whole_ones_are_not(data: bytes) -> None:
    """RFC 8259, section 8.2: parsers differ about them, and no file or name can hold one."""
    found = parse_object("a", data)
    json.dumps(found, ensure_ascii=False).encode()
    ((key, value),) = found.items()
    assert isinstance(value, list)
    assert (key[:2], value[0], value[2]) == ("a?", "x?y", 1)
    assert parse_object("a", b'{"a": "\\ud83e\\udde0"}') == {"a": "\U0001f9e0"}
