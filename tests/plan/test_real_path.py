"""Compile over the loopback archive, a folder and real files, through the real transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.folder import FolderStore
from emasync.testing.synthetic import SyntheticStore
from emasync.transport.governed import GovernedFetcher

Bench = Any
"""The fixture of conftest.py: test modules cannot import it by name."""

Start = Callable[..., Archive]

OBJECTS = {
    "bucket/p/README.md": b"1",
    "bucket/p/a b/%20+x.tif": b"22",
    "bucket/p/ä/ö": b"333",
    "bucket/p/deep/er/info": b"4444",
    "bucket/p2/not": b"5",
}


async def compiled(bench: Bench, settings: Settings | None = None, **entry: object) -> Mapping[str, int | None]:
    bench.settings = settings or Settings()
    async with GovernedFetcher(bench.settings) as fetcher:
        assert await bench.compile(fetcher=fetcher, **entry), await bench.failures()
    found: Mapping[str, int | None] = await bench.destinations()
    return found


async def test_one_tree_is_the_same_by_every_road(bench: Bench, archive: Start, tmp_path: Path) -> None:
    served = await asyncio.to_thread(archive, OBJECTS, page_limit=2)
    for key, data in OBJECTS.items():
        (tmp_path / "src" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / key).write_bytes(data)
    expected = {key.removeprefix("bucket/p/"): len(data) for key, data in OBJECTS.items() if "/p/" in key}
    roads = {
        "http": (f"{served.url}/bucket/p", {}),
        "s3": ("s3://bucket/p", {"s3://bucket": f"{served.url}/bucket"}),
        "gs": ("gs://bucket/p", {"gs://bucket": f"{served.url}/bucket"}),
        "folder": (f"file://{tmp_path}/src/bucket/p", {}),
        "mirrored folder": ("s3://bucket/p", {"s3://bucket": f"file://{tmp_path}/src/bucket"}),
    }
    for name, (url, mirrors) in roads.items():
        bench.folder = tmp_path / name
        bench.folder.mkdir()
        assert await compiled(bench, Settings(mirrors=mirrors), url=url, format="raw") == expected, name


async def test_a_single_object_is_found_by_every_road(bench: Bench, archive: Start, tmp_path: Path) -> None:
    served = await asyncio.to_thread(archive, OBJECTS)
    (tmp_path / "x").write_bytes(b"22")
    mirrors = {"s3://bucket": f"{served.url}/bucket"}
    urls = {
        f"{served.url}/bucket/p/a%20b/%2520+x.tif": "%20+x.tif",
        "s3://bucket/p/a b/%20+x.tif": "%20+x.tif",
        f"file://{tmp_path}/x": "x",
    }
    for number, (url, name) in enumerate(urls.items()):
        bench.folder = tmp_path / str(number)
        bench.folder.mkdir()
        assert await compiled(bench, Settings(mirrors=mirrors), url=url) == {name: 2}


async def test_a_long_listing_arrives_whole_and_work_begins_early(bench: Bench, archive: Start) -> None:
    served = await asyncio.to_thread(archive, SyntheticStore(count=12_000, folder_size=700))
    async with bench.tools() as tools, GovernedFetcher(Settings()) as fetcher:
        entry = await bench.manifest_entry(url=f"{served.url}/big/d", format="raw")
        seen: list[int] = []

        def wake() -> None:
            seen.append(len(served.requests))

        from emasync.plan.compile import compile_dataset

        context = replace(tools.context, fetcher=fetcher)
        assert await compile_dataset(entry, replace(tools, context=context, wake=wake))
        (tally,) = await tools.ledger.call("tallies")
    assert sum(tally.objects.values()) == 12_000
    assert seen[0] < len(served.requests) / 2, "the first page is work already"


async def test_403_for_what_is_missing_is_no_obstacle(bench: Bench, archive: Start, fixtures_folder: Path) -> None:
    store = await asyncio.to_thread(FolderStore, fixtures_folder)
    rules = {"*": BucketRules(missing_is_403=True, list_denied=True)}
    served = await asyncio.to_thread(archive, store, buckets=rules)
    image = first_image(fixtures_folder / "ome_zarr_04")
    found = await compiled(
        bench, url=f"{served.url}/{image.relative_to(fixtures_folder).as_posix()}", format="zarr", scales=[0]
    )
    assert found


def first_image(folder: Path) -> Path:
    for document in sorted(folder.rglob(".zattrs")):
        if "multiscales" in json.loads(document.read_bytes()):
            return document.parent
    raise AssertionError(f"no image in {folder}")


@pytest.mark.parametrize("family", ["ome_zarr_04", "ome_zarr_05", "zarr_v2", "zarr_v3"])
async def test_real_hierarchies_arrive_whole(bench: Bench, archive: Start, fixtures_folder: Path, family: str) -> None:
    store = await asyncio.to_thread(FolderStore, fixtures_folder)
    served = await asyncio.to_thread(archive, store)
    files = {
        path.relative_to(fixtures_folder / family).as_posix(): path.stat().st_size
        for path in (fixtures_folder / family).rglob("*")
        if path.is_file()
    }
    for format_name in ("raw", "zarr"):
        bench.folder = bench.folder / format_name
        bench.folder.mkdir()
        assert await compiled(bench, url=f"{served.url}/{family}", format=format_name) == files


async def test_every_real_image_can_be_narrowed_to_its_coarsest_level(
    bench: Bench, archive: Start, fixtures_folder: Path, tmp_path: Path
) -> None:
    store = await asyncio.to_thread(FolderStore, fixtures_folder)
    served = await asyncio.to_thread(archive, store)
    image = first_image(fixtures_folder / "ome_zarr_04")
    levels = json.loads((image / ".zattrs").read_bytes())["multiscales"][0]["datasets"]
    url = f"{served.url}/{image.relative_to(fixtures_folder).as_posix()}"
    found = await compiled(bench, url=url, scales=[len(levels) - 1])
    coarsest = levels[-1]["path"]
    chunks = {path for path in found if path.startswith(f"{coarsest}/")}
    assert chunks == {
        path.relative_to(image).as_posix() for path in (image / coarsest).rglob("*") if path.is_file()
    } - {path.removeprefix("d/") for path in bench.documents._documents}
    assert not [path for path in found for level in levels[:-1] if path.startswith(f"{level['path']}/")]
