"""Documents that are hostile by themselves: deep, huge, with entities, no text at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emasync.errors import EmasyncError, FormatError
from emasync.formats.json_document import MAX_DOCUMENT_BYTES, parse_object
from emasync.sources.apache import parse_index
from emasync.sources.empiar_record import from_api, from_xml
from emasync.sources.idr_omero import json_object
from emasync.sources.links.viewer_state import read_state
from emasync.transport.listing import parse_page

URL = "https://archive.example/x"
JSON_READERS: dict[str, Callable[[bytes], object]] = {
    "metadata": lambda data: parse_object("zarr.json", data),
    "viewer state": lambda data: read_state(data, URL),
    "EMPIAR": lambda data: from_api(data, 11759, URL),
    "IDR": lambda data: json_object(data, URL),
}
XML_READERS: dict[str, Callable[[bytes], object]] = {
    "EMPIAR": lambda data: from_xml(data, 11759, URL),
    "listing": lambda data: parse_page(data, URL),
}

DEEP = {
    "lists": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "just too deep": b'{"a":' * 70 + b"1" + b"}" * 70,
}


@pytest.mark.parametrize("reader", JSON_READERS)
@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_deep_json_is_a_named_error(reader: str, kind: str) -> None:
    with pytest.raises(EmasyncError):
        JSON_READERS[reader](DEEP[kind])


@pytest.mark.parametrize("kind", DEEP)
def test_metadata_say_how_deep_they_may_be(kind: str) -> None:
    with pytest.raises(FormatError, match="nested deeper than 64"):
        parse_object(".zattrs", DEEP[kind])


def test_huge_metadata_are_refused_before_they_are_read() -> None:
    with pytest.raises(FormatError, match="at most"):
        parse_object(".zattrs", b'{"a": "' + b"x" * MAX_DOCUMENT_BYTES + b'"}')


@pytest.mark.parametrize("reader", JSON_READERS)
def test_real_hostile_json_is_a_value_or_a_named_error(reader: str, fixtures_folder: Path) -> None:
    files = sorted((fixtures_folder / "hostile_text/JSONTestSuite").glob("*.json"))
    if not files:
        pytest.skip("no JSONTestSuite beside the checkout")
    refused: list[str] = []
    for path in files:
        for data in (path.read_bytes(), b'{"a": ' + path.read_bytes() + b"}"):
            try:
                JSON_READERS[reader](data)
            except EmasyncError as error:
                refused.append(error.message)
    assert len(refused) > len(files) / 2
    assert all(refused)


@pytest.mark.parametrize("reader", XML_READERS)
def test_real_hostile_xml_is_refused(reader: str, fixtures_folder: Path) -> None:
    files = sorted((fixtures_folder / "hostile_text").glob("*.xml"))
    if not files:
        pytest.skip("no hostile XML beside the checkout")
    for path in files:
        with pytest.raises(EmasyncError) as caught:
            XML_READERS[reader](path.read_bytes())
        assert "root:" not in caught.value.message, "no file of this machine was read"


LAUGHS = b'<!DOCTYPE l [<!ENTITY a "%s">' % (b"lol" * 100) + b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10 if n else b"&a;" * 10) for n in range(9)
)


@pytest.mark.parametrize("root", [b"ListBucketResult", b"entry"])
@pytest.mark.parametrize("reader", XML_READERS)
def test_entities_are_not_expanded(reader: str, root: bytes) -> None:
    with pytest.raises(EmasyncError):
        XML_READERS[reader](LAUGHS + b"]><" + root + b">&a8;</" + root + b">")


@pytest.mark.parametrize("href", ["../../etc/passwd", "/etc/passwd", "http://evil.example/x", "a%2Fb", "..", "%00"])
def test_an_index_page_names_no_place_but_below_itself(href: str) -> None:
    page = f'<html><head><title>Index of /x</title></head><body><pre><a href="{href}">n</a> 2020-01-01 00:00 1K</pre>'
    try:
        rows = parse_index(f"{page}</body></html>".encode(), URL)
    except EmasyncError:
        return
    assert [row for row in rows if "/" in row.name.rstrip("/") or row.name in ("..", "\0")] == []
