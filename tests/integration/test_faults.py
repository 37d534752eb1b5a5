"""Every fault of a public archive, through the whole program: identical bytes or a named error, never a hang.

Each run fetches a small object, a large one in ranges and one of unknown size that all meet the fault, and others
beside them that do not. ``once``: what a fault spoils once is mended. ``always``: it fails by name, nothing
unfinished shows under a final name, the others are complete, and the next run in good weather mends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

from emasync.api import RunOptions
from emasync.model.receipt import Receipt
from emasync.testing import Archive
from emasync.testing.alteration import other_bytes
from emasync.testing.selftest.bad_days import BAD_DAYS, BadDay

SMALL = bytes(range(250)) * 20
LARGE = bytes(range(251)) * 5500
"""More than what counts as small, in ranges of 256 KiB."""
UNKNOWN = bytes(range(241)) * 2000

CALM = {"calm/a.bin": b"a" * 5000, "calm/folder/b.bin": b"b" * 70_000}
HIT = {"hit/small.bin": SMALL, "hit/large.bin": LARGE}

POLICY = {
    "part_size": "256KiB",
    "stall_timeout": "400ms",
    "connect_timeout": "500ms",
    "first_byte_timeout": "500ms",
    "crawl_rate": "2kB/s",
    "max_attempts": 2,
    "give_up_after": "3s",
}


Describe = Callable[[str], dict[str, Any]]


@pytest.fixture(params=[True, False], ids=["wire", "fallback"])
def manifest(request: pytest.FixtureRequest) -> Describe:
    """Manifest over the server at a URL, asked over this package's own client or over aiohttp."""

    def describe(url: str) -> dict[str, Any]:
        return {
            "version": 1,
            "settings": {"hosts": {"127.0.0.1": POLICY | {"wire": request.param}}},
            "datasets": [
                {"id": "listed", "source": "bucket", "url": f"{url}/data/hit"},
                {"id": "named", "source": "web", "files": [{"url": f"{url}/data/web/unknown.bin"}]},
                {"id": "calm", "source": "bucket", "url": f"{url}/data/calm"},
            ],
        }

    return describe


EXPECTED = {
    "listed": {"small.bin": SMALL, "large.bin": LARGE},
    "named": {"unknown.bin": UNKNOWN},
    "calm": {"a.bin": CALM["calm/a.bin"], "folder/b.bin": CALM["calm/folder/b.bin"]},
}


@pytest.fixture
def serve(archive: Callable[..., Archive]) -> Callable[[Mapping[str, Any]], Archive]:
    objects = {f"data/{path}": data for path, data in {**HIT, **CALM, "web/unknown.bin": UNKNOWN}.items()}

    def start(faults: Mapping[str, Any]) -> Archive:
        return archive(objects, faults=faults)

    return start


def on_disk(root: Path) -> dict[str, dict[str, bytes]]:
    return {dataset: files_below(root / dataset) for dataset in EXPECTED}


def without(names: set[str]) -> dict[str, dict[str, bytes]]:
    return {
        dataset: {path: data for path, data in files.items() if path.split(".")[0] not in names}
        for dataset, files in EXPECTED.items()
    }


def failures_by_object(receipt: Receipt) -> dict[str, str]:
    return {failure.location.rpartition("/")[2].split(".")[0]: str(failure.kind) for failure in receipt.failures}


@pytest.mark.parametrize("case", BAD_DAYS, ids=lambda case: case.name)
def test_once(case: BadDay, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path) -> None:
    server = serve({"data/hit/*.bin": [case.heals], "data/web/*": [case.heals]})
    receipt = run_within(manifest(server.url), tmp_path)
    if case.final:
        assert set(failures_by_object(receipt)) <= set(case.kinds)
        receipt = run_within(manifest(server.url), tmp_path)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert on_disk(tmp_path) == EXPECTED


@pytest.mark.parametrize("case", BAD_DAYS, ids=lambda case: case.name)
def test_always(case: BadDay, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path) -> None:
    server = serve({"data/hit/*.bin": [case.always], "data/web/*": [case.always]})
    receipt = run_within(manifest(server.url), tmp_path)
    failed = failures_by_object(receipt)
    assert failed.items() <= case.kinds.items() if not case.sure else failed == case.kinds
    assert receipt.exit_code == (1 if failed else 0)
    assert on_disk(tmp_path) == without(set(failed))
    for failure in receipt.failures:
        assert failure.location in failure.message

    server.set_faults({})
    again = run_within(manifest(server.url), tmp_path)
    assert again.failures == ()
    assert again.exit_code == 0
    assert on_disk(tmp_path) == EXPECTED


# --- objects that turn into others --------------------------------------------------------------------------------

OTHER = other_bytes(LARGE)
"""What the archive makes of a changed object."""


@dataclass(frozen=True)
class Change:
    """A change in the middle of a large object, and how that ends."""

    name: str
    faults: list[Mapping[str, Any]]
    kind: str | None = None
    data: bytes = LARGE


CHANGES = [
    Change("another object of the same size", [{"change_etag_after": 1, "change": "content"}], data=OTHER),
    Change("another size", [{"change_etag_after": 1, "change": "size"}], "size_mismatch"),
    Change("another tag for the same bytes", [{"change_etag_after": 1, "change": "etag"}]),
    Change("replicas with tags of their own", [{"change_etag_after": 1, "change": "flapping"}]),
    Change(
        "at every look",
        [
            {"times": 1},
            *[{"change_etag_after": 0, "change": change, "times": 4} for change in ("content", "etag")] * 60,
        ],
        "source_changed",
    ),
]


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.name)
def test_change_in_mid_file(case: Change, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path) -> None:
    server = serve({"data/hit/large.bin": case.faults})
    receipt = run_within(manifest(server.url), tmp_path)
    assert failures_by_object(receipt) == ({} if case.kind is None else {"large": case.kind})
    expected = {
        **EXPECTED,
        "listed": {"small.bin": SMALL} if case.kind else {"small.bin": SMALL, "large.bin": case.data},
    }
    assert on_disk(tmp_path) == expected
    assert receipt.exit_code == (1 if case.kind else 0)

    server.set_faults({})
    options = RunOptions(refresh=True)
    again = run_within(manifest(server.url), tmp_path, options=options)
    assert again.exit_code == 0
    assert on_disk(tmp_path)["listed"].keys() == EXPECTED["listed"].keys()


@pytest.mark.parametrize("size", [None, len(LARGE)], ids=["size unknown", "size known"])
def test_a_silent_change_is_caught_by_a_published_digest(
    size: int | None, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path
) -> None:
    server = serve({"data/hit/large.bin": [{"change_etag_after": 1, "change": "silent"}]})
    digest = hashlib.md5(LARGE, usedforsecurity=False).hexdigest()
    file = {"url": f"{server.url}/data/hit/large.bin", "md5": digest, **({} if size is None else {"size": size})}
    described = {**manifest(server.url), "datasets": [{"id": "listed", "source": "web", "files": [file]}]}
    receipt = run_within(described, tmp_path)
    assert failures_by_object(receipt) == {"large": "checksum_mismatch"}
    assert digest in receipt.failures[0].message
    assert files_below(tmp_path / "listed") == {}

    server.set_faults({})
    assert run_within(described, tmp_path).exit_code == 0
    assert files_below(tmp_path / "listed") == {"large.bin": LARGE}


# --- listings -----------------------------------------------------------------------------------------------------

LISTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "reset": ({"reset_after": 50}, "transient"),
    "hang-up": ({"drop": True}, "transient"),
    "stall": ({"stall_after": 50}, "stalled"),
    "500": ({"status": 500}, "transient"),
    "429": ({"status": 429, "retry_after": 1}, "throttled"),
    "short": ({"short_body": 20}, "transient"),
    "header flood": ({"garbage_headers": 1000}, "transient"),
}


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("often", ["once", "always"])
def test_listing(name: str, often: str, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path) -> None:
    fault, kind = LISTINGS[name]
    server = serve({"list:data": [{**fault, "times": 1} if often == "once" else fault]})
    receipt = run_within(manifest(server.url), tmp_path)
    if often == "once":
        assert receipt.failures == ()
        assert on_disk(tmp_path) == EXPECTED
        return
    assert receipt.exit_code == 1
    assert {dataset.id: dataset.status for dataset in receipt.datasets} == {
        "listed": "failed",
        "named": "complete",
        "calm": "failed",
    }
    assert {str(failure.kind) for failure in receipt.failures} == {kind}
    assert on_disk(tmp_path) == {"listed": {}, "named": EXPECTED["named"], "calm": {}}

    server.set_faults({})
    assert run_within(manifest(server.url), tmp_path).exit_code == 0
    assert on_disk(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"html_error": True}, "refused"),
        ({"body": "<ListBucketResult><Contents><Key>hit/x", "headers": {"Content-Type": "application/xml"}}, "refused"),
        ({"forbidden": True}, "access_denied"),
        ({"redirect": "loop"}, "refused"),
    ],
    ids=["error page", "broken XML", "403", "redirect loop"],
)
def test_listing_that_is_none(
    fault: Mapping[str, Any], kind: str, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path
) -> None:
    server = serve({"list:data": [fault]})
    receipt = run_within(manifest(server.url), tmp_path)
    assert receipt.exit_code == 1
    assert {failure.kind for failure in receipt.failures} == {kind}, receipt.failures
    assert on_disk(tmp_path)["named"] == EXPECTED["named"]
    assert on_disk(tmp_path)["calm"] == {}
