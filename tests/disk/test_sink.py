from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emasync.disk.interface import FileFacts, Sink
from emasync.disk.sink import LocalSink
from emasync.errors import DestinationError, ErrorKind, IntegrityError, MachineError

PARTIAL = ".emasync/partial"


def put(sink: Sink, destination: str, data: bytes = b"data", name: str = "p-0") -> None:
    partial = sink.reserve(name, len(data))
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


def test_a_file_goes_from_partial_to_final(sink: LocalSink, root: Path) -> None:
    partial = sink.reserve("p-0", 6)
    partial.write(3, b"def")
    partial.write(0, memoryview(bytearray(b"abc")))
    assert list(sink.partials()) == ["p-0"]
    partial.seal(6)
    assert partial.read(1, 100) == b"bcdef"
    partial.close()
    sink.place("p-0", "set/deep/file.bin")
    sink.sync_folders()
    assert (root / "set/deep/file.bin").read_bytes() == b"abcdef"
    assert list(sink.partials()) == []
    facts = sink.stat("set/deep/file.bin")
    assert facts == FileFacts(6, (root / "set/deep/file.bin").stat().st_mtime_ns)
    assert sink.read_final("set/deep/file.bin", 2, 3) == b"cde"


def test_reserving_again_discards_what_was_there(sink: LocalSink) -> None:
    old = sink.reserve("p-0", None)
    old.write(0, b"old bytes")
    new = sink.reserve("p-0", None)
    old.write(0, b"late")
    assert new.read(0, 10) == b""
    old.close()
    new.close()


def test_reopening_goes_on(sink: LocalSink) -> None:
    first = sink.reserve("p-0", 4)
    first.write(0, b"ab")
    first.close()
    again = sink.reopen("p-0")
    assert again is not None
    again.write(2, b"cd")
    again.seal(4)
    again.close()
    assert sink.reopen("p-1") is None


def test_a_wrong_size_is_not_sealed(sink: LocalSink) -> None:
    partial = sink.reserve("p-0", 4)
    partial.write(0, b"abc")
    for size in (2, 4):
        with pytest.raises(IntegrityError) as caught:
            partial.seal(size)
        assert caught.value.kind is ErrorKind.SIZE_MISMATCH
    partial.seal(3)
    partial.close()


def test_an_empty_file_is_a_file(sink: LocalSink, root: Path) -> None:
    put(sink, "empty", b"")
    assert (root / "empty").read_bytes() == b""


def test_preallocated_files_do_not_look_complete(sink: LocalSink, root: Path) -> None:
    partial = sink.reserve("p-0", 4 << 20)
    path = root / PARTIAL / "p-0"
    assert path.stat().st_size == 0
    if not path.stat().st_blocks:
        pytest.skip("this filesystem does not preallocate")
    assert path.stat().st_blocks * 512 >= 4 << 20
    partial.write(0, b"x" * 100)
    partial.seal(100)
    assert path.stat().st_blocks * 512 < 1 << 20, "blocks beyond the end are given back"
    partial.close()


def test_retract_brings_a_final_file_back(sink: LocalSink, root: Path) -> None:
    put(sink, "a/x", b"good")
    sink.retract("a/x", "p-7")
    assert sink.stat("a/x") is None
    again = sink.reopen("p-7")
    assert again is not None
    again.write(0, b"best")
    again.seal(4)
    again.close()
    sink.place("p-7", "a/x")
    assert (root / "a/x").read_bytes() == b"best"


def test_retracting_what_is_not_there(sink: LocalSink) -> None:
    with pytest.raises(IntegrityError, match="is not there"):
        sink.retract("a/x", "p-7")


def test_discard_removes_and_forgives(sink: LocalSink) -> None:
    sink.discard("p-0")
    sink.reserve("p-0", None).close()
    sink.discard("p-0")
    sink.discard("p-0")
    assert list(sink.partials()) == []


def test_partials_of_a_new_root(sink: LocalSink, root: Path) -> None:
    assert list(sink.partials()) == []
    assert not (root / ".emasync").exists(), "looking makes nothing"


def test_placing_a_partial_that_is_gone(sink: LocalSink) -> None:
    with pytest.raises(MachineError, match="gone") as caught:
        sink.place("p-0", "a/b")
    assert caught.value.location == "a/b"


def test_reading_past_the_end_and_nothing(sink: LocalSink) -> None:
    put(sink, "x", b"abc")
    assert sink.read_final("x", 2, 5) == b"c"
    assert sink.read_final("x", 9, 5) == b""
    with pytest.raises(IntegrityError):
        sink.read_final("y", 0, 1)


def test_documents_are_replaced_whole(sink: LocalSink, root: Path) -> None:
    sink.write_document("metadata/set/a.json", b"one, and longer")
    sink.write_document("metadata/set/a.json", b"two")
    sink.write_document("receipt.json", b"")
    assert (root / "metadata/set/a.json").read_bytes() == b"two"
    assert (root / "receipt.json").read_bytes() == b""
    assert list((root / PARTIAL).iterdir()) == []


def test_long_documents_come_in_pieces(sink: LocalSink, root: Path) -> None:
    sink.write_document("checksums/set.tsv", (f"row {number}\n".encode() for number in range(1000)))
    lines = (root / "checksums/set.tsv").read_text().splitlines()
    assert lines == [f"row {number}" for number in range(1000)]

    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sink.write_document("checksums/set.tsv", breaks())
    assert (root / "checksums/set.tsv").read_text().splitlines() == lines


def test_documents_replace_no_link_and_no_folder(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"keep")
    (root / "a.json").symlink_to(tmp_path / "target")
    (root / "b.json").mkdir()
    for name, kind in (("a.json", ErrorKind.UNSAFE_NAME), ("b.json", ErrorKind.NAME_CLASH)):
        with pytest.raises(DestinationError) as caught:
            sink.write_document(name, b"{}")
        assert caught.value.kind is kind
    assert (tmp_path / "target").read_bytes() == b"keep"
    assert (root / "a.json").is_symlink()


def test_free_space_is_what_the_user_may_use(sink: LocalSink, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = os.statvfs(root)
    assert 0 < sink.free_bytes() <= facts.f_blocks * facts.f_frsize
    assert sink.free_inodes() is None or sink.free_inodes() > 0  # type: ignore[operator]  # asked twice

    class NoInodes:
        f_files = 0
        f_favail = 0

    monkeypatch.setattr(os, "fstatvfs", lambda _fd: NoInodes)
    assert sink.free_inodes() is None


def test_the_sink_is_a_sink(sink: LocalSink) -> None:
    as_sink: Sink = sink
    assert as_sink.free_bytes() > 0
