from __future__ import annotations

from typing import Any

from emasync.errors import ErrorKind
from emasync.plan.guards import Guard, Room
from emasync.plan.preview import HostDemand, Preview, preview
from emasync.settings import MIB

Bench = Any
"""The fixture of conftest.py: test modules cannot import it by name."""


async def previewed(bench: Bench, *entries: dict[str, object], guard: Guard | None = None) -> Preview:
    made = [await bench.manifest_entry(**entry) for entry in entries]
    async with bench.tools() as tools:
        return await preview(made, tools, guard=guard)


async def test_objects_bytes_and_requests_a_host(bench: Bench) -> None:
    bench.put({"p/big.bin": b"x" * (20 * MIB), "p/small": b"1", "p/empty": b""})
    bench.fetcher.put("gs://other/q/ä/file.bin", b"22")
    seen = await previewed(bench, {"id": "one"}, {"id": "two", "url": "gs://other/q"})
    assert (seen.objects, seen.bytes) == (4, 20 * MIB + 3)
    assert seen.hosts == (
        HostDemand(origin="gs://other", objects=1, bytes=2, requests=1),
        HostDemand(origin="s3://bucket", objects=3, bytes=20 * MIB + 1, requests=5),
    )
    assert [(item.id, item.objects, item.planned) for item in seen.datasets] == [("one", 3, True), ("two", 1, True)]
    assert seen.longest_path == "two/ä/file.bin"
    assert seen.problem is None


async def test_clashes_and_failures_are_named(bench: Bench) -> None:
    bench.put({"p/a": b"1", "p/a/b": b"1"})
    seen = await previewed(bench, {"id": "one", "format": "raw"}, {"id": "two", "url": "s3://bucket/none"})
    assert seen.clashes == 1
    one, two = seen.datasets
    assert [failure.kind for failure in one.failures] == [ErrorKind.NAME_CLASH]
    assert not two.planned
    assert [failure.kind for failure in two.failures] == [ErrorKind.SOURCE]


async def test_what_does_not_fit_is_said_and_not_raised(bench: Bench) -> None:
    bench.put({"p/a": b"12345"})
    guard = Guard(max_total_bytes=None, reserve_bytes=0, measure=lambda: Room(free_bytes=4))
    seen = await previewed(bench, {}, guard=guard)
    assert seen.problem is not None
    assert "5 bytes are still to be fetched" in seen.problem


async def test_nothing_is_written_for_a_subset(bench: Bench) -> None:
    array = (
        b'{"zarr_format":2,"shape":[30],"chunks":[10],"dtype":"|u1","compressor":null,"fill_value":0,'
        b'"order":"C","filters":null}'
    )
    bench.put({"p/.zarray": array, "p/0": b"1", "p/1": b"1", "p/2": b"1"})
    bench.entry = {"format": "zarr"}
    seen = await previewed(bench, {"crop": {"start": [0, 0, 10], "shape": [1, 1, 10]}})
    assert seen.hosts[0].unknown_sizes == 1
    assert not bench.documents._documents
