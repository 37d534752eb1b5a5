from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from emasync.errors import AccessDeniedError, ErrorKind, MachineError, SourceError, TransientError
from emasync.manifest.load import manifest_from_object
from emasync.model.digest import Digest
from emasync.model.location import Location
from emasync.model.task import Rank
from emasync.plan.compile import compile_dataset, compile_datasets
from emasync.plan.guards import Guard, Room
from emasync.plan.order import DOCUMENTS_ASSET
from emasync.registry import NOT_BUILT, Registry
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import ListPage

Bench = Any
"""The fixture of conftest.py: test modules cannot import it by name."""


async def test_a_prefix_becomes_documents_and_the_rest(bench: Bench) -> None:
    bench.put({"p/README.md": b"1", "p/deep/data.bin": b"22", "p/deep/info": b"333", "p2/not": b"4"})
    assert await bench.compile()
    assert await bench.destinations() == {"README.md": 1, "deep/data.bin": 2, "deep/info": 3}
    assert await bench.order() == [(Rank.DOCUMENT, DOCUMENTS_ASSET), (Rank.BULK, "")]
    rows = {row.key: row for row in await bench.rows()}
    assert rows["deep/data.bin"].location == "s3://bucket/p/deep/data.bin"
    assert rows["deep/data.bin"].validator.etag
    assert bench.woken
    assert bench.told("dataset_started") == [{"dataset": "d", "planned": False}]


async def test_plain_files_are_planned_without_a_request(bench: Bench) -> None:
    files: list[dict[str, object]] = [
        {"url": "https://h/a%20b.tif", "size": 5, "md5": "14fc2fb6a5061ea4ea9b69a090c327c9"},
        {"url": "https://h/x/s_{z:02d}.dm3", "z": "0..2", "path": "stack/s_{z:02d}.dm3"},
        {"url": "http://other:8080/y?v=1", "path": "y.bin"},
    ]
    assert await compile_web(bench, files)
    assert await bench.destinations() == {
        "a b.tif": 5,
        "stack/s_00.dm3": None,
        "stack/s_01.dm3": None,
        "stack/s_02.dm3": None,
        "y.bin": None,
    }
    rows = {row.destination: row for row in await bench.rows()}
    assert rows["d/a b.tif"].location == "https://h/a%20b.tif"
    assert rows["d/a b.tif"].published == (Digest("md5", "14fc2fb6a5061ea4ea9b69a090c327c9"),)
    assert rows["d/y.bin"].location == "http://other:8080/y?v=1"
    assert bench.requests() == []


async def compile_web(bench: Bench, files: list[dict[str, object]], **more: object) -> bool:
    data: dict[str, object] = {"version": 1, "datasets": [{"id": "d", "source": "web", "files": files, **more}]}
    manifest = await asyncio.to_thread(manifest_from_object, data)
    async with bench.tools() as tools:
        return await compile_dataset(manifest.datasets[0], tools)


async def test_globs_choose_files_and_allow_missing_sets_them_apart(bench: Bench) -> None:
    files: list[dict[str, object]] = [{"url": f"https://h/{name}"} for name in ("a.tif", "b.tif", "c.txt", "d.tif")]
    assert await compile_web(bench, files, include=["*.tif"], exclude=["d*"], allow_missing=["b*"])
    assert set(await bench.destinations()) == {"a.tif", "b.tif"}
    async with bench.tools() as tools:
        sets = await tools.ledger.call("open_sets")
        absent_ok = {item.spec.absent_ok: [task.key for task in await lease(tools, item.set_id)] for item in sets}
    assert absent_ok == {False: ["/a.tif"], True: ["/b.tif"]}


async def lease(tools: Any, set_id: int) -> list[Any]:
    tasks: list[Any] = await tools.ledger.call("lease", set_id, 100)
    return tasks


async def test_only_folders_that_globs_can_mean_are_listed(bench: Bench) -> None:
    bench.put({"p/data/a.dm3": b"1", "p/data/b.txt": b"1", "p/docs/x": b"1", "p/more/y/z.dm3": b"1"})
    assert await bench.compile(format="raw", include=["data/*.dm3", "more/**"], exclude=["more/q*"])
    assert set(await bench.destinations()) == {"data/a.dm3", "more/y/z.dm3"}
    listed = [call.location for call in bench.fetcher.log if call.verb == "list"]
    assert listed == ["s3://bucket/p/data/", "s3://bucket/p/more/"]


async def test_a_complete_plan_is_not_asked_for_again(bench: Bench) -> None:
    bench.put({"p/a": b"1"})
    assert await bench.compile()
    assert bench.requests()
    assert await bench.compile()
    assert bench.requests() == []
    bench.put({"p/b": b"1"})
    assert await bench.compile(refresh=True)
    assert set(await bench.destinations()) == {"a", "b"}


async def test_an_interrupted_listing_goes_on_where_it_stood(bench: Bench) -> None:
    keys = {f"p/{number:04d}.bin": b"x" for number in range(40)}
    fetcher = MemoryFetcher({f"s3://bucket/{key}": data for key, data in keys.items()}, page_limit=4)

    class Breaking(MemoryFetcher):
        async def list(
            self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
        ) -> AsyncIterator[ListPage]:
            async for page in fetcher.list(prefix, start_after=start_after, delimiter=delimiter):
                if any(item.key > "p/0012" for item in page.objects):
                    raise TransientError("the line is cut", location=str(prefix))
                yield page

    assert not await bench.compile(fetcher=Breaking(), format="raw")
    assert len(await bench.rows()) == 12
    (failure,) = await bench.failures()
    assert (failure.kind, failure.message) == (ErrorKind.TRANSIENT, "the line is cut")
    begun: list[str | None] = []

    class Watched(MemoryFetcher):
        async def list(
            self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
        ) -> AsyncIterator[ListPage]:
            begun.append(start_after)
            async for page in fetcher.list(prefix, start_after=start_after, delimiter=delimiter):
                yield page

    assert await bench.compile(fetcher=Watched(), format="raw")
    assert len(await bench.rows()) == 40
    assert begun
    assert all(key is not None and key >= "0011.bin" for key in begun), "the first three pages are not listed again"
    assert not await bench.failures()


async def test_nothing_there_is_an_error_also_the_second_time(bench: Bench) -> None:
    for _ in range(2):
        assert not await bench.compile()
        (failure,) = await bench.failures()
        assert failure.kind == ErrorKind.SOURCE
        assert "nothing to fetch" in failure.message


def test_a_source_that_is_not_built_says_so() -> None:
    with pytest.raises(SourceError, match="source 'later' is not built yet") as caught:
        Registry("emasync.sources", {"later": NOT_BUILT}).load("later")
    assert caught.value.kind is ErrorKind.NOT_BUILT


async def test_one_dataset_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    bench.put({"p/a": b"1"})
    bad = await bench.manifest_entry(id="bad", url="s3://bucket/nothing")
    good = await bench.manifest_entry(id="good")
    async with bench.tools() as tools:
        assert not await compile_datasets([bad, good], tools)
        tallies = {item.dataset: item for item in await tools.ledger.call("tallies")}
    assert tallies["good"].planned
    assert not tallies["bad"].planned
    assert [fields["dataset"] for fields in bench.told("failed")] == ["bad"]


async def test_unsafe_names_are_mapped_or_refused_and_the_others_come(bench: Bench) -> None:
    long = "x" * 300
    bench.put({"p/../up": b"1", f"p/{long}": b"1", "p/CON": b"1", "p/fine": b"1", "p/a//b": b"1"})
    assert await bench.compile(format="raw")
    assert set(await bench.destinations()) == {"fine", "a/%~/b", "%~43ON", ".%~2E/up", long}
    (failure,) = await bench.failures()
    assert failure.kind == ErrorKind.UNSAFE_NAME
    assert failure.location == f"s3://bucket/p/{long}"
    assert [fields["kind"] for fields in bench.told("failed")] == [ErrorKind.UNSAFE_NAME]


async def test_a_file_in_the_place_of_a_folder_fails_and_the_folder_comes(bench: Bench) -> None:
    bench.put({"p/a": b"1", "p/a/b": b"2"})
    assert await bench.compile(format="raw")
    (failure,) = await bench.failures()
    assert failure.kind == ErrorKind.NAME_CLASH
    assert bench.told("failed")


async def test_guards_hold_while_listing_still_goes_on(bench: Bench) -> None:
    keys = {f"s3://bucket/p/{number:04d}.bin": b"x" * 10 for number in range(100)}
    fetcher = MemoryFetcher(keys, page_limit=5)
    bench.guard = Guard(max_total_bytes=120, reserve_bytes=0, measure=lambda: Room(free_bytes=1 << 40))
    with pytest.raises(MachineError, match="max_total") as caught:
        await bench.compile(fetcher=fetcher, format="raw")
    assert caught.value.kind == ErrorKind.GUARD
    assert len(await bench.rows()) < 100, "what was listed ahead is not taken"
    bench.guard = replace(bench.guard, max_total_bytes=None)
    assert await bench.compile(fetcher=fetcher, format="raw")
    assert len(await bench.rows()) == 100


async def test_a_guard_stops_datasets_that_are_planned_side_by_side(bench: Bench) -> None:
    bench.put({"p/a": b"12345", "q/a": b"12345"})
    bench.guard = Guard(max_total_bytes=7, reserve_bytes=0, measure=lambda: Room(free_bytes=1 << 40))
    entries = [await bench.manifest_entry(id="one"), await bench.manifest_entry(id="two", url="s3://bucket/q")]
    async with bench.tools() as tools:
        with pytest.raises(MachineError, match="max_total"):
            await compile_datasets(entries, tools)


async def test_what_is_denied_is_the_dataset_s_failure(bench: Bench) -> None:
    bench.fetcher.fail("s3://bucket/p/", AccessDeniedError("403 for s3://bucket/p/", location="s3://bucket/p/"))
    assert not await bench.compile(format="raw")
    (failure,) = await bench.failures()
    assert (failure.kind, failure.location) == (ErrorKind.ACCESS_DENIED, "s3://bucket/p/")


async def test_a_bug_is_not_taken_for_a_failed_dataset(bench: Bench) -> None:
    class Buggy(MemoryFetcher):
        async def bucket_of(self, prefix: Location) -> Location:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bench.compile(fetcher=Buggy(), format="raw")
