"""Listing answers are read exactly, or refused."""

from __future__ import annotations

from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.errors import RefusedError
from emasync.transport.interface import ListedObject, ListPage
from emasync.transport.listing import Cursor, RawPage, is_listing, parse_page

HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


def document(rows: str, **top: str) -> bytes:
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in top.items())
    return f"{HEADER}<Name>b</Name>{fields}{rows}</ListBucketResult>".encode()


def row(key: str, size: str = "5") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2024-04-02T19:49:38.000Z</LastModified>"
        f"<ETag>&quot;abc&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(st.lists(keys, unique=True, max_size=20))
def test_any_key_survives_url_encoding(names: list[str]) -> None:
    text = "".join(row(quote_plus(name, safe="/")) for name in names)
    page = parse_page(document(text, EncodingType="url", IsTruncated="false"), "x")
    assert [item.key for item in page.objects] == names


@given(st.lists(keys, unique=True, max_size=20))
def test_any_key_survives_plain_xml(names: list[str]) -> None:
    page = parse_page(document("".join(row(escape(name)) for name in names)), "x")
    assert [item.key for item in page.objects] == names


def test_a_key_with_a_line_break() -> None:
    page = parse_page(document(row("a%0Ab") + row("c"), EncodingType="url"), "x")
    assert [item.key for item in page.objects] == ["a\nb", "c"]


def test_fields() -> None:
    folders = "<CommonPrefixes><Prefix>d%20e/</Prefix></CommonPrefixes>"
    data = document(row("k") + folders, EncodingType="url", IsTruncated="true", NextContinuationToken="t&amp;1")
    assert parse_page(data, "x") == RawPage(
        (ListedObject(key="k", size_bytes=5, etag='"abc"', last_modified="2024-04-02T19:49:38.000Z"),),
        ("d e/",),
        truncated=True,
        token="t&1",
    )


def test_rows_of_other_servers() -> None:
    """Google's order, and one with fields in any order or missing."""
    google = (
        "<Contents><Key>g</Key><Generation>17</Generation><MetaGeneration>1</MetaGeneration>"
        '<LastModified>2024</LastModified><ETag>"e"</ETag><Size>1</Size></Contents>'
    )
    odd = "<Contents>\n <Size>2</Size>\n <Key>o</Key>\n <Owner><ID>x</ID></Owner>\n</Contents>"
    assert [(item.key, item.size_bytes, item.etag) for item in parse_page(document(google + odd), "x").objects] == [
        ("g", 1, '"e"'),
        ("o", 2, None),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>index of /</html>",
        b"<Error><Code>NoSuchBucket</Code></Error>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult></ListBucketResult>",
        document("<![CDATA[x]]>"),
        document("<!ENTITY a 'b'>"),
        document("<Contents><Key>k</Key></Contents>"),
        document(row("k", size="-1")),
        document(row("k", size="9" * 30)),
        document(row("k", size="many")),
        document(row("%FF"), EncodingType="url"),
        document(row("k")).replace(b"<Key>k", b"<Key>\xff"),
        b"\xff\xfe<ListBucketResult/>",
        document(row("k")).replace(b"Contents>", b"s3:Contents>"),
        document(row("k")).replace(b"<Contents>", b"<Contents xml:space='default'>"),
    ],
)
def test_senseless_answers_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_page(data, "s3://b/p")
    assert "s3://b/p" in caught.value.message


@pytest.mark.parametrize("size_bytes", range(len(HEADER), len(document(row("k"))) - 1, 7))
def test_a_part_of_a_page_is_not_all_there_is(size_bytes: int) -> None:
    with pytest.raises(RefusedError, match=f"breaks off after {size_bytes} bytes"):
        parse_page(document(row("k"))[:size_bytes], "s3://b/p")


def test_what_a_listing_looks_like() -> None:
    assert is_listing(b"\xef\xbb\xbf <?xml version='1.0'?>\n<ListBucketResult>")
    assert not is_listing(b"<ListAllMyBucketsResult>")


def page(*names: str, truncated: bool = False, token: str | None = None, folders: tuple[str, ...] = ()) -> RawPage:
    return RawPage(tuple(ListedObject(key=name, size_bytes=1) for name in names), folders, truncated, token)


def test_a_cursor_asks_for_page_after_page() -> None:
    cursor = Cursor("x", "d é/", start_after="d é/a", delimiter="/")
    assert cursor.query() == (
        "delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=d%20%C3%A9%2F&start-after=d%20%C3%A9%2Fa"
    )
    assert cursor.take(page("d é/b", truncated=True, token="t+1")).last is False
    assert "continuation-token=t%2B1" in cursor.query()
    assert "start-after" not in cursor.query()
    assert cursor.take(page("d é/c")) == ListPage(objects=page("d é/c").objects, last=True)


def test_a_server_without_tokens_goes_on_after_the_last_key() -> None:
    cursor = Cursor("x", "")
    cursor.take(page("a", "b", truncated=True))
    assert "start-after=b" in cursor.query()


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        ([page("e/x")], "outside of prefix"),
        ([page("d/b", "d/a")], "comes after"),
        ([page("d/a", "d/a")], "comes after"),
        ([page("d/b", truncated=True, token="t"), page("d/a")], "comes after"),
        ([page("d/b", truncated=True, token="t"), page("d/c", truncated=True, token="t")], "does not move on"),
        ([page(truncated=True)], "does not move on"),
        ([page(truncated=True, token=str(number)) for number in range(200)], "does not move on"),
        ([page(folders=("e/",))], "out of order"),
        ([page(folders=("d/b/", "d/a/"))], "out of order"),
        ([page(folders=("d/b",))], "out of order"),
    ],
)
def test_listings_that_go_astray_are_refused(pages: list[RawPage], says: str) -> None:
    cursor = Cursor("s3://b/d/", "d/")
    with pytest.raises(RefusedError, match=says):
        list(map(cursor.take, pages))


def test_keys_before_the_start_are_dropped_and_told_of() -> None:
    cursor = Cursor("x", "", start_after="m")
    pages = [page("a", "b", truncated=True, token="t"), page("l", "m", "n", truncated=True, token="u"), page("o")]
    taken = [cursor.take(one) for one in pages]
    assert [[item.key for item in one.objects] for one in taken] == [[], ["n"], ["o"]]
    assert [one.start_ignored for one in taken] == [True, True, False]


def test_a_server_that_starts_at_the_key_and_not_after_it_is_not_one_that_ignores_it() -> None:
    taken = Cursor("x", "", start_after="m").take(page("m", "n"))
    assert ([item.key for item in taken.objects], taken.start_ignored) == (["n"], False)
