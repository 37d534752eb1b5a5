"""Every fault of a public archive, through the whole program: identical bytes or a named error, never a hang.

Each run fetches a small object, a large one in ranges and one of unknown size that all meet the fault, and others
beside them that do not. ``once``: what a fault spoils once is mended. ``always``: it fails by name, nothing
unfinished shows under a final name, the others are complete, and the next run in good weather mends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

from emasync.api import RunOptions
from emasync.model.receipt import Receipt
from emasync.testing import Archive

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


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes
    ----------
    once : mapping
        Spoils the first requests; None where there is no such thing.
    always : mapping
        Spoils every request.
    kinds : mapping of str to str
        Failure by object (``small``, ``large``, ``unknown``) when it always happens; objects that are not
        there arrive all the same.
    sure : bool
        False: whether a fault is noticed depends on how its bytes fall into packets.
    """

    name: str
    always: Mapping[str, Any]
    kinds: Mapping[str, str] = field(default_factory=dict)
    once: Mapping[str, Any] | None = None
    sure: bool = True

    @property
    def heals(self) -> Mapping[str, Any]:
        return {**(self.always if self.once is None else self.once), "times": 1}


def everywhere(kind: str) -> dict[str, str]:
    return dict.fromkeys(("small", "large", "unknown"), kind)


CASES = [
    Case(
        "reset after some bytes",
        {"reset_after": 200_000},
        everywhere("transient"),  # a reset may take bytes with it that had arrived
        once={"reset_after": 2_000},
        sure=False,
    ),
    Case("reset before the first byte", {"reset_after": 0}, everywhere("transient")),
    Case("no answer but a reset", {"drop": True}, everywhere("transient")),
    Case("half-close after some bytes", {"close_after": 200_000}, once={"close_after": 2_000}),
    Case("half-close before the first byte", {"close_after": 0}, everywhere("transient")),
    Case("stall in the body", {"stall_after": 0}, everywhere("stalled"), once={"stall_after": 2_000}),
    Case("stall before the answer", {"delay_s": 30.0}, everywhere("stalled")),
    Case("drip", {"drip": 1000.0, "times": 3}),
    Case("500", {"status": 500}, everywhere("transient")),
    Case("503", {"status": 503}, everywhere("throttled")),
    Case("429 with seconds", {"status": 429, "retry_after": 1}, everywhere("throttled")),
    Case("429 with a date", {"status": 429, "retry_after_date_s": 1.0}, everywhere("throttled")),
    Case("200 instead of 206", {"ignore_range": True}),
    Case("wrong Content-Range", {"wrong_content_range": 7}, {"large": "refused", "unknown": "refused"}),
    Case("wrong total", {"wrong_total": 7}, {"large": "size_mismatch", "unknown": "refused"}),
    Case("unknown total", {"unknown_total": True}),
    Case("short body", {"short_body": 10_000}, everywhere("transient"), once={"short_body": 1_000}),
    Case("long body", {"long_body": 1_000}, everywhere("transient"), sure=False),
    Case("truncated, and says so", {"truncate": 100}, {**everywhere("refused"), "small": "size_mismatch"}),
    Case("error page", {"html_error": True}, everywhere("refused")),
    Case("gzip on a range", {"gzip_range": True}, {"large": "refused", "unknown": "refused"}),
    Case("gzip on a whole object", {"gzip_whole": True}),
    Case("redirect loop", {"redirect": "loop"}, everywhere("refused")),
    Case("404", {"missing": True}, everywhere("not_found")),
    Case("403", {"forbidden": True}, everywhere("access_denied")),
    Case("header flood", {"garbage_headers": 1000}, everywhere("transient")),
    Case("no length", {"no_length": True}),
    Case("chunks", {"chunked": True}),
]


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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_once(case: Case, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path) -> None:
    server = serve({"data/hit/*.bin": [case.heals], "data/web/*": [case.heals]})
    receipt = run_within(manifest(server.url), tmp_path)
    if case.name in FINAL_AT_ONCE:
        assert set(failures_by_object(receipt)) <= set(case.kinds)
        receipt = run_within(manifest(server.url), tmp_path)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert on_disk(tmp_path) == EXPECTED


FINAL_AT_ONCE = {"error page", "redirect loop", "404", "403", "truncated, and says so", "wrong Content-Range",
                 "wrong total", "gzip on a range"}  # fmt: skip
"""Answers that are statements: asking again at once would get the same. The next run asks again."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_always(case: Case, manifest: Describe, serve: Callable[..., Archive], tmp_path: Path) -> None:
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

OTHER = LARGE.translate(bytes(byte ^ 0xA5 for byte in range(256)))
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
        [{"times": 1}, *[{"change_etag_after": 0, "change": change, "times": 4} for change in ("content", "etag")] * 9],
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
