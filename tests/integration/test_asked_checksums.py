"""Stores that keep checksums are asked for those of large objects: one HEAD each, where the policy says so."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

from emasync.engine.digests import hash_pieces
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.peers import MotoS3

PART = 1 << 18
LARGE = {f"large-{number}.bin": Random(number).randbytes(5 * PART + 99) for number in range(2)}
MIDDLE = {"middle.bin": bytes(PART - 1)}
SMALL = {f"small-{number}.bin": bytes([number]) * 100 for number in range(5)}
OBJECTS = {**LARGE, **MIDDLE, **SMALL}


def described(url: str, *, asks: bool, wire: bool = True) -> dict[str, Any]:
    policy = {"part_size": "256KiB", "asks_checksums": asks, "wire": wire, "max_attempts": 2, "hedge_share": 0}
    return {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": policy}},
        "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": url}],
    }


@pytest.fixture
def serve(archive: Callable[..., Archive]) -> Callable[..., Archive]:
    stored = {f"b/d/{name}": data for name, data in OBJECTS.items()}

    def start(checksum: str, **options: Any) -> Archive:
        return archive(stored, buckets={"b": BucketRules(checksum=checksum)}, **options)  # type: ignore[arg-type]  # one of them

    return start


def heads(server: Archive) -> list[str]:
    return sorted(seen.path.rpartition("/")[2] for seen in server.requests if seen.method == "HEAD")


@pytest.mark.parametrize("wire", [True, False], ids=["wire", "fallback"])
@pytest.mark.parametrize("checksum", ["crc32c", "crc64nvme"])
def test_one_request_for_each_large_object(
    checksum: str, wire: bool, serve: Callable[..., Archive], tmp_path: Path
) -> None:
    server = serve(checksum)
    receipt = run_within(described(f"{server.url}/b/d", asks=True, wire=wire), tmp_path)
    assert receipt.ok
    assert heads(server) == sorted(LARGE)
    assert sum("large" in seen.path and seen.range is not None for seen in server.requests) == 6 * len(LARGE)
    (dataset,) = receipt.datasets
    assert (dataset.verified.published, dataset.verified.computed) == (len(LARGE), len(MIDDLE) + len(SMALL))
    assert files_below(tmp_path / "d") == OBJECTS


def test_the_policy_may_say_that_nothing_is_asked(serve: Callable[..., Archive], tmp_path: Path) -> None:
    server = serve("crc32c")
    receipt = run_within(described(f"{server.url}/b/d", asks=False), tmp_path)
    assert heads(server) == []
    assert receipt.datasets[0].verified.published == 0


def test_bytes_that_are_not_those_of_the_store_are_dropped(serve: Callable[..., Archive], tmp_path: Path) -> None:
    """A change that neither tag nor date tells of: nothing else could have found it."""
    silent = {"change_etag_after": 0, "change": "silent", "method": "GET"}
    server = serve("crc64nvme", faults={"b/d/large-0.bin": [silent]})
    manifest = described(f"{server.url}/b/d", asks=True)
    receipt = run_within(manifest, tmp_path)
    assert [(str(failure.kind), failure.location[-11:]) for failure in receipt.failures] == [
        ("checksum_mismatch", "large-0.bin")
    ]
    assert set(files_below(tmp_path / "d")) == set(OBJECTS) - {"large-0.bin"}
    server.set_faults({})
    assert run_within(manifest, tmp_path).ok
    assert files_below(tmp_path / "d") == OBJECTS


def test_a_store_that_knows_no_head_costs_no_object(serve: Callable[..., Archive], tmp_path: Path) -> None:
    server = serve("crc32c", faults={"b/*": [{"method": "HEAD", "status": 405}]})
    receipt = run_within(described(f"{server.url}/b/d", asks=True), tmp_path)
    assert receipt.ok
    assert heads(server) == sorted(LARGE)
    assert receipt.datasets[0].verified.published == 0


def test_as_another_store_spells_it(moto_s3: MotoS3, tmp_path: Path) -> None:
    for name, data in LARGE.items():
        crc = base64.b64encode(bytes.fromhex(hash_pieces([data], ("crc32",))[1]["crc32"])).decode()
        fields = {"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": crc}
        moto_s3.put("asked", f"d/{name}", data, checksum=fields)
    receipt = run_within(described(f"{moto_s3.url}/asked/d", asks=True), tmp_path)
    assert receipt.ok
    assert receipt.datasets[0].verified.published == len(LARGE)
    assert files_below(tmp_path / "d") == LARGE
