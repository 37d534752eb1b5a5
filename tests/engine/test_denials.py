"""Chunks that are denied: left out by the publisher, or really denied (law 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from emasync.engine.denials import Denials, descriptions
from emasync.errors import AccessDeniedError, EmasyncError, NotFoundError
from emasync.model.digest import Span, Tail
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location
from emasync.model.task import Task, TaskSetSpec
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Document

ARRAY = "s3://bucket/image.zarr/s0"
GRID = ChunkGrid(start=(0, 0), shape=(2, 2), prefix="")
DENIED = AccessDeniedError("status 403", location=f"{ARRAY}/1.1")


class Guarded(MemoryFetcher):
    """Denies what is not there, and whatever else it is told to."""

    def __init__(self, there: Iterable[str]) -> None:
        super().__init__({f"{ARRAY}/{name}": b"{}" for name in there})
        self.closed = False
        self.asked: list[str] = []

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        self.asked.append(str(location))
        await asyncio.sleep(0)
        if self.closed:
            raise AccessDeniedError("status 403", location=str(location))
        try:
            return await super().read(location, span=span, limit_bytes=limit_bytes)
        except NotFoundError:
            raise AccessDeniedError("status 403", location=str(location)) from None


def chunk(*, absent_ok: bool = True, grid: ChunkGrid | None = GRID) -> Task:
    spec = TaskSetSpec(dataset="d", base=ARRAY, destination="d", absent_ok=absent_ok, grid=grid)
    return Task(set_id=1, key=3 if grid else "x", spec=spec)


async def test_a_denied_chunk_is_left_out_where_every_missing_name_is_denied() -> None:
    meaning = await Denials(Guarded([".zarray"])).meaning(chunk(), DENIED)
    assert isinstance(meaning, NotFoundError)
    assert meaning.location == DENIED.location


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (chunk(absent_ok=False), DENIED),
        (chunk(), EmasyncError("something else")),
    ],
)
async def test_other_errors_stay_what_they_are(task: Task, error: EmasyncError) -> None:
    fetcher = Guarded([".zarray"])
    assert await Denials(fetcher).meaning(task, error) is error
    assert fetcher.asked == []


async def test_shards_that_are_named_one_by_one_are_chunks_too() -> None:
    assert isinstance(await Denials(Guarded(["info"])).meaning(chunk(grid=None), DENIED), NotFoundError)


async def test_a_file_that_may_be_missing_is_not_missing_where_it_is_denied() -> None:
    """``allow_missing`` accepts a 404; nothing describes files that the manifest names."""
    assert await Denials(Guarded(["another.tif"])).meaning(chunk(grid=None), DENIED) is DENIED


async def test_a_denial_is_one_where_missing_names_are_told_as_missing() -> None:
    assert await Denials(MemoryFetcher({f"{ARRAY}/.zarray": b"{}"})).meaning(chunk(), DENIED) is DENIED


async def test_a_denial_is_one_where_the_array_itself_is_denied_by_now() -> None:
    assert await Denials(Guarded([])).meaning(chunk(), DENIED) is DENIED


async def test_one_look_is_for_all_denials_before_it_and_for_none_behind_it() -> None:
    fetcher = Guarded([".zarray"])
    denials = Denials(fetcher)
    found = await asyncio.gather(*(denials.meaning(chunk(), DENIED) for _ in range(10)))
    assert all(isinstance(error, NotFoundError) for error in found)
    assert len(fetcher.asked) == 2 * 2, "one look for the first, one for those that came while it was under way"
    fetcher.closed = True
    assert await denials.meaning(chunk(), DENIED) is DENIED, "rights were taken away meanwhile"


def test_where_arrays_are_described() -> None:
    places = [str(place) for place in descriptions(Location.parse("gs://b/em/jpeg/8.0x8.0x8.0"))]
    assert places == [
        "gs://b/em/jpeg/8.0x8.0x8.0/.zarray",
        "gs://b/em/jpeg/8.0x8.0x8.0/zarr.json",
        "gs://b/em/jpeg/8.0x8.0x8.0/attributes.json",
        "gs://b/em/jpeg/8.0x8.0x8.0/info",
        "gs://b/em/jpeg/info",
        "gs://b/em/info",
    ]
