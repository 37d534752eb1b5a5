"""One tiny session from end to end: nginx, TLS, listings, the meter, the reports."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.contestants import missing_peers
from bench.transfer import main

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.skipif(
        shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None or shutil.which("openssl") is None,
        reason="the programs nginx and openssl are not installed",
    ),
]


@pytest.fixture
def place() -> Iterator[Path]:
    """A short one: nginx and the shared memory folder may be private to this test."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("shm", "disk"):
            (Path(folder) / name).mkdir()
        yield Path(folder)


def options(place: Path, *more: str) -> list[str]:
    return ["--shm", str(place / "shm"), "--disk", str(place / "disk"), "--out", str(place / "out"), *more]


def test_a_small_race_over_tls_is_held_checked_judged_and_cleared_away(place: Path) -> None:
    more = ["--case", "jpeg", "--scale", "0.06", "--rounds", "2", "--where", "tmpfs", "--tls"]
    results = main(options(place, *more, "--only", "emasync,curl,s5cmd"))
    [race] = results.races
    assert (race.objects, race.title) == (1200, "jpeg, TLS, tmpfs")  # two pages of listing
    expected = {"emasync"} | {"curl", "s5cmd"} - missing_peers().keys()
    assert {one.family for one in race.standings} == expected
    assert [one.problem for one in race.standings if one.problem] == []
    assert {len(one.runs) for one in race.standings} == {2}
    document = json.loads((place / "out" / "scaled.json").read_text())
    assert document["races"][0]["case"] == "jpeg"
    assert "## Targets" in (place / "out" / "scaled.md").read_text()
    assert not list((place / "shm").iterdir())
    assert not list((place / "disk").iterdir())


def test_slow_servers_are_raced_against_and_earlier_results_kept(place: Path) -> None:
    more = ["--case", "ebi", "--scale", "0.001", "--rounds", "1", "--only", "emasync n=8"]
    [race] = main(options(place, *more)).races
    assert [one.problem for one in race.standings] == [None]
    results = main(options(place, "--case", "startup", "--scale", "0.001", "--rounds", "1", "--add"))
    assert results.races == [race]
    assert results.figures["start_up_s"] > 0
