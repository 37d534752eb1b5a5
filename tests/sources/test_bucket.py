from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import emasync
from emasync.errors import AccessDeniedError, RefusedError
from emasync.manifest.bucket import BucketEntry
from emasync.manifest.load import manifest_from_object
from emasync.model.events import ignore_event
from emasync.model.location import Location
from emasync.model.packing import unpack_validator
from emasync.model.task import TaskSetSpec
from emasync.settings import Settings
from emasync.sources.bucket import BucketSource
from emasync.sources.interface import FilesFound, Finding, SourceContext, TreeFound
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.fetcher import MemoryFetcher
from emasync.testing.memory import MemoryStore
from emasync.transport.interface import BucketAccess


def entry(url: str, **more: object) -> BucketEntry:
    data = {"id": "d", "source": "bucket", "url": url, **more}
    made = manifest_from_object({"version": 1, "datasets": [data]}).datasets[0]
    assert isinstance(made, BucketEntry)
    return made


async def resolve(fetcher: MemoryFetcher, url: str, **more: object) -> list[Finding]:
    source = BucketSource(SourceContext(fetcher=fetcher, settings=Settings(), on_event=ignore_event))
    return [item async for item in source.resolve(await asyncio.to_thread(entry, url, **more))]


@pytest.mark.parametrize(
    "url", ["s3://bk/folder/one.tif", "gs://bk/one.tif", "http://127.0.0.1:9/b/one.tif", "file:///d/one.tif"]
)
async def test_a_url_that_names_one_object_is_that_object(url: str) -> None:
    (item,) = await resolve(MemoryFetcher({url: b"data"}), url)
    assert isinstance(item, FilesFound)
    (only,) = item.entries
    assert (only.size_bytes, only.path) == (4, "one.tif")
    assert unpack_validator(only.listed).etag is not None
    spec = TaskSetSpec(dataset="d", base=item.base, destination="d", encoded=item.encoded)
    assert str(spec.locate(only.key)) == url


async def test_an_empty_object_is_one_too() -> None:
    (item,) = await resolve(MemoryFetcher({"s3://bk/empty": b""}), "s3://bk/empty")
    assert isinstance(item, FilesFound)
    assert item.entries[0].size_bytes == 0


@pytest.mark.parametrize("url", ["s3://bk/p", "s3://bk/p/", "s3://bk", "http://127.0.0.1:9/b", "file:///d/p"])
async def test_everything_else_is_a_tree(url: str) -> None:
    fetcher = MemoryFetcher({f"{url.rstrip('/')}/x": b"data"})
    (item,) = await resolve(fetcher, url)
    assert isinstance(item, TreeFound)
    assert await item.tree.read("x") == b"data"


async def test_an_object_beside_a_folder_of_its_name_gives_both() -> None:
    first, second = await resolve(MemoryFetcher({"s3://bk/p": b"1", "s3://bk/p/x": b"2"}), "s3://bk/p")
    assert isinstance(first, FilesFound)
    assert isinstance(second, TreeFound)


async def test_who_chooses_arrays_speaks_of_a_tree_and_costs_no_request() -> None:
    fetcher = MemoryFetcher({"s3://bk/p": b"1"})
    for more in ({"scales": [1]}, {"arrays": ["a"]}, {"format": "zarr"}):
        (item,) = await resolve(fetcher, "s3://bk/p", **more)
        assert isinstance(item, TreeFound)
    assert not fetcher.log


@pytest.mark.parametrize("error", [AccessDeniedError("403"), RefusedError("an HTML page")])
async def test_what_cannot_be_asked_is_a_tree(error: AccessDeniedError | RefusedError) -> None:
    fetcher = MemoryFetcher()
    fetcher.fail("s3://bk/p", error)
    (item,) = await resolve(fetcher, "s3://bk/p")
    assert isinstance(item, TreeFound)


async def test_an_object_is_enough_where_nothing_can_be_listed() -> None:
    fetcher = MemoryFetcher({"s3://bk/p": b"1"})
    fetcher.fail(Location.parse("s3://bk/p/"), AccessDeniedError("403"))
    (item,) = await resolve(fetcher, "s3://bk/p")
    assert isinstance(item, FilesFound)


async def test_access_is_granted_to_the_bucket_under_its_one_name() -> None:
    granted: dict[str, BucketAccess] = {}

    class Granting(MemoryFetcher):
        def grant(self, bucket_origin: str, access: BucketAccess) -> None:
            granted[bucket_origin] = access

    await resolve(
        Granting(),
        "https://bk.s3.eu-west-1.amazonaws.com/p",
        anonymous=False,
        requester_pays=True,
        region="eu-west-1",
        scales=[0],
    )
    assert granted == {"s3://bk": BucketAccess(anonymous=False, requester_pays=True, region="eu-west-1")}


async def test_large_objects_of_google_are_held_against_the_crc_of_their_answer(tmp_path: Path) -> None:
    store = MemoryStore(buckets=("lab",))
    store.put("lab/big.raw", bytes(range(256)) * (3 << 12))
    with Archive.start(store, buckets={"lab": BucketRules(kind="google")}) as server:
        data = {"id": "d", "source": "bucket", "url": "gs://lab/big.raw", "format": "raw"}
        mirrors = {"gs://lab": f"{server.url}/lab"}
        receipt = await emasync.arun({"version": 1, "mirrors": mirrors, "datasets": [data]}, root=tmp_path)
    assert receipt.ok, receipt.failures
    assert receipt.datasets[0].verified.published == 1
