from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import AccessDeniedError, NotFoundError, RefusedError, SourceError
from emasync.model.digest import Span, Tail
from emasync.model.events import Event
from emasync.model.location import Location, missing_key
from emasync.sources import walk
from emasync.sources.interface import Children
from emasync.sources.walk import BucketTree, KeyFrame
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Document, ListedObject, ListPage

BASES = ("s3://bucket/p", "gs://bucket/p", "http://127.0.0.1:9/bucket/p", "file:///data/p")


def tree(keys: dict[str, bytes], base: str = "s3://bucket/p", page_limit: int = 1000) -> BucketTree:
    lead = base.removesuffix("p")
    return BucketTree(
        MemoryFetcher({lead + key: data for key, data in keys.items()}, page_limit=page_limit), Location.parse(base)
    )


async def listed(over: BucketTree, folder: str = "", start_after: str | None = None) -> list[str]:
    return [item.key async for page in over.list(folder, start_after=start_after) for item in page.objects]


@pytest.mark.parametrize("base", BASES)
async def test_keys_are_relative_and_neighbours_with_the_same_beginning_are_not_listed(base: str) -> None:
    over = tree({"p/a": b"1", "p/b/c": b"22", "p2/x": b"3", "p": b"4", "p.zarr/x": b"5"}, base)
    assert await listed(over) == ["a", "b/c"]
    assert await listed(over, "b") == ["b/c"]
    assert await over.read("b/c") == b"22"
    assert await over.read("nothing") is None
    assert await over.children("") == Children(("b",), ("a",))
    assert await over.children("b") == Children((), ("c",))


@pytest.mark.parametrize("base", BASES)
async def test_a_listing_goes_on_behind_a_key(base: str) -> None:
    over = tree({"p/a": b"1", "p/b/c": b"1", "p/b/d": b"1", "p/e": b"1"}, base)
    assert await listed(over, "", "b/c") == ["b/d", "e"]
    assert await listed(over, "b", "b/c") == ["b/d"]
    assert await listed(over, "b", "a") == ["b/c", "b/d"], "the cursor lies before the folder"
    assert await listed(over, "b", "e") == [], "the cursor lies behind the folder"


async def test_a_whole_bucket_is_a_tree() -> None:
    fetcher = MemoryFetcher({"s3://bucket/a": b"1", "s3://bucket/b/c": b"1"})
    over = BucketTree(fetcher, Location.parse("s3://bucket"))
    assert await listed(over) == ["a", "b/c"]
    assert await over.read("b/c") == b"1"


async def test_escaped_names_of_an_http_bucket_are_raw_keys() -> None:
    fetcher = MemoryFetcher({"http://h:1/bucket/p%20q/a%23b": b"1"})
    over = BucketTree(fetcher, Location.parse("http://h:1/bucket/p%20q"))
    assert await listed(over) == ["a#b"]
    assert await over.read("a#b") == b"1"


async def test_folder_markers_are_left_out_and_told() -> None:
    events: list[Event] = []
    fetcher = MemoryFetcher({"s3://b/p/": b"", "s3://b/p/f/": b"", "s3://b/p/f/x": b"1", "s3://b/p/odd/": b"data"})
    over = BucketTree(fetcher, Location.parse("s3://b/p"), events.append)
    assert await listed(over) == ["f/x", "odd/"], "an object with content is no marker, whatever its name"
    assert [event.fields["objects"] for event in events] == [2]
    assert await over.children("f") == Children((), ("x",))


async def test_missing_keys_that_are_answered_with_403_are_missing() -> None:
    over, events = hidden(AccessDeniedError("403"))
    assert await over.read(".zattrs") is None
    assert await over.read(".zgroup") is None
    assert len(events) == 1, "told once"


async def test_a_denial_is_one_where_missing_keys_are_told() -> None:
    over, events = hidden(NotFoundError("404"))
    with pytest.raises(AccessDeniedError):
        await over.read(".zattrs")
    assert not events


async def test_a_server_that_has_everything_is_not_believed() -> None:
    over, _ = hidden(None)
    with pytest.raises(RefusedError, match="cannot exist"):
        await over.read(".zattrs")


def hidden(answer: Exception | None) -> tuple[BucketTree, list[Event]]:
    """A tree whose metadata is denied and whose missing keys are answered so."""
    events: list[Event] = []

    class Denying(MemoryFetcher):
        async def read(
            self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
        ) -> Document:
            if ".z" in location.path:
                raise AccessDeniedError("403")
            if answer is not None:
                raise answer
            return await super().read(location, span=span, limit_bytes=limit_bytes)

    fetcher = Denying()
    base = Location.parse("s3://b/p")
    fetcher.put(base.join(missing_key(base)), b"!")
    return BucketTree(fetcher, base, events.append), events


async def test_too_many_names_are_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_CHILDREN", 5)
    over = tree({f"p/{number}": b"1" for number in range(6)}, page_limit=2)
    with pytest.raises(SourceError, match="format: raw"):
        await over.children("")


async def test_keys_that_were_not_asked_for_are_refused() -> None:
    class Lying(MemoryFetcher):
        async def list(
            self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
        ) -> AsyncIterator[ListPage]:
            yield ListPage(objects=(ListedObject(key="q/x", size_bytes=1),), last=True)

    with pytest.raises(RefusedError, match="q/x"):
        await listed(BucketTree(Lying(), Location.parse("s3://b/p")))


def test_frames_translate_both_ways() -> None:
    def keys(frame: KeyFrame, *names: str) -> list[str]:
        rows = tuple(ListedObject(key=name, size_bytes=1) for name in names)
        return [item.key for item in frame.relative(ListPage(objects=rows, last=True), base).objects]

    base = Location.parse("s3://b/p")
    above = KeyFrame.between(Location.parse("s3://b"), base)
    assert (keys(above, "p/x", "p/y", "p/z"), above.listed("x")) == (["x", "y", "z"], "p/x")
    below = KeyFrame.between(Location.parse("file:///data/p/sub"), Location.parse("file:///data/p"))
    assert (keys(below, "x"), below.listed("sub/x"), below.listed("a")) == (["sub/x"], "x", None)
    with pytest.raises(RefusedError):
        keys(above, "p/x", "p/y", "q/z")


SEGMENTS = st.text(st.sampled_from("ab-.0/\U0010ffff"), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(keys=st.sets(SEGMENTS, min_size=1, max_size=40), page_limit=st.integers(1, 5), start=st.none() | SEGMENTS)
async def test_listing_in_lanes_gives_every_key_once_in_order(
    keys: set[str], page_limit: int, start: str | None
) -> None:
    over = tree({f"p/{key}": b"1" for key in keys}, page_limit=page_limit)
    expected = sorted(key for key in keys if start is None or key > start)
    assert await listed(over, "", start) == expected


async def test_a_long_listing_is_cut_at_folders_and_costs_few_requests_more() -> None:
    keys = {f"p/{folder:03d}/{number:02d}": b"1" for folder in range(100) for number in range(20)}
    over = tree(keys, page_limit=20)
    fetcher = over._fetcher
    assert isinstance(fetcher, MemoryFetcher)
    assert await listed(over) == sorted(key.removeprefix("p/") for key in keys)
    requests = len(fetcher.log)
    assert requests < 1.5 * 100, f"{requests} requests for 100 pages"


async def test_lanes_run_side_by_side_and_end_with_their_listing() -> None:
    keys = {f"p/{folder:02d}/{number:03d}": b"1" for folder in range(20) for number in range(50)}
    over = tree(keys, page_limit=10)
    pages = over.list("")
    seen = [page async for page in take(pages, 4)]
    assert len(seen) == 4
    assert len(asyncio.all_tasks()) > 2, "lanes work ahead"
    await pages.aclose()  # type: ignore[attr-defined]  # an async generator behind the Protocol
    assert len(asyncio.all_tasks()) == 1, "and are over when the listing is left"


async def take(pages: AsyncIterator[ListPage], count: int) -> AsyncIterator[ListPage]:
    for _ in range(count):
        yield await anext(pages)


async def test_a_listing_that_cannot_be_cut_goes_on_uncut() -> None:
    keys = {f"p/{folder}/{number:02d}": b"1" for folder in "abcd" for number in range(10)}
    whole = MemoryFetcher({f"s3://bucket/{key}": data for key, data in keys.items()}, page_limit=5)

    class Uncut(MemoryFetcher):
        async def list(
            self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
        ) -> AsyncIterator[ListPage]:
            if delimiter:
                raise RefusedError("no delimiters here")
            async for page in whole.list(prefix, start_after=start_after):
                yield page

    over = BucketTree(Uncut(), Location.parse("s3://bucket/p"))
    assert await listed(over) == sorted(key.removeprefix("p/") for key in keys)
    assert repr(over) == "<BucketTree s3://bucket/p>"


async def test_a_folder_is_not_cut() -> None:
    over = tree({f"p/{folder}/{number}": b"1" for folder in "abc" for number in range(4)}, "file:///data/p", 3)
    assert len(await listed(over)) == 12
    fetcher = over._fetcher
    assert isinstance(fetcher, MemoryFetcher)
    assert len(fetcher.log) == 4, "four pages, and none to look for places to cut at"


async def test_a_lane_that_breaks_does_so_in_its_turn() -> None:
    keys = {f"p/{folder}/{number:03d}": b"1" for folder in "abcd" for number in range(30)}
    over = tree(keys, page_limit=10)
    fetcher = over._fetcher
    assert isinstance(fetcher, MemoryFetcher)
    wanted = sorted(key.removeprefix("p/") for key in keys)

    class Breaking(MemoryFetcher):
        async def list(
            self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
        ) -> AsyncIterator[ListPage]:
            async for page in fetcher.list(prefix, start_after=start_after, delimiter=delimiter):
                if page.objects and page.objects[0].key > "p/c":
                    raise RefusedError("broken")
                yield page

    got: list[str] = []

    async def collect() -> None:
        async for page in BucketTree(Breaking(), Location.parse("s3://bucket/p")).list(""):
            got.extend(item.key for item in page.objects)

    with pytest.raises(RefusedError, match="broken"):
        await collect()
    assert got == wanted[: len(got)]
    assert len(got) == 60
