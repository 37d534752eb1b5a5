"""Directory listings: what they say, what they must not be believed, and how their folders are walked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emasync.errors import NotFoundError, RefusedError, SourceError
from emasync.model.location import Location
from emasync.model.task import TaskSetSpec
from emasync.settings import Settings
from emasync.sources.apache import RoundedSize, parse_index
from emasync.sources.apache_walk import AT_ONCE, MAX_DEPTH, IndexFolder, IndexPage, walk_index, walk_store
from emasync.testing import Archive, MemoryStore
from emasync.testing.apache import IndexApp, rounded
from emasync.transport.governed import GovernedFetcher

URL = "https://ftp.ebi.ac.uk/pub/"


def page(*rows: str) -> bytes:
    return f"<html><head><title>Index of /pub</title></head><body>{''.join(rows)}</body></html>\n".encode()


def link(href: str, text: str = "x", rest: str = "") -> str:
    return f'<tr><td><a href="{href}">{text}</a></td>{rest}</tr>'


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_listing_of_the_real_server() -> None:
    """A page of ftp.ebi.ac.uk, its names shortened."""
    data = b"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of /pub/studies/MTBLS1</title>
 </head>
 <body>
<h1>Index of /pub/studies/MTBLS1</h1>
  <table>
   <tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th><th><a href="?C=N;O=D">Name</a></th>\
<th><a href="?C=M;O=A">Last modified</a></th><th><a href="?C=S;O=A">Size</a></th>\
<th><a href="?C=D;O=A">Description</a></th></tr>
   <tr><th colspan="5"><hr></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/pub/studies/">Parent Directory</a>\
</td><td>&nbsp;</td><td align="right">  - </td><td>&nbsp;</td></tr>
<tr><td valign="top"><img src="/icons/folder.gif" alt="[DIR]"></td><td><a href="FILES/">FILES/</a></td>\
<td align="right">2021-03-12 14:06  </td><td align="right">  - </td><td>&nbsp;</td></tr>
<tr><td valign="top"><img src="/icons/text.gif" alt="[TXT]"></td><td><a href="a_profile.txt">a_profile.txt</a></td>\
<td align="right">2024-06-14 15:43  </td><td align="right">118K</td><td>&nbsp;</td></tr>
<tr><td valign="top"><img src="/icons/text.gif" alt="[TXT]"></td><td><a href="i_Investigation.txt">i_Inv..&gt;</a></td>\
<td align="right">2025-09-02 14:34  </td><td align="right"> 10K</td><td>&nbsp;</td></tr>
   <tr><th colspan="5"><hr></th></tr>
</table>
</body></html>
"""
    folder, profile, investigation = parse_index(data, URL)
    assert (folder.name, folder.folder, folder.size, folder.modified) == ("FILES", True, None, "2021-03-12 14:06")
    assert (profile.name, profile.folder, profile.modified) == ("a_profile.txt", False, "2024-06-14 15:43")
    assert profile.size is not None
    assert profile.size.allows(118 << 10)
    assert not profile.size.allows(119 << 10)
    assert investigation.name == "i_Investigation.txt", "the text is cut short, the link is not"


def test_other_drawings_of_a_listing_are_read_too() -> None:
    preformatted = b"""<html><head><title>Index of /x</title></head><body><h1>Index of /x</h1><hr><pre>\
<a href="../">../</a>
<a href="a%20b.tif">a b.tif</a>                          2024-06-14 15:43             1234
<a href="sub/">sub/</a>                                  2024-06-14 15:43                -
</pre><hr></body></html>"""
    first, second = parse_index(preformatted, URL)
    assert (first.name, first.size) == ("a b.tif", RoundedSize("1234", 1234, 1234))
    assert (second.name, second.folder) == ("sub", True)
    bare = page("<ul><li>", '<a href="/"> Parent Directory</a></li><li><a href="b.tif"> b.tif</a></li></ul>')
    (only,) = parse_index(bare, URL)
    assert (only.name, only.size, only.modified) == ("b.tif", None, None)


def test_a_page_without_any_link_is_an_empty_folder() -> None:
    assert parse_index(b"<html><head><title>Index of /x</title></head><body></body></html>", URL) == ()


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("a%26b.tif", "a&b.tif"),
        ("a&amp;b.tif", "a&b.tif"),
        ("100%25.tif", "100%.tif"),
        ("a%2520b.tif", "a%20b.tif"),
        ("a%3Fb%23c.tif", "a?b#c.tif"),
        ("a+b.tif", "a+b.tif"),
        ("%C3%A9.tif", "é.tif"),
        ("./a:b.tif", "a:b.tif"),
        ("%20lead.tif", " lead.tif"),
        ("..a", "..a"),
    ],
)
def test_entities_are_read_before_escapes_and_each_once(href: str, name: str) -> None:
    """EMPIAR, trap 14."""
    (row,) = parse_index(page(link(href)), URL)
    assert row.name == name
    assert row.plain


def test_a_name_that_is_no_utf_8_keeps_its_escapes() -> None:
    (row,) = parse_index(page(link("caf%E9.tif")), URL)
    assert (row.href, row.name, row.plain) == ("caf%E9.tif", "caf%E9.tif", False)


def test_links_for_sorting_and_upwards_are_no_names() -> None:
    """EMPIAR, trap 12."""
    links = [link(f"?C={key};O={order}") for key in "NMSD" for order in "AD"]
    links += [link(href) for href in ("?C=N&amp;O=D", "/pub/", "../", "..", "./", "", "/", "#top")]
    assert parse_index(page(*links, link("a.tif")), URL) == parse_index(page(link("a.tif")), URL)


@pytest.mark.parametrize(
    "href",
    [
        "a/b",
        "a%2Fb",
        "%2E%2E/",
        "%2E%2E%2Fetc",
        "https://example.org/x",
        "a%00b",
        "a%0Ab",
        "x?download=1",
        "javascript:alert(1)//",
    ],
)
def test_a_listing_that_names_something_elsewhere_is_refused(href: str) -> None:
    with pytest.raises(RefusedError, match="no file or folder right below"):
        parse_index(page(link(href)), URL)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected a directory listing"),
        (b"<html><title>503 Service Unavailable</title></html>", "expected a directory listing"),
        (b'{"detail": "x"}', "expected a directory listing"),
        (page(link("a.tif"))[:-20], "breaks off"),
        (page(link("a.tif")).replace(b"</html>", b""), "breaks off"),
    ],
)
def test_half_a_listing_or_none_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as caught:
        parse_index(data, URL)
    assert caught.value.location == URL


# --- sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "  0 "),
        (972, "972 "),
        (973, "1.0K"),
        (6_629, "6.5K"),
        (30_395_880, " 29M"),
        (30_836_712, " 29M"),
        (159_884_524, "152M"),
        (3_353_674_357, "3.1G"),
        (10_239, " 10K"),
        (10_187, "9.9K"),
    ],
)
def test_the_twin_rounds_as_apache_does(size_bytes: int, text: str) -> None:
    assert rounded(size_bytes) == text


@example(1_101_005)
@settings(max_examples=400, deadline=None)
@given(st.integers(0, 60).flatmap(lambda bits: st.integers(0, 1 << bits)))
def test_a_rounded_size_allows_what_it_was_rounded_from(size_bytes: int) -> None:
    """EMPIAR, trap 7."""
    shown = RoundedSize.parse(rounded(size_bytes))
    assert shown is not None
    assert shown.allows(size_bytes)


@settings(deadline=None)
@given(st.integers(973, 1 << 60))
def test_a_rounded_size_refuses_what_is_an_eighth_away(size_bytes: int) -> None:
    shown = RoundedSize.parse(rounded(size_bytes))
    assert shown is not None
    assert not shown.allows(size_bytes * 9 // 8 + 2)
    assert not shown.allows(size_bytes * 7 // 8 - 2)


@pytest.mark.parametrize("text", ["-", "", "M", "1.5", "12X", "1.55M", "-3K", "NaN"])
def test_no_size(text: str) -> None:
    assert RoundedSize.parse(text) is None


# --- walking ------------------------------------------------------------------------------------------------------

HOST = "ftp.ebi.ac.uk"
BASE = Location.parse(f"https://{HOST}/pub/x")
TOP = IndexFolder(Location.parse(f"{BASE}/"))


async def walked(url: str, reaches: Any = lambda _folder: True) -> list[IndexPage]:
    async with GovernedFetcher(Settings(mirrors={f"https://{HOST}": f"{url}/{HOST}"})) as fetcher:
        return [item async for item in walk_index(fetcher, TOP, reaches)]


def serve(archive: Any, paths: list[str], **options: Any) -> Archive:
    store = MemoryStore({f"{HOST}/pub/x/{path}": path.encode("utf-8", "surrogateescape") for path in paths})
    started: Archive = archive(store, apps=(IndexApp(store, HOST),), **options)
    return started


async def test_every_file_is_found_and_each_folder_asked_for_once(archive: Any) -> None:
    paths = [f"{outer}/{inner}/f{number}.tif" for outer in "abc" for inner in "xyz" for number in range(3)]
    served = serve(archive, ["top.xml", *paths])
    pages = await walked(served.url)
    assert sorted(path for item in pages for path, _ in item.files) == sorted(["top.xml", *paths])
    asked = [seen.path for seen in served.requests]
    assert len(asked) == len(set(asked)) == 1 + 3 + 9
    assert not any(seen.query for seen in served.requests)


async def test_folders_that_nobody_wants_are_not_asked_for(archive: Any) -> None:
    served = serve(archive, ["keep/a.tif", "skip/deep/b.tif"])
    pages = await walked(served.url, lambda folder: not folder.startswith("skip/"))
    assert [item.folder.path for item in pages] == ["", "keep/"]
    assert not [seen.path for seen in served.requests if "skip" in seen.path]


async def test_no_more_listings_at_once_than_agreed(archive: Any) -> None:
    served = serve(archive, [f"{number:03d}/a" for number in range(40)], latency_s=0.002)
    await walked(served.url)
    assert 1 < served.peak_in_flight <= AT_ONCE


async def test_any_name_leads_to_its_file(archive: Any) -> None:
    names = ["a b&c.tif", "100%.tif", "a%20b.tif", "é+ü.tif", "a:b.tif", "q?x#y.tif", "caf\udce9.tif", "d\udce9/x.tif"]
    served = serve(archive, names)
    pages = await walked(served.url)
    async with GovernedFetcher(Settings(mirrors={f"https://{HOST}": f"{served.url}/{HOST}"})) as fetcher:
        read = {}
        for found in (found for item in pages for found in item.found(BASE)):
            spec = TaskSetSpec(dataset="d", base=found.base, destination="d", encoded=found.encoded)
            for item in found.entries:
                document = await fetcher.read(spec.locate(item.key))
                read[item.path or item.key] = document.data.decode("utf-8", "surrogateescape")
    told = {"caf\udce9.tif": "caf%E9.tif", "d\udce9/x.tif": "d%E9/x.tif"}
    assert read == {told.get(name, name): name for name in names}


async def test_a_folder_that_leads_back_up_ends(archive: Any) -> None:
    class Loop:
        def answer(self, asked: Any) -> Any:
            from emasync.testing.messages import of_bytes

            return of_bytes(200, (("Content-Type", "text/html"),), page(link("again/")))

    served: Archive = archive({}, apps=(Loop(),))
    with pytest.raises(SourceError, match="does a link lead back up"):
        await walked(served.url)
    assert len(served.requests) == MAX_DEPTH + 1


async def test_an_error_page_in_a_folder_is_told(archive: Any) -> None:
    served = serve(archive, ["a/x", "b/y"], faults={f"{HOST}/pub/x/b/": [{"html_error": True}]})
    with pytest.raises(RefusedError, match=r"pub/x/b/: expected a directory listing"):
        await walked(served.url)


async def test_a_folder_that_is_not_there_is_told(archive: Any) -> None:
    served = serve(archive, ["a/x"], faults={f"{HOST}/pub/x/a/": [{"missing": True}]})
    with pytest.raises(NotFoundError) as caught:
        await walked(served.url)
    assert caught.value.location == f"{BASE}/a/"


async def test_a_long_listing_is_read_off_the_loop(archive: Any) -> None:
    names = [f"{number:06d}.tif" for number in range(20_000)]
    served = serve(archive, names)
    (item,) = await walked(served.url)
    assert [path for path, _ in item.files] == names


async def test_a_local_mirror_lists_by_itself(tmp_path: Path) -> None:
    for path in ("pub/x/top.xml", "pub/x/data/a.dm3", "pub/x/data/deep/b.dm3", "pub/x/skip/c.dm3"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"1234567")
    async with GovernedFetcher(Settings(mirrors={f"https://{HOST}": f"file://{tmp_path}"})) as fetcher:
        pages = [item async for item in walk_store(fetcher, TOP, lambda folder: folder != "skip/")]
        data = [item async for item in walk_store(fetcher, TOP.below("data/"), lambda _folder: True)]
    found = {path: row.size for item in pages for path, row in item.files}
    assert set(found) == {"top.xml", "data/a.dm3", "data/deep/b.dm3"}
    assert found["top.xml"] == RoundedSize("7", 7, 7)
    assert [path for item in data for path, _ in item.files] == ["data/a.dm3", "data/deep/b.dm3"]
