"""A server that sends the bytes of another place and denies it is found out by digests alone, in all ways."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.folders import files_below, run_within

from emasync.testing import Archive
from emasync.testing.selftest.bad_days import Shape
from emasync.testing.selftest.matrix import OPTIONS, Way
from emasync.testing.selftest.stage import EXPECTED, POLICY

SHAPES: Final[tuple[Shape, ...]] = ("small", "ranged")


@pytest.mark.parametrize("way", ["wire", "fallback", "processes"])
def test_a_digest_tells(way: Way, archive: Callable[..., Archive], tmp_path: Path) -> None:
    objects = {name: data for shape in SHAPES for name, data in EXPECTED[shape].items()}
    server = archive({f"b/{name}": data for name, data in objects.items()}, faults={"b/*": [{"shift": 1_000}]})
    manifest: dict[str, Any] = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": {**POLICY, "wire": way != "fallback"}}},
        "datasets": [{"id": "d", "source": "web", "files": [file(server.url, *item) for item in objects.items()]}],
    }
    receipt = run_within(manifest, tmp_path, options=OPTIONS[way])
    assert {str(failure.kind) for failure in receipt.failures} == {"checksum_mismatch"}
    assert files_below(tmp_path / "d") == {}

    server.set_faults({})
    assert run_within(manifest, tmp_path, options=OPTIONS[way]).ok
    assert files_below(tmp_path / "d") == objects


def file(url: str, name: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return {"url": f"{url}/b/{name}", "md5": digest, "size": len(data)}
