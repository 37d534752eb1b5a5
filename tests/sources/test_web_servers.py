"""Plain files through the whole program, from web servers as they are: paths on the wire, sizes, refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

import emasync
from emasync.errors import ErrorKind, ManifestError
from emasync.testing import Archive
from emasync.testing.messages import Answer, Asked, of_bytes

Start = Callable[..., Archive]
VOLUME = bytes(range(251)) * 4_000
"""Two ranges and a bit, of those that the manifests here ask for."""
POLICY = {"part_size": "400KiB", "max_attempts": 2, "first_byte_timeout": "2s", "give_up_after": "1s"}


@dataclass
class Wiretap:
    """Remembers paths as they are sent, and refuses HEAD as some servers do (405, RFC 9110, section 15.5.6)."""

    paths: list[str] = field(default_factory=list)
    methods: set[str] = field(default_factory=set)

    def answer(self, asked: Asked) -> Answer | None:
        self.paths.append(asked.path)
        self.methods.add(asked.method)
        return of_bytes(405, (("Allow", "GET"),), b"") if asked.method == "HEAD" else None


def described(*files: dict[str, Any], **more: Any) -> dict[str, Any]:
    dataset = {"id": "d", "source": "web", "files": list(files), **more}
    return {"version": 1, "settings": {"hosts": {"127.0.0.1": POLICY}}, "datasets": [dataset]}


def fetched(root: Path, *files: dict[str, Any], **more: Any) -> dict[str, bytes]:
    receipt = run_within(described(*files, **more), root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    return files_below(root / "d")


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "sent", "key"),
    [
        ("/%20Electron/a.tif", "/%20Electron/a.tif", " Electron/a.tif"),
        ("/ Electron/a.tif", "/%20Electron/a.tif", " Electron/a.tif"),  # as pages hold it, see epfl.md trap 2
        ("/%2520Electron/a.tif", "/%2520Electron/a.tif", "%20Electron/a.tif"),
        ("/a%2Fb/a.tif", "/a%2Fb/a.tif", "a/b/a.tif"),
        ("/%7euser/a.tif", "/%7euser/a.tif", "~user/a.tif"),
        ("/ä/a.tif", "/%C3%A4/a.tif", "ä/a.tif"),
        ("/x//a.tif", "/x//a.tif", "x//a.tif"),
    ],
)
def test_escapes_go_over_the_wire_as_they_are_written(
    archive: Start, tmp_path: Path, written: str, sent: str, key: str
) -> None:
    """Neither stripped, nor normalised, nor escaped twice; what lies on disk has its decoded name."""
    tap = Wiretap()
    server = archive({key: b"1"}, apps=[tap])
    assert fetched(tmp_path, {"url": server.url + written}) == {"a.tif": b"1"}
    assert set(tap.paths) == {sent}


def test_an_escaped_name_is_decoded_once_on_disk(archive: Start, tmp_path: Path) -> None:
    tap = Wiretap()
    server = archive({"x/100%25 of it.tif": b"1"}, apps=[tap])
    assert fetched(tmp_path, {"url": f"{server.url}/x/100%2525%20of%20it.tif"}) == {"100%25 of it.tif": b"1"}
    assert tap.paths == ["/x/100%2525%20of%20it.tif"]


def test_a_range_in_a_template_stands_for_all_of_its_files(archive: Start, tmp_path: Path) -> None:
    stored = {f"s/run%20{run}/s_{z:04d}.dm3": f"{run}{z}".encode() for run in "ab" for z in range(9, 12)}
    tap = Wiretap()
    server = archive({path.replace("%20", " "): data for path, data in stored.items()}, apps=[tap])
    url = f"{server.url}/s/run%20{{run}}/s_{{z:04d}}.dm3"
    found = fetched(tmp_path, {"url": url, "z": "9..11", "run": ["a", "b"], "path": "{run}/{z:04d}.dm3"})
    assert found == {f"{run}/{z:04d}.dm3": f"{run}{z}".encode() for run in "ab" for z in range(9, 12)}
    assert sorted(tap.paths) == sorted(f"/{path}" for path in stored)


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server_does",
    [
        {},
        {"ignore_range": True},
        {"no_length": True},
        {"chunked": True},
        {"ignore_range": True, "no_length": True},
        {"ignore_range": True, "chunked": True},
        {"unknown_total": True},
        {"unknown_total": True, "chunked": True},
    ],
    ids=[
        "ranges",
        "no ranges",
        "no length",
        "chunks",
        "neither ranges nor length",
        "chunks and no ranges",
        "ranges of an untold whole",
        "ranges of an untold whole, in chunks",
    ],
)
@pytest.mark.parametrize("told", [{}, {"size": len(VOLUME)}], ids=["size unknown", "size known"])
def test_a_file_comes_whole_and_nobody_asks_for_its_head(
    archive: Start, tmp_path: Path, server_does: dict[str, bool], told: dict[str, int]
) -> None:
    """The first range tells the size: HEAD is refused here, and may be wrong elsewhere."""
    tap = Wiretap()
    server = archive({"x/v.tif": VOLUME}, apps=[tap], faults={"x/*": [server_does]} if server_does else None)
    md5 = hashlib.md5(VOLUME, usedforsecurity=False).hexdigest()
    assert fetched(tmp_path, {"url": f"{server.url}/x/v.tif", "md5": md5, **told}) == {"v.tif": VOLUME}
    assert tap.methods == {"GET"}


def test_a_first_range_that_tells_the_size_is_no_request_too_many(archive: Start, tmp_path: Path) -> None:
    server = archive({"x/v.tif": VOLUME})
    assert fetched(tmp_path, {"url": f"{server.url}/x/v.tif"}) == {"v.tif": VOLUME}
    assert len(server.requests) == -(-len(VOLUME) // (400 << 10)), [seen.range for seen in server.requests]


def test_a_plan_says_that_sizes_are_open(archive: Start) -> None:
    server = archive({"x/v.tif": VOLUME})
    files: list[dict[str, Any]] = [{"url": f"{server.url}/x/v.tif"}, {"url": f"{server.url}/x/w.tif", "size": 7}]
    with emasync.plan(described(*files)) as found:
        (dataset,) = found.preview.datasets
    assert (dataset.objects, dataset.bytes) == (2, 7)
    assert server.requests == [], "nothing is asked of the network"


# --- what is not there, what is something else ------------------------------------------------------------------------


def test_a_file_that_may_be_missing_is_noted_and_one_that_may_not_fails(archive: Start, tmp_path: Path) -> None:
    server = archive({"x/a_0.tif": b"0", "x/a_2.tif": b"2", "x/b_0.tif": b"3"})
    files = [{"url": f"{server.url}/x/a_{{z}}.tif", "z": "0..2"}, {"url": f"{server.url}/x/b_{{z}}.tif", "z": "0..1"}]
    receipt = run_within(described(*files, allow_missing=["a_*"]), tmp_path)
    (failure,) = receipt.failures
    assert (receipt.exit_code, failure.kind) == (1, ErrorKind.NOT_FOUND)
    assert failure.location == f"{server.url}/x/b_1.tif"
    assert files_below(tmp_path / "d") == {"a_0.tif": b"0", "a_2.tif": b"2", "b_0.tif": b"3"}
    assert receipt.datasets[0].absent == 1, "noted"
    receipt = run_within(described(*files, allow_missing=["*"]), tmp_path)
    assert (receipt.exit_code, receipt.failures) == (0, ())


@pytest.mark.parametrize("told", [{}, {"size": 40}], ids=["size unknown", "size known"])
def test_a_page_in_place_of_a_file_is_refused_though_it_says_200(
    archive: Start, tmp_path: Path, told: dict[str, int]
) -> None:
    server = archive({"x/v.tif": b"II*\0" * 10}, faults={"x/*": [{"html_error": True}]})
    receipt = run_within(described({"url": f"{server.url}/x/v.tif", **told}), tmp_path)
    (failure,) = receipt.failures
    assert (receipt.exit_code, failure.kind, failure.location) == (1, ErrorKind.REFUSED, f"{server.url}/x/v.tif")
    assert "open the URL in a browser" in failure.message
    assert files_below(tmp_path / "d") == {}


def test_a_url_that_is_listed_twice_is_refused_before_anything_is_asked(archive: Start, tmp_path: Path) -> None:
    server = archive({"x/v.tif": b"1"})
    with pytest.raises(ManifestError, match=r"files\[1\]\.url: goes to the same path as files\[0\]"):
        run_within(described({"url": f"{server.url}/x/v.tif"}, {"url": f"{server.url}/x/v.tif"}), tmp_path)
    assert server.requests == []


def test_files_of_this_machine_come_under_their_decoded_names(tmp_path: Path) -> None:
    served = {"a.bin": b"1" * 5, "with space.bin": VOLUME}
    (tmp_path / "there").mkdir()
    for name, data in served.items():
        (tmp_path / "there" / name).write_bytes(data)
    urls = [f"file://{tmp_path}/there/{name.replace(' ', '%20')}" for name in served]
    dataset = {"id": "d", "source": "web", "files": [{"url": url} for url in urls]}

    receipt = run_within({"version": 1, "datasets": [dataset]}, tmp_path / "root")

    assert receipt.failures == ()
    assert files_below(tmp_path / "root/d") == served
