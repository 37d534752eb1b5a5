"""What tests of DANDI share: a twin with content, a manifest entry for it, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

import emasync
from emasync.model.receipt import Receipt
from emasync.testing import Archive
from emasync.testing.dandi import DandiTwin
from emasync.testing.memory import MemoryStore

PUBLISHED = "0.210831.2033"


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


def on_disk(root: Path, dataset: str = "d") -> dict[str, bytes]:
    folder = root / dataset
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(server: Archive) -> list[str]:
    return [f"{seen.path}?{seen.query}" if seen.query else seen.path for seen in server.requests]


def kept(root: Path, name: str) -> Any:
    return orjson.loads((root / "d.source-metadata" / "dandi" / name).read_bytes())


async def run(server: Archive, root: Path, **entry: Any) -> Receipt:
    return await emasync.arun(described(server.url, **entry), root=root)
