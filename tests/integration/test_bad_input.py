"""Bad input and bad days: a named error that says what to do; nothing complete is lost, nothing unfinished shows."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within
from typing_extensions import Buffer

from emasync.api import RunOptions
from emasync.disk.faults import translate
from emasync.disk.sink import LocalSink
from emasync.disk.system import System
from emasync.errors import ErrorKind, InputError, MachineError, ManifestError
from emasync.ledger.lock import RootLock
from emasync.model.clock import SystemClock
from emasync.testing import Archive

SMALL = {f"{number:02d}.bin": bytes([number]) * (3000 + number) for number in range(12)}
LARGE = bytes(range(256)) * 12_000
EXPECTED = {**SMALL, "large.bin": LARGE}

POLICY = {"part_size": "256KiB", "max_attempts": 2, "connect_timeout": "1s", "give_up_after": "1s"}


def described(*datasets: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "settings": {"hosts": {"127.0.0.1": POLICY}}, "datasets": list(datasets), **more}


def files(url: str, name: str = "files", **more: Any) -> dict[str, Any]:
    listed = [{"url": f"{url}/b/{path}", "size": len(data), **more} for path, data in EXPECTED.items()]
    return {"id": name, "source": "web", "files": listed}


@pytest.fixture
def server(archive: Callable[..., Archive]) -> Archive:
    return archive({f"b/{path}": data for path, data in EXPECTED.items()})


# --- the manifest -------------------------------------------------------------------------------------------------


def test_unknown_keys_have_positions(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\ndatasets:\n  - id: a\n    source: web\n    file: []\n    files: [{url: 'ftp:/x'}]\n")
    with pytest.raises(ManifestError) as caught:
        run_within(path, tmp_path / "data")
    assert f"{path}:5:5: datasets[0].file" in caught.value.message
    assert "datasets[0].files[0].url" in caught.value.message
    assert not (tmp_path / "data").exists()


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml.*No such file"):
        run_within(tmp_path / "none.yaml", tmp_path / "data")


# --- the network --------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_dead_host_is_named_and_the_others_go_on(closed_port: int, server: Archive, tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{closed_port}"
    told: list[str] = []
    receipt = run_within(
        described(files(dead, "dead"), files(server.url)), tmp_path, on_event=lambda event: told.append(event.event)
    )
    assert receipt.exit_code == 1
    assert {dataset.id: dataset.status for dataset in receipt.datasets} == {"dead": "failed", "files": "complete"}
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.UNREACHABLE
    assert str(closed_port) in failure.message
    assert "failed" in told
    assert files_below(tmp_path / "files") == EXPECTED


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    host = "nobody.invalid"
    policy = {"settings": {"hosts": {host: POLICY}}}
    entry = {"id": "a", "source": "web", "files": [{"url": f"http://{host}/x.bin"}]}
    receipt = run_within({**described(entry), **policy}, tmp_path)
    (failure,) = receipt.failures
    assert (receipt.exit_code, failure.kind) == (1, ErrorKind.UNREACHABLE)
    assert host in failure.message


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ({"missing": True}, ErrorKind.NOT_FOUND, "404"),
        ({"forbidden": True}, ErrorKind.ACCESS_DENIED, "without credentials"),
        ({"status": 410}, ErrorKind.NOT_FOUND, "410"),
    ],
)
def test_refusals_are_named(fault: dict[str, Any], kind: ErrorKind, says: str, server: Archive, tmp_path: Path) -> None:
    server.set_faults({"b/03.bin": [fault], "b/large.bin": [fault]})
    receipt = run_within(described(files(server.url)), tmp_path)
    assert receipt.exit_code == 1
    assert {failure.location: failure.kind for failure in receipt.failures} == {
        f"{server.url}/b/03.bin": kind,
        f"{server.url}/b/large.bin": kind,
    }
    for failure in receipt.failures:
        assert failure.location in failure.message
        assert says in failure.message
    assert files_below(tmp_path / "files") == {
        path: data for path, data in EXPECTED.items() if path not in ("03.bin", "large.bin")
    }
    server.set_faults({})
    server.reset()
    assert run_within(described(files(server.url)), tmp_path).exit_code == 0
    assert {seen.path for seen in server.requests} == {"b/03.bin", "b/large.bin"}
    assert files_below(tmp_path / "files") == EXPECTED


def test_a_wrong_checksum_fails_its_object_only(server: Archive, tmp_path: Path) -> None:
    wrong = {"id": "wrong", "source": "web", "files": [
        {"url": f"{server.url}/b/{path}", "sha256": hashlib.sha256(b"something else").hexdigest()}
        for path in ("01.bin", "large.bin")
    ]}  # fmt: skip
    receipt = run_within(described(wrong, files(server.url)), tmp_path)
    assert receipt.exit_code == 1
    assert {failure.kind for failure in receipt.failures} == {ErrorKind.CHECKSUM_MISMATCH}
    for failure in receipt.failures:
        assert hashlib.sha256(b"something else").hexdigest() in failure.message
    assert files_below(tmp_path / "wrong") == {}
    assert files_below(tmp_path / "files") == EXPECTED


def test_a_wrong_size_tells_both(server: Archive, tmp_path: Path) -> None:
    entry = {"id": "a", "source": "web", "files": [{"url": f"{server.url}/b/01.bin", "size": 5}]}
    (failure,) = run_within(described(entry), tmp_path).failures
    assert failure.kind == ErrorKind.SIZE_MISMATCH
    assert "5 bytes" in failure.message
    assert str(len(SMALL["01.bin"])) in failure.message
    assert "--refresh" in failure.message


# --- this machine -------------------------------------------------------------------------------------------------


class Full(System):
    """A disk that takes so many writes and no more."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._left = writes

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().pwrite(fd, data, offset)


class TakesNoDocuments(System):
    """A disk that is full when the books are closed."""

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        if flags & os.O_CREAT and name.startswith("."):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().open(name, flags, dir_fd, mode)


def test_a_full_disk_stops_the_run_which_goes_on_later(server: Archive, tmp_path: Path) -> None:
    receipt = run_within(
        described(files(server.url)), tmp_path, make_sink=lambda root: LocalSink(root, system=Full(writes=5))
    )
    assert receipt.exit_code == 4
    assert receipt.stopped is not None
    assert "No space left" in receipt.stopped or "full" in receipt.stopped
    for path, data in files_below(tmp_path / "files").items():
        assert data == EXPECTED[path]
    assert run_within(described(files(server.url)), tmp_path).exit_code == 0
    assert files_below(tmp_path / "files") == EXPECTED


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 2 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a small filesystem")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small filesystem can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full(tiny_disk: Path, server: Archive, tmp_path: Path) -> None:
    manifest = described(files(server.url))
    manifest["settings"]["reserve"] = "0B"
    refused = run_within(manifest, tiny_disk)
    assert refused.exit_code == 4
    assert refused.stopped is not None
    assert "still to be fetched" in refused.stopped  # noticed before: sizes are known

    for file in manifest["datasets"][0]["files"]:
        del file["size"]
    shutil.rmtree(tiny_disk / ".emasync")
    receipt = run_within(manifest, tiny_disk)
    assert receipt.exit_code == 4
    assert receipt.stopped is not None
    assert "free" in receipt.stopped or "full" in receipt.stopped
    for path, data in files_below(tiny_disk / "files").items():
        assert data == EXPECTED[path]
    subprocess.run(["mount", "-o", "remount,size=20m", tiny_disk], check=True)
    assert run_within(manifest, tiny_disk).exit_code == 0
    assert files_below(tiny_disk / "files") == EXPECTED


def test_a_disk_that_takes_no_receipt_any_more(server: Archive, tmp_path: Path) -> None:
    receipt = run_within(
        described(files(server.url)), tmp_path, make_sink=lambda root: LocalSink(root, system=TakesNoDocuments())
    )
    assert receipt.exit_code == 4
    assert receipt.stopped is not None
    assert files_below(tmp_path / "files") == EXPECTED
    assert run_within(described(files(server.url)), tmp_path).exit_code == 0


def test_a_root_that_may_not_be_written(server: Archive, tmp_path: Path) -> None:
    def denied(root: Path) -> LocalSink:
        raise translate(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "open", str(root))

    with pytest.raises(MachineError) as caught:
        run_within(described(files(server.url)), tmp_path, make_sink=denied)
    assert caught.value.kind == ErrorKind.NO_PERMISSION
    assert str(tmp_path) in caught.value.message
    assert run_within(described(files(server.url)), tmp_path).exit_code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(server: Archive, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(MachineError) as caught:
        run_within(described(files(server.url)), locked / "root")
    assert caught.value.kind == ErrorKind.NO_PERMISSION


def test_a_root_that_is_a_file(server: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file, or lies below one; name a folder"):
        run_within(described(files(server.url)), tmp_path / "file")


def test_a_second_run_on_the_same_root(server: Archive, tmp_path: Path) -> None:
    with RootLock.acquire(tmp_path / ".emasync", SystemClock()):
        with pytest.raises(MachineError) as caught:
            run_within(described(files(server.url)), tmp_path)
        assert caught.value.kind == ErrorKind.ROOT_LOCKED
        assert f"process {os.getpid()}" in caught.value.message
        assert "--break-lock" in caught.value.message
        broken = run_within(described(files(server.url)), tmp_path, options=RunOptions(break_lock=True))
    assert broken.exit_code == 0


def test_max_total_holds_while_listing_goes_on(server: Archive, tmp_path: Path) -> None:
    entry = {"id": "all", "source": "bucket", "url": f"{server.url}/b"}
    receipt = run_within(described(entry), tmp_path, options=RunOptions(max_total_bytes=100_000))
    assert receipt.exit_code == 4
    assert receipt.stopped is not None
    assert "max_total is 100,000 bytes" in receipt.stopped
    assert "raise max_total" in receipt.stopped
    assert run_within(described(entry), tmp_path).exit_code == 0
    assert files_below(tmp_path / "all") == EXPECTED


def test_what_the_user_put_there_is_not_touched(server: Archive, tmp_path: Path) -> None:
    mine = tmp_path / "files" / "05.bin"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    receipt = run_within(described(files(server.url)), tmp_path)
    (failure,) = receipt.failures
    assert (receipt.exit_code, failure.kind) == (1, ErrorKind.DESTINATION_EXISTS)
    assert "files/05.bin" in failure.message
    assert "--adopt" in failure.message
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    assert run_within(described(files(server.url)), tmp_path).exit_code == 0


# --- the ledger elsewhere -----------------------------------------------------------------------------------------


def test_a_ledger_outside_of_the_root_leaves_a_copy_in_it(server: Archive, tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "state", tmp_path / "root"
    manifest = described(files(server.url), state_dir=str(elsewhere))
    assert run_within(manifest, root).exit_code == 0
    assert (elsewhere / "state.sqlite").exists()
    assert not (root / ".emasync" / "state.sqlite").exists()
    assert (root / ".emasync" / "state-backup.sqlite").exists()
    shutil.rmtree(elsewhere)
    server.reset()
    again = run_within(manifest, root)
    assert again.exit_code == 0
    assert again.totals.requests == 0
    assert server.counts() == {}
