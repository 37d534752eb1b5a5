"""Small objects that crawl: a byte now and then is no silence, and an object of a megabyte would take hours (law 7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emasync import api
from emasync.testing import Archive

DATA = bytes(range(200)) * 100
"""A small object: it travels in the express lane."""

HASTE = {"stall_timeout": "400ms", "first_byte_timeout": "5s", "crawl_rate": "2kB/s"}


@pytest.mark.parametrize("drip", [100.0, 40_000.0], ids=["crawls", "is slow"])
def test_a_small_object_that_crawls_is_asked_for_again(
    drip: float, archive: Callable[..., Archive], tmp_path: Path
) -> None:
    server = archive({"b/d/x.bin": DATA, "b/d/y.bin": DATA}, faults={"b/d/*": [{"drip": drip, "times": 1}]})
    manifest = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": HASTE}},
        "datasets": [{"id": "d", "source": "bucket", "url": f"{server.url}/b/d", "format": "raw"}],
    }
    receipt = api.run(manifest, root=tmp_path)
    assert receipt.failures == ()
    assert (tmp_path / "d" / "x.bin").read_bytes() == (tmp_path / "d" / "y.bin").read_bytes() == DATA
    asked = [seen.path for seen in server.requests if seen.path.endswith(".bin")]
    assert len(asked) == (4 if drip < 2_000 else 2)  # not the end of a drip of minutes, but another answer


def test_many_tiny_objects_over_a_slow_line_are_no_crawl(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """Five bytes in 50 ms are 100 B/s, but each object is there before anybody could call that a crawl."""
    objects = {f"b/d/{number:03d}": b"%05d" % number for number in range(40)}
    server = archive(objects, faults={"b/d/*": [{"drip": 100.0}]})
    manifest = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": {**HASTE, "stall_timeout": "250ms", "max_connections": 1}}},
        "datasets": [{"id": "d", "source": "bucket", "url": f"{server.url}/b/d", "format": "raw"}],
    }
    receipt = api.run(manifest, root=tmp_path)
    assert receipt.ok
    assert receipt.totals.retries == 0
