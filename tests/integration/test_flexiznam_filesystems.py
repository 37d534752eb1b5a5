"""Data roots on filesystems that are full, read-only or others than before, and a root that forgot its transfer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.flexiznam_rules import accept
from tests.integration.folders import files_below, run_within

from emasync import api
from emasync.errors import InputError, MachineError
from emasync.testing import Archive

SMALL = {f"data/{number:03d}.bin": bytes([number]) * 60_000 for number in range(60)}
LARGE = {"data/large.bin": bytes(range(256)) * 20_000}
PLACED = {f"p/m/brain/d/{path.removeprefix('data/')}": data for path, data in {**SMALL, **LARGE}.items()}
ABOVE_THE_GUARD = "1TB"
"""``max_total`` that takes the place of the guard on free space."""


class Mounts:
    """Filesystems in memory, of a size; needs the right to mount."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def make(self, folder: Path, options: str) -> Path:
        """Mount one; skips the test where that is not allowed."""
        folder.mkdir(parents=True)
        self._mount(folder, options)
        self._stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)
        return folder

    def _mount(self, folder: Path, options: str) -> None:
        program = shutil.which("mount")
        command = [program or "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if program is None or os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("may not mount filesystems here")

    def change(self, folder: Path, options: str) -> None:
        """Mount it again with other options."""
        self._mount(folder, f"remount,{options}")


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    with ExitStack() as stack:
        yield Mounts(stack)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem than the temporary one, where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a filesystem that is not the temporary folder's
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def server(archive: Callable[..., Archive]) -> Archive:
    return archive({**SMALL, **LARGE})


def manifest(server: Archive, folder: Path, raw: Path, processed: Path, **settings: Any) -> Path:
    """A manifest file (Any: settings)."""
    roots = {"raw": str(raw), "processed": str(processed)}
    layout = {"kind": "flexiznam", "project": "p", "mouse": "m", "sample": "brain", "data_root": roots}
    dataset = {"id": "d", "source": "bucket", "format": "raw", "url": f"{server.url}/data"}
    path = folder / "m.yaml"
    document = {"version": 1, "settings": settings, "layout": layout, "datasets": [dataset]}
    path.write_text(yaml.safe_dump(document))
    return path


def folders(*paths: Path) -> None:
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)


def finals(data_root: Path) -> dict[str, bytes]:
    """Files under their final names."""
    return {path: data for path, data in files_below(data_root).items() if not path.startswith(".emasync/")}


def unfinished(data_root: Path) -> list[str]:
    return [path for path in files_below(data_root) if path.startswith(".emasync/")]


def test_a_killed_run_goes_on_across_filesystems(server: Archive, elsewhere: Path, tmp_path: Path) -> None:
    raw, processed, root = elsewhere / "raw", tmp_path / "processed", tmp_path / "root"
    folders(raw, processed)
    path = manifest(server, tmp_path, raw, processed)
    command = [sys.executable, "-m", "emasync", "run", str(path), "--root", str(root), "--quiet", "--no-hooks"]
    size_bytes = sum(map(len, PLACED.values()))
    process = subprocess.Popen([*command, "--max-bandwidth", "8MB/s"])
    server.wait_until(lambda load: load.bytes_sent > size_bytes // 3, timeout_s=60)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert finals(raw).items() <= PLACED.items(), "what has its final name is whole"
    assert len(finals(raw)) < len(PLACED)
    sent_bytes = server.load.bytes_sent

    receipt = run_within(path, root)

    assert receipt.ok
    assert finals(raw) == PLACED
    assert unfinished(raw) == []
    assert server.load.bytes_sent - sent_bytes < size_bytes, "not all is fetched again"
    assert api.verify(root, full=True).ok
    accept(yaml.safe_load((root / "flexiznam/acquisitions/p/m/brain.yml").read_text()), {"raw": raw})


def test_a_full_data_root_stops_the_run_and_the_next_goes_on(server: Archive, mounts: Mounts, tmp_path: Path) -> None:
    raw, processed, root = mounts.make(tmp_path / "lab/raw", "size=3m"), tmp_path / "lab/processed", tmp_path / "root"
    folders(processed)
    careful = manifest(server, tmp_path, raw, processed)
    stopped = run_within(careful, root)
    assert stopped.exit_code == 4
    assert "kept in reserve" in str(stopped.stopped)
    assert finals(raw) == {}, "the guard looks at the data root, and not at the disk of the root"

    bold = manifest(server, tmp_path, raw, processed, max_total=ABOVE_THE_GUARD)
    stopped = run_within(bold, root)
    assert stopped.exit_code == 4
    assert str(raw) in str(stopped.stopped)
    assert finals(raw).items() <= PLACED.items()

    mounts.change(raw, "size=64m")
    assert run_within(bold, root).ok
    assert (finals(raw), unfinished(raw)) == (PLACED, [])


def test_a_data_root_that_cannot_be_written_is_told_before_the_transfer(
    server: Archive, mounts: Mounts, tmp_path: Path
) -> None:
    raw, processed = tmp_path / "lab/raw", mounts.make(tmp_path / "lab/processed", "ro")
    folders(raw)
    with pytest.raises(MachineError, match=r"processed/.emasync.*Read-only file system"):
        run_within(manifest(server, tmp_path, raw, processed), tmp_path / "root")
    assert server.requests == []
    assert finals(raw) == {}


def test_a_root_that_forgot_its_transfer_adopts_what_lies_outside(
    server: Archive, elsewhere: Path, tmp_path: Path
) -> None:
    raw, processed, root = elsewhere / "raw", tmp_path / "processed", tmp_path / "root"
    folders(raw, processed)
    path = manifest(server, tmp_path, raw, processed)
    assert run_within(path, root).ok
    before = {place: (raw / place).stat().st_ino for place in PLACED}
    shutil.rmtree(root / ".emasync")
    server.reset()

    receipt = run_within(path, root, options=api.RunOptions(adopt=True))

    assert receipt.ok
    assert {place: (raw / place).stat().st_ino for place in PLACED} == before
    assert [seen.path for seen in server.requests if seen.path.endswith(".bin")] == []
    assert api.verify(root, full=True).ok


def test_data_roots_that_were_moved_are_named_anew(server: Archive, elsewhere: Path, tmp_path: Path) -> None:
    """To another filesystem, with all that is in them; nothing is fetched, and all that asks later finds them."""
    raw, processed, root = tmp_path / "lab/raw", tmp_path / "lab/processed", tmp_path / "root"
    folders(raw, processed)
    assert run_within(manifest(server, tmp_path, raw, processed), root).ok
    new = elsewhere / "moved"
    shutil.move(raw, new)
    with pytest.raises(MachineError, match="a manifest that names its new place"):
        api.verify(root, full=True)
    server.reset()

    receipt = run_within(manifest(server, tmp_path, new, processed), root)

    assert receipt.ok
    assert server.requests == []
    assert api.verify(root, full=True).ok
    document = yaml.safe_load((root / "flexiznam/acquisitions/p/m/brain.yml").read_text())
    accept(document, {"raw": new, "processed": processed})
    folders(raw)
    with pytest.raises(InputError, match="nothing is moved"):
        run_within(manifest(server, tmp_path, raw, processed), root)
