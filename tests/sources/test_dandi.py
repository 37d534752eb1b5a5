"""DANDI against its twin: whole runs, request counts, and each numbered trap of the archive's API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import emasync
from emasync.model.receipt import Receipt
from emasync.testing import Archive
from emasync.testing.dandi import DandiTwin
from emasync.testing.memory import MemoryStore

Start = Callable[..., Archive]
PUBLISHED = "0.210831.2033"
NWB = {
    "sub-1/sub-1_ses-a_ecephys.nwb": b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40,
    "sub-1/sub-1_ses-b_ecephys.nwb": b"\x89HDF\r\n\x1a\n" + bytes(range(255)) * 50,
    "sub-10/sub-10_ses-a_ophys.nwb": b"\x89HDF\r\n\x1a\n" + bytes(100),
}


def twin_of(files: dict[str, bytes], dandiset: str = "000027", **options: Any) -> DandiTwin:
    twin = DandiTwin(MemoryStore(buckets=("dandiarchive",)), **options)
    twin.version(dandiset)
    for path, data in files.items():
        twin.add_blob(dandiset, path, data)
    return twin


def described(url: str, **entry: Any) -> dict[str, Any]:
    mirrors = {"https://api.dandiarchive.org": url, "s3://dandiarchive": f"{url}/dandiarchive"}
    return {
        "version": 1,
        "mirrors": mirrors,
        "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
        "datasets": [{"id": "d", "source": "dandi", "dandiset": "000027", **entry}],
    }


def on_disk(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root / "d")): path.read_bytes() for path in (root / "d").rglob("*") if path.is_file()}


def asked(server: Archive) -> list[str]:
    return [f"{seen.path}?{seen.query}" if seen.query else seen.path for seen in server.requests]


def kept(root: Path, name: str) -> Any:
    return orjson.loads((root / "d.source-metadata" / "dandi" / name).read_bytes())


async def run(server: Archive, root: Path, **entry: Any) -> Receipt:
    return await emasync.arun(described(server.url, **entry), root=root)


@pytest.fixture
def serve(archive: Start) -> Callable[..., Archive]:
    def start(twin: DandiTwin, **options: Any) -> Archive:
        return archive(twin.store, apps=[twin], **options)

    return start


async def test_a_published_version_comes_byte_for_byte_and_is_not_asked_for_again(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", PUBLISHED)
    server = serve(twin)
    receipt = await run(server, tmp_path, version=PUBLISHED)
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == NWB
    assert receipt.datasets[0].verified.published == len(NWB), "by the SHA-256 of the archive"
    folder = f"dandiarchive/dandisets/000027/{PUBLISHED}"
    metadata = [path for path in asked(server) if "/blobs/" not in path]
    assert metadata == [f"{folder}/dandiset.jsonld", f"{folder}/assets.jsonld"]
    assert kept(tmp_path, "dandiset.json")["license"] == ["spdx:CC-BY-4.0"]
    assert [record["path"] for record in kept(tmp_path, "assets-00001.json")] == list(NWB)
    server.reset()
    assert (await run(server, tmp_path, version=PUBLISHED)).ok
    assert not server.requests


async def test_the_newest_version_costs_three_requests(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", "0.200101.0000")
    twin.publish("000027", PUBLISHED)
    server = serve(twin)
    assert (await run(server, tmp_path)).ok
    metadata = [path for path in asked(server) if "/blobs/" not in path]
    assert len(metadata) == 3
    assert metadata[0] == "api/dandisets/000027/"
    assert f"{PUBLISHED}/assets.jsonld" in metadata[2]
    assert kept(tmp_path, "resolved.json")["version"] == PUBLISHED
