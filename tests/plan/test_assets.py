"""Assets of one dataset: sets of their own, sidecars first, globs below each of them."""

from __future__ import annotations

import asyncio
from typing import Any

from emasync.manifest.load import manifest_from_object
from emasync.model.task import Rank
from emasync.plan.compile import compile_dataset
from emasync.plan.order import DOCUMENTS_ASSET

Bench = Any
"""The fixture of conftest.py: test modules cannot import it by name."""

ONE, TWO = "exaSPIM_1_2024-04-02_19-49-38", "exaSPIM_2_2024-04-03_19-49-38"
FILES = {"subject.json": 3, "A.zarr/0": 1, "A.zarr/1": 1, "other.bin": 2, "raw/a/notes.json": 4}


async def compiled(bench: Bench, **more: object) -> bool:
    for asset in (ONE, TWO):
        bench.put({f"{asset}/{path}": b"1" * size for path, size in FILES.items()})
    data = {"id": "d", "source": "aind", "bucket": "bucket", "assets": [ONE, TWO], **more}
    manifest = await asyncio.to_thread(manifest_from_object, {"version": 1, "datasets": [data]})
    async with bench.tools() as tools:
        return await compile_dataset(manifest.datasets[0], tools)


async def test_sidecars_are_sets_that_go_before_all_else(bench: Bench) -> None:
    assert await compiled(bench)
    order = await bench.order()
    assert order[:2] == [(Rank.DOCUMENT, ":sidecars")] * 2
    assert order[2:] == [(Rank.BULK, "")] * 2, "what is listed is bulk, in sets of its own"
    assert (Rank.DOCUMENT, DOCUMENTS_ASSET) not in order, "nothing is left for the documents of the trees"
    assert await bench.destinations() == {
        f"{asset}/{path}": size for asset in (ONE, TWO) for path, size in FILES.items()
    }
    rows = {row.destination: row for row in await bench.rows()}
    assert rows[f"d/{ONE}/subject.json"].location == f"s3://bucket/{ONE}/subject.json"
    assert rows[f"d/{ONE}/subject.json"].validator.etag


async def test_globs_are_asked_with_paths_below_each_asset(bench: Bench) -> None:
    assert await compiled(bench, include=["*.json", "A.zarr/1"], exclude=["**/0"])
    assert set(await bench.destinations()) == {
        f"{asset}/{path}" for asset in (ONE, TWO) for path in ("subject.json", "A.zarr/1")
    }


async def test_a_plan_that_goes_on_names_nothing_twice(bench: Bench) -> None:
    assert not await compiled(bench, assets=[ONE, "gone_1_2024-04-02_19-49-38"])
    assert not await compiled(bench, assets=[ONE, "gone_1_2024-04-02_19-49-38"])
    assert await bench.destinations() == {f"{ONE}/{path}": size for path, size in FILES.items()}
    (failure,) = await bench.failures()
    assert "has no asset 'gone_1_2024-04-02_19-49-38'" in failure.message


async def test_planning_again_asks_nothing(bench: Bench) -> None:
    assert await compiled(bench)
    assert bench.requests()
    assert await compiled(bench)
    assert bench.requests() == []
