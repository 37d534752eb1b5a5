"""Files that are planned and not here, read where they come from."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.integration.folders import run_within
from tests.volume.read.test_workers import in_child

import emasync
from emasync.errors import NotDownloaded
from emasync.testing import Archive
from emasync.volume.lazy_files import BLOCK_BYTES

DATA = np.random.default_rng(1).bytes(13 * BLOCK_BYTES + 1_000)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("h5") / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("big", data=np.arange(2_000_000), chunks=(50_000,))
        file["late"] = np.arange(100)
    return path.read_bytes()


@pytest.fixture
def server(archive: Callable[..., Archive], session: bytes) -> Archive:
    return archive({"b/set/x.h5": session, "b/set/x.bin": DATA, "b/set/here.bin": b"here"})


@pytest.fixture
def root(server: Archive, tmp_path: Path) -> Path:
    """A root that lacks two of its three files."""
    server.set_faults({"b/set/x.*": [{"status": 404}]})
    entry = {"id": "set", "source": "bucket", "url": f"{server.url}/b/set", "format": "raw"}
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(json.dumps({"version": 1, "root": str(tmp_path / "root"), "datasets": [entry]}))
    assert not run_within(manifest, tmp_path / "root").ok
    server.set_faults({})
    return tmp_path / "root"


def ranges(server: Archive, since: int = 0) -> list[str | None]:
    return [seen.range for seen in server.requests[since:] if seen.path.startswith("b/set/x.")]


def test_h5py_reads_a_part_of_a_file_that_is_not_here(root: Path, server: Archive, session: bytes) -> None:
    before = len(server.requests)

    with emasync.open_file(root, "set", "x.h5", lazy=True) as file, h5py.File(file, "r") as h5:
        np.testing.assert_array_equal(h5["big"][1_000_000:1_000_100], np.arange(1_000_000, 1_000_100))
        np.testing.assert_array_equal(h5["late"][:], np.arange(100))

    assert 1 <= len(ranges(server, before)) <= 6
    assert sum(map(span_bytes, ranges(server, before))) < len(session) / 4
    assert not (root / "set/x.h5").exists()


def span_bytes(text: str | None) -> int:
    assert text is not None
    start, _, last = text.removeprefix("bytes=").partition("-")
    return int(last) - int(start) + 1


def test_what_is_here_is_read_here(root: Path, server: Archive) -> None:
    before = len(server.requests)
    with emasync.open_file(root, "set", "here.bin", lazy=True) as file:
        assert file.read() == b"here"
    assert len(server.requests) == before


def test_what_is_not_planned_is_not_asked_for(root: Path) -> None:
    with pytest.raises(NotDownloaded, match="neither here nor planned"):
        emasync.open_file(root, "set", "y.bin", lazy=True)


def test_who_reads_on_asks_for_more_at_once(root: Path, server: Archive) -> None:
    before = len(server.requests)
    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        assert b"".join(iter(lambda: file.read(50_000), b"")) == DATA
        file.seek(BLOCK_BYTES - 5)
        assert file.read(10) == DATA[BLOCK_BYTES - 5 : BLOCK_BYTES + 5]

    assert list(map(span_bytes, ranges(server, before))) == [
        BLOCK_BYTES,
        2 * BLOCK_BYTES,
        4 * BLOCK_BYTES,
        6 * BLOCK_BYTES + 1_000,
    ]


def test_what_was_read_stays_for_other_readers_and_the_next_run(root: Path, server: Archive) -> None:
    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        file.seek(5 * BLOCK_BYTES)
        assert file.read(10) == DATA[5 * BLOCK_BYTES :][:10]
    before = len(server.requests)

    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        file.seek(5 * BLOCK_BYTES + 100)
        assert file.read(1_000) == DATA[5 * BLOCK_BYTES + 100 :][:1_000]
    assert ranges(server, before) == []

    assert run_within(root.parent / "manifest.yaml", root).ok
    fetched = [span_bytes(seen.range) for seen in server.requests[before:] if seen.path == "b/set/x.bin"]
    assert sum(fetched) == len(DATA) - BLOCK_BYTES
    assert (root / "set/x.bin").read_bytes() == DATA


def test_a_file_that_changed_at_its_source_is_not_mixed(root: Path, server: Archive) -> None:
    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        assert file.read(10) == DATA[:10]
        server.store.put("b/set/x.bin", DATA[::-1])  # type: ignore[attr-defined]
        file.seek(8 * BLOCK_BYTES)
        with pytest.raises(OSError, match=r"x\.bin changed at its source"):
            file.read(10)

    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        assert file.read() == DATA[::-1]


def test_closing_ends_its_thread(root: Path) -> None:
    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        assert file.read(3) == DATA[:3]
        assert "emasync-reader" in [thread.name for thread in threading.enumerate()]
    assert not [thread for thread in threading.enumerate() if thread.name == "emasync-reader" and not _ended(thread)]


def test_no_garbage_is_collected_while_a_reader_waits(root: Path) -> None:
    """h5py reads with its lock held, and takes it to end its objects, in whichever thread that is."""
    collecting: set[str] = set()

    def note(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            collecting.add(threading.current_thread().name)

    before = gc.get_threshold()
    gc.callbacks.append(note)
    try:
        with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
            gc.set_threshold(1, 1_000_000, 1_000_000)
            assert file.read(10) == DATA[:10]
            gc.set_threshold(*before)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(note)
    assert gc.isenabled()
    assert "emasync-reader" not in collecting


def _ended(thread: threading.Thread) -> bool:
    thread.join(60)
    return not thread.is_alive()


def test_a_forked_child_asks_by_itself(root: Path) -> None:
    with emasync.open_file(root, "set", "x.bin", lazy=True) as file:
        assert file.read(3) == DATA[:3]

        def read_all() -> None:
            file.seek(0)
            assert file.read() == DATA
            file.close()

        assert in_child(read_all) == 0
        assert file.read(3) == DATA[3:6]
