"""Files that change, vanish or move after a run: found, told, and mended by fetching no more than what is bad."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within
from typer.testing import CliRunner

import emasync
from emasync import api
from emasync.cli.main import app
from emasync.errors import InputError
from emasync.testing import Archive

PART = 256 << 10
LARGE = random.Random(1).randbytes(9 * PART + 100)
SMALL = {f"small/{number:03}.bin": random.Random(number).randbytes(1000 + number) for number in range(130)}
OBJECTS = {**{f"data/{path}": data for path, data in SMALL.items()}, "data/large.bin": LARGE}
LONG_AGO = 1_000_000_000


@pytest.fixture
def place(archive: Callable[..., Archive], tmp_path: Path) -> tuple[Archive, Path, Path]:
    """A server, the manifest of what it has, and a root where all of it lies."""
    server = archive(OBJECTS)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        f"""
version: 1
settings: {{hosts: {{127.0.0.1: {{part_size: {PART}}}}}}}
datasets:
  - {{id: d, source: bucket, format: raw, url: "{server.url}/data"}}
"""
    )
    root = tmp_path / "root"
    assert run_within(manifest, root).ok
    server.reset()
    return server, manifest, root


def data_requests(server: Archive) -> list[Any]:
    return [request for request in server.requests if "list-type" not in request.path]


def flip(path: Path, offset: int, *, keep_time: bool = True) -> None:
    """Turn one bit of a file round, as a disk does: no time tells."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 4]))
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_root_as_it_was_left_is_good_and_nobody_is_asked(place: tuple[Archive, Path, Path]) -> None:
    server, _, root = place
    quick, full = emasync.verify(root), emasync.verify(root, full=True)
    assert quick.ok
    assert full.ok
    assert [dataset.objects for dataset in full.datasets] == [len(OBJECTS)]
    assert full.datasets[0].read_bytes == full.datasets[0].size_bytes == sum(map(len, OBJECTS.values()))
    assert 0 < quick.datasets[0].read_bytes < full.datasets[0].read_bytes / 5
    assert list(server.requests) == []


def test_one_flipped_bit_costs_one_part(place: tuple[Archive, Path, Path]) -> None:
    server, _, root = place
    flip(root / "d/large.bin", 5 * PART + 17)
    report = emasync.verify(root, full=True)
    assert not report.ok
    (flaw,) = report.datasets[0].flaws
    assert (flaw.path, flaw.kind) == ("d/large.bin", "bytes")
    assert f"byte {5 * PART}" in flaw.message
    assert (root / "d/large.bin").read_bytes() != LARGE

    mended = emasync.verify(root, full=True, repair=True)
    assert mended.ok
    assert mended.reopened == 1
    (request,) = data_requests(server)
    assert request.headers["range"] == f"bytes={5 * PART}-{6 * PART - 1}"
    assert files_below(root / "d") == {path.removeprefix("data/"): data for path, data in OBJECTS.items()}
    assert emasync.verify(root, full=True).datasets[0].flawed == 0


def test_all_that_can_be_wrong_is_told_and_mended(place: tuple[Archive, Path, Path]) -> None:
    server, _, root = place
    (root / "d/small/003.bin").unlink()
    (root / "d/small/004.bin").write_bytes(b"short")
    flip(root / "d/small/005.bin", 10)
    (root / "d/small/006.bin").unlink()
    (root / "d/small/006.bin").symlink_to("007.bin")
    report = emasync.verify(root, full=True)
    assert {flaw.path[-7:-4]: flaw.kind for flaw in report.datasets[0].flaws} == {
        "003": "missing",
        "004": "size",
        "005": "bytes",
        "006": "missing",
    }
    mended = emasync.verify(root, full=True, repair=True)
    (failure,) = mended.receipts[0].failures  # a link that somebody made is not ours to remove
    assert failure.location.endswith("006.bin")
    assert not mended.ok
    assert {request.path[-7:-4] for request in data_requests(server)} == {"003", "004", "005", "006"}

    (root / "d/small/006.bin").unlink()
    assert emasync.run(root.parent / "manifest.yaml", root=root).ok
    assert emasync.verify(root, full=True).ok
    assert files_below(root / "d") == {path.removeprefix("data/"): data for path, data in OBJECTS.items()}


def test_a_quick_look_reads_what_was_changed_between_runs(place: tuple[Archive, Path, Path]) -> None:
    server, _, root = place
    changed = root / "d/small/100.bin"
    flip(changed, 3)
    os.utime(changed, (LONG_AGO, LONG_AGO))
    report = emasync.verify(root)
    assert [flaw.path for flaw in report.datasets[0].flaws] == ["d/small/100.bin"]
    assert emasync.verify(root, repair=True).ok
    assert changed.read_bytes() == SMALL["small/100.bin"]
    assert len(data_requests(server)) == 1


def test_a_copied_root_is_read_once_and_not_fetched(place: tuple[Archive, Path, Path], tmp_path: Path) -> None:
    server, manifest, root = place
    copied = tmp_path / "copy"
    shutil.copytree(root, copied)
    for path in copied.rglob("*.bin"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    first, second = emasync.verify(copied), emasync.verify(copied)
    assert first.datasets[0].read_bytes == first.datasets[0].size_bytes
    assert second.datasets[0].read_bytes < first.datasets[0].read_bytes / 5
    assert run_within(manifest, copied).ok
    assert list(server.requests) == []


def test_without_its_manifest_a_repair_says_what_to_do(place: tuple[Archive, Path, Path]) -> None:
    _, manifest, root = place
    flip(root / "d/large.bin", 0)
    elsewhere = manifest.rename(manifest.with_name("moved.yaml"))
    done = CliRunner().invoke(app, ["verify", str(root), "--full", "--repair"])
    assert done.exit_code == 1
    assert "d: its manifest is not where it was" in done.stdout
    assert run_within(elsewhere, root).ok
    assert (root / "d/large.bin").read_bytes() == LARGE


def test_a_repair_that_was_stopped_in_the_middle_is_mended_by_the_next_run(
    place: tuple[Archive, Path, Path],
) -> None:
    _, manifest, root = place
    flip(root / "d/large.bin", 0)

    manifest.rename(manifest.with_name("for a moment elsewhere"))
    assert not emasync.verify(root, full=True, repair=True).ok
    manifest.with_name("for a moment elsewhere").rename(manifest)
    assert not (root / "d/large.bin").exists()
    assert run_within(manifest, root).ok
    assert (root / "d/large.bin").read_bytes() == LARGE


def test_wrong_roots(tmp_path: Path, place: tuple[Archive, Path, Path]) -> None:
    with pytest.raises(InputError, match="holds no emasync state"):
        emasync.verify(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(InputError, match="no dataset x"):
        emasync.verify(place[2], only=["x"])


def test_the_command(place: tuple[Archive, Path, Path]) -> None:
    root = place[2]
    done = CliRunner().invoke(app, ["verify", str(root), "--full"])
    assert (done.exit_code, done.stdout) == (0, "d: 131 objects, 2.5 MB, 2.5 MB of them read: all good\n")
    flip(root / "d/small/001.bin", 0)
    done = CliRunner().invoke(app, ["verify", str(root), "--full"])
    assert done.exit_code == 1
    assert "1 BAD" in done.stdout
    assert "bytes: d/small/001.bin has other bytes" in done.stdout
    assert "--repair" in done.stdout
    assert api.status(root)["datasets"]
