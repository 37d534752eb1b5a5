"""Runs again: what is asked again and what never, what changed, what vanished, what may be missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

import emasync as package
from emasync.errors import ErrorKind
from emasync.model.events import Event
from emasync.model.receipt import Receipt
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.dandi import DandiTwin
from emasync.testing.memory import MemoryStore

LATER_S = 1_760_000_000.0
AGAIN = package.RunOptions(refresh=True)

ARRAY = json.dumps(
    {
        "zarr_format": 2,
        "shape": [4, 10, 10],
        "chunks": [1, 10, 10],
        "dtype": "|u1",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
).encode()


class Bench:
    """A bucket, a root, and what was told."""

    def __init__(self, archive: Callable[..., Archive], folder: Path, **options: Any) -> None:
        self.store = MemoryStore(options.pop("objects", None))
        self.server = archive(self.store, **options)
        self.root = folder / "data"
        self.events: list[Event] = []

    def manifest(self, **entry: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {"s3://bucket": f"{self.server.url}/bucket"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "d", "source": "bucket", "url": "s3://bucket/d", **entry}],
        }

    def run(self, manifest: dict[str, Any], *, refresh: bool = False) -> Receipt:
        self.server.reset()
        self.events.clear()
        options = package.RunOptions(refresh=refresh)
        return run_within(manifest, self.root, options=options, on_event=self.events.append)

    @property
    def fetched(self) -> list[str]:
        """Objects that the last run got, whole."""
        return sorted(item.path for item in self.server.requests if item.status == 200 and not item.query)

    @property
    def warnings(self) -> list[str]:
        return [str(event.fields["message"]) for event in self.events if event.event == "warning"]


# --- refresh ---------------------------------------------------------------------------------------------------------


def test_a_refresh_fetches_what_changed_and_keeps_what_vanished(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    objects = {f"bucket/d/{name}": name.encode() * 200 for name in ("same", "grown", "touched", "gone")}
    bench = Bench(archive, tmp_path, objects=objects)
    assert bench.run(bench.manifest()).exit_code == 0
    bench.store.put("bucket/d/grown", b"grown" * 300)
    bench.store.put("bucket/d/touched", b"TOUCHED" * 200, modified_s=LATER_S)
    bench.store.put("bucket/d/new", b"new")
    bench.store.delete("bucket/d/gone")
    assert bench.run(bench.manifest()).exit_code == 0
    assert bench.server.requests == [], "a complete root asks nothing"
    receipt = bench.run(bench.manifest(), refresh=True)
    assert (receipt.exit_code, receipt.datasets[0].unwanted) == (0, 1)
    assert bench.fetched == ["bucket/d/grown", "bucket/d/new", "bucket/d/touched"]
    assert bench.warnings == ["1 files on disk are not at the source any more, or not wanted; they stay: d/gone"]
    assert files_below(bench.root / "d") == {
        "same": b"same" * 200,
        "grown": b"grown" * 300,
        "touched": b"TOUCHED" * 200,
        "new": b"new",
        "gone": b"gone" * 200,
    }
    assert bench.run(bench.manifest()).exit_code == 0
    assert bench.server.requests == []


def web(bench: Bench, *names: str, digests: bool = False) -> dict[str, Any]:
    files = [{"url": f"{bench.server.url}/bucket/d/{name}"} for name in names]
    for name, file in zip(names, files, strict=True):
        if digests and (found := bench.store.get(f"bucket/d/{name}")) is not None:
            file["sha256"] = hashlib.sha256(bytes(found.read(0, found.size_bytes))).hexdigest()
    return {"version": 1, "datasets": [{"id": "d", "source": "web", "files": files}]}


def test_plain_files_are_compared_by_one_byte_each(archive: Callable[..., Archive], tmp_path: Path) -> None:
    names = ("same", "other", "longer", "gone", "empty")
    bench = Bench(archive, tmp_path, objects={f"bucket/d/{name}": name.encode() * 200 for name in names[:-1]})
    bench.store.put("bucket/d/empty", b"")
    manifest = web(bench, *names)
    assert bench.run(manifest, refresh=True).exit_code == 0
    assert len(bench.server.requests) == 5, "a first run has nothing to compare"
    bench.store.put("bucket/d/other", b"OTHER" * 200)
    bench.store.put("bucket/d/longer", b"longer" * 400)
    bench.store.delete("bucket/d/gone")
    receipt = bench.run(manifest, refresh=True)
    assert receipt.exit_code == 0
    assert bench.fetched == ["bucket/d/longer", "bucket/d/other"]
    assert [item.range for item in bench.server.requests if item.range] == ["bytes=0-0"] * 5
    assert bench.warnings == ["gone is not at its place any more; what is on disk stays"]
    found = files_below(bench.root / "d")
    assert (found["other"], found["longer"], found["gone"]) == (b"OTHER" * 200, b"longer" * 400, b"gone" * 200)
    assert bench.run(manifest, refresh=True).exit_code == 0
    assert bench.fetched == [], "compared with what was asked the last time"


def test_what_cannot_change_is_not_asked_again(archive: Callable[..., Archive], tmp_path: Path) -> None:
    bench = Bench(archive, tmp_path, objects={"bucket/d/a": b"a" * 100, "bucket/d/b": b"b" * 100})
    manifest = web(bench, "a", "b", digests=True)
    assert bench.run(manifest).exit_code == 0
    assert bench.run(manifest, refresh=True).exit_code == 0
    assert bench.server.requests == []
    manifest["datasets"][0]["files"][1].pop("sha256")
    assert bench.run(manifest).exit_code == 0
    assert bench.run(manifest, refresh=True).exit_code == 0
    assert {item.path for item in bench.server.requests} == {"bucket/d/b"}


def test_a_published_version_is_not_asked_again_and_a_draft_is(archive: Callable[..., Archive], tmp_path: Path) -> None:
    store = MemoryStore()
    twin = DandiTwin(store)
    twin.add_blob("000001", "a.nwb", b"a" * 100)
    twin.publish("000001", "0.250101.1200")
    bench = Bench(archive, tmp_path)
    bench.server = archive(store, apps=[twin])
    mirrors = {
        "https://api.dandiarchive.org": bench.server.url,
        "s3://dandiarchive": f"{bench.server.url}/dandiarchive",
    }
    for version, asked in (("0.250101.1200", 0), ("draft", 2)):
        entry = {"id": version, "source": "dandi", "dandiset": "000001", "version": version}
        manifest = {"version": 1, "mirrors": mirrors, "datasets": [entry]}
        assert bench.run(manifest).exit_code == 0
        assert bench.run(manifest, refresh=True).exit_code == 0
        assert len(bench.server.requests) == asked


# --- allow_missing ---------------------------------------------------------------------------------------------------


def test_listed_objects_that_are_gone_may_be_missing(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """A listing may be older than the objects it names."""
    objects = {f"bucket/d/{name}": b"1" * 50 for name in ("a.bin", "b.bin", "c.json")}
    gone = {f"bucket/d/{name}": [{"status": 404}] for name in ("b.bin", "c.json")}
    bench = Bench(archive, tmp_path, objects=objects, faults=gone)
    receipt = bench.run(bench.manifest(allow_missing=["b.*"]))
    assert receipt.exit_code == 1
    assert [(item.kind, item.location) for item in receipt.failures] == [(ErrorKind.NOT_FOUND, "s3://bucket/d/c.json")]
    receipt = bench.run(bench.manifest(allow_missing=["*.bin", "c.json"]))
    assert receipt.exit_code == 0
    assert sorted(receipt.datasets[0].missing) == ["s3://bucket/d/b.bin", "s3://bucket/d/c.json"]
    assert (receipt.datasets[0].absent, receipt.datasets[0].objects) == (2, 1)
    noted = json.loads((bench.root / "receipt.json").read_bytes())["datasets"][0]
    assert sorted(noted["missing"]) == sorted(receipt.datasets[0].missing)


def grid(bench: Bench, **entry: Any) -> dict[str, Any]:
    crop = {"start": [0, 0, 0], "shape": [3, 10, 10]}
    return bench.manifest(url=f"{bench.server.url}/bucket/em.zarr", crop=crop, **entry)


@pytest.fixture
def lying(archive: Callable[..., Archive], tmp_path: Path) -> Bench:
    """An array whose server denies listings and unknown names: no 404 is a statement there."""
    objects = {"bucket/em.zarr/em/.zarray": ARRAY, "bucket/em.zarr/.zgroup": b'{"zarr_format": 2}'}
    objects |= {f"bucket/em.zarr/em/{z}/0/0": bytes([z + 1]) * 100 for z in range(4)}
    del objects["bucket/em.zarr/em/1/0/0"]
    rules = {"bucket": BucketRules(list_denied=True)}
    faults = {"bucket/em.zarr/emasync-probe-*": [{"status": 403}]}
    return Bench(archive, tmp_path, objects=objects, buckets=rules, faults=faults)


def test_chunks_of_a_grid_may_be_missing_and_are_counted(lying: Bench) -> None:
    receipt = lying.run(grid(lying, arrays=["em"]))
    assert receipt.exit_code == 1
    assert receipt.failures[0].kind is ErrorKind.NOT_FOUND
    receipt = lying.run(grid(lying, arrays=["em"], allow_missing=["em/**"]))
    assert receipt.exit_code == 0
    assert receipt.datasets[0].missing == (f"{lying.server.url}/bucket/em.zarr/em: 1 of 3 chunks",)


def test_assets_of_an_archive_may_be_missing(archive: Callable[..., Archive], tmp_path: Path) -> None:
    store = MemoryStore()
    twin = DandiTwin(store)
    kept = twin.add_blob("000001", "sub-1/a.nwb", b"a" * 100)
    lost = twin.add_blob("000001", "sub-2/b.nwb", b"b" * 100)
    assert kept.path < lost.path
    bench = Bench(archive, tmp_path)
    server = archive(store, apps=[twin], faults={"dandiarchive/blobs/*": [{"status": 404, "times": 100}]})
    bench.server = server
    manifest: dict[str, Any] = {
        "version": 1,
        "mirrors": {"https://api.dandiarchive.org": server.url, "s3://dandiarchive": f"{server.url}/dandiarchive"},
        "datasets": [{"id": "d", "source": "dandi", "dandiset": "000001", "version": "draft"}],
    }
    manifest["datasets"][0]["allow_missing"] = ["sub-2/*"]
    receipt = bench.run(manifest)
    assert receipt.exit_code == 1
    assert len(receipt.failures) == 1
    assert len(receipt.datasets[0].missing) == 1
