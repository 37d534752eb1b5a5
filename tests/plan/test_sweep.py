from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import InterruptedRunError, MachineError, SourceError
from emasync.model.location import Location
from emasync.model.task import TaskSetSpec
from emasync.plan.intake import Shelf
from emasync.plan.order import LARGEST_DOCUMENT_BYTES, is_document
from emasync.plan.sweep import Sorting, enclosing, pages
from emasync.plan.verdict import decisive
from emasync.sources.walk import BucketTree
from emasync.testing.fetcher import MemoryFetcher


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [
        (".zattrs", 10, True),
        ("a/b/zarr.json", 10, True),
        ("seg/info", None, True),
        ("README.md", 10, True),
        ("deep/README.md", 10, False),
        ("data.tif", 10, False),
        ("a/info.tif", 10, False),
        ("big.csv", LARGEST_DOCUMENT_BYTES + 1, False),
    ],
)
def test_documents_are_known_by_name_and_size(path: str, size: int | None, expected: bool) -> None:  # a table
    assert is_document(path, size) == expected


def test_the_outermost_folder_encloses() -> None:
    folders = frozenset({"a", "a/b", "c"})
    assert enclosing("a/b/x", folders) == "a"
    assert enclosing("c/x", folders) == "c"
    assert enclosing("d/x", folders) is None
    assert enclosing("a", folders) is None


def shelf(number: int) -> Shelf:
    return Shelf(number, TaskSetSpec(dataset="d", base="s3://b/p", destination="d", asset=str(number)))


def test_every_path_has_one_home() -> None:
    sorting = Sorting(
        documents=shelf(0),
        rest=shelf(1),
        levels={"im/s0": shelf(2), "im/s0/deep": shelf(3)},
        skipped=frozenset({"im/s1"}),
        elsewhere=frozenset({"im/.zattrs"}),
        wants=lambda path: path != "no",
    )
    homes = {
        "x": 1,
        "im/s0": 1,
        "im/s0/0/0": 2,
        "im/s0/deep/0": 3,
        "im/s0/.zarray": 0,
        "im/s1/0": None,
        "im/s1/.zarray": None,
        "im/.zattrs": None,
        "no": None,
    }
    found = {path: sorting.shelf(path, 1) for path in homes}
    assert {path: home and home.set_id for path, home in found.items()} == homes


NAMES = st.lists(st.sampled_from(["a", "b", "a-", "a0", "\U0010ffffz"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=100, deadline=None)
@given(
    keys=st.sets(NAMES, min_size=1, max_size=25),
    jump=st.sets(NAMES, max_size=3),
    limit=st.integers(1, 4),
    start=st.none() | NAMES,
)
async def test_leaps_miss_nothing_outside(keys: set[str], jump: set[str], limit: int, start: str | None) -> None:
    tree = BucketTree(
        MemoryFetcher({f"s3://b/p/{key}": b"1" for key in keys}, page_limit=limit), Location.parse("s3://b/p")
    )
    got = [item.key async for page in pages(tree, "", start, sorted(jump)) for item in page]
    folders = frozenset(jump)
    expected = sorted(key for key in keys if start is None or key > start)
    assert [key for key in got if enclosing(key, folders) is None] == [
        key for key in expected if enclosing(key, folders) is None
    ]


async def test_leaps_save_listings() -> None:
    keys = {f"s3://b/p/{folder}/{number:03d}": b"1" for folder in ("a", "s0", "z") for number in range(100)}
    fetcher = MemoryFetcher(keys, page_limit=10)

    async def count(jump: tuple[str, ...]) -> int:
        fetcher.log.clear()
        rows = [
            item
            async for page in pages(BucketTree(fetcher, Location.parse("s3://b/p")), "", None, jump)
            for item in page
        ]
        assert rows
        return len(fetcher.log)

    assert await count(("a", "s0")) < await count(()) / 2


async def test_a_listing_that_is_no_generator_is_taken_too() -> None:
    class Plain:
        base = Location.parse("s3://b/p")

        async def read(self, key: str) -> bytes | None:
            return None

        async def children(self, folder: str) -> object:
            raise NotImplementedError

        def list(self, folder: str, *, start_after: str | None = None) -> AsyncIterator[object]:
            class Empty:
                def __aiter__(self) -> Empty:
                    return self

                async def __anext__(self) -> object:
                    raise StopAsyncIteration

            return Empty()

    assert [page async for page in pages(Plain(), "", None, ())] == []  # type: ignore[arg-type]  # enough of a tree


def test_the_error_that_stops_the_run_decides() -> None:
    source, machine, stop = SourceError("s"), MachineError("m"), InterruptedRunError("i")
    bug = ExceptionGroup("g", [source, ZeroDivisionError()])
    assert decisive(source) is source
    assert decisive(ExceptionGroup("g", [source, ExceptionGroup("h", [machine])])) is machine
    assert decisive(ExceptionGroup("g", [source, stop])) is stop
    assert decisive(ExceptionGroup("g", [source, SourceError("t")])) is source
    assert decisive(bug) is bug
