from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.errors import DestinationError, ErrorKind, IntegrityError

PARTIAL = ".emasync/partial"


def put(sink: Sink, destination: str, data: bytes = b"data", name: str = "p-0") -> None:
    partial = sink.reserve(name, len(data))
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


def test_existing_files_are_not_replaced(sink: LocalSink, root: Path) -> None:
    (root / "x").write_bytes(b"the user's")
    with pytest.raises(DestinationError) as caught:
        put(sink, "x", b"ours")
    assert caught.value.kind is ErrorKind.DESTINATION_EXISTS
    assert (root / "x").read_bytes() == b"the user's"
    assert list(sink.partials()) == ["p-0"]


def test_a_dangling_link_is_not_replaced_either(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    (root / "x").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DestinationError) as caught:
        put(sink, "x")
    assert caught.value.kind is ErrorKind.DESTINATION_EXISTS
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_the_way_is_a_name_clash(sink: LocalSink) -> None:
    put(sink, "a/b")
    with pytest.raises(DestinationError) as caught:
        put(sink, "a")
    assert caught.value.kind is ErrorKind.NAME_CLASH


def test_a_file_where_a_folder_is_needed_is_a_name_clash(sink: LocalSink) -> None:
    put(sink, "a")
    for destination in ("a/b", "a/b/c"):
        with pytest.raises(DestinationError) as caught:
            put(sink, destination)
        assert caught.value.kind is ErrorKind.NAME_CLASH


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_no_link_below_the_root_is_followed(sink: LocalSink, root: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "b/c").mkdir(parents=True)
    (outside / "secret").write_bytes(b"secret")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(outside)
    with pytest.raises(DestinationError) as caught:
        put(sink, "a/b/c/x")
    assert caught.value.kind is ErrorKind.UNSAFE_NAME
    with pytest.raises(DestinationError):
        sink.write_document("a/b/c/x.json", b"{}")
    assert sink.stat(f"{link}/secret") is None
    with pytest.raises(DestinationError):
        sink.read_final(f"{link}/secret", 0, 6)
    assert sorted(path.name for path in outside.rglob("*")) == ["b", "c", "secret"]


def test_a_folder_replaced_by_a_link_while_it_is_kept_open(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    put(sink, "a/b/x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "a/b").rename(root / "a/moved")
    (root / "a/b").symlink_to(outside)
    put(sink, "a/b/y")
    assert list(outside.iterdir()) == []
    assert (root / "a/moved/y").exists(), "the folder that was opened, wherever it went"


def test_a_final_link_is_neither_read_nor_statted_nor_retracted(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "x").symlink_to(tmp_path / "secret")
    assert sink.stat("x") is None
    with pytest.raises(IntegrityError):
        sink.read_final("x", 0, 6)
    with pytest.raises(IntegrityError):
        sink.retract("x", "p-0")


def test_a_planted_partial_link_is_not_written_through(sink: LocalSink, root: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"keep")
    (root / PARTIAL).mkdir(parents=True)
    (root / PARTIAL / "p-0").symlink_to(target)
    assert sink.reopen("p-0") is None
    partial = sink.reserve("p-0", None)
    partial.write(0, b"ours")
    partial.close()
    assert target.read_bytes() == b"keep"


def test_a_partial_with_a_second_name_is_not_written_on(sink: LocalSink, root: Path) -> None:
    put(sink, "x", b"final")
    os.link(root / "x", root / PARTIAL / "p-0")
    assert sink.reopen("p-0") is None


def test_pipes_and_folders_do_not_hold_us_up(sink: LocalSink, root: Path) -> None:
    (root / PARTIAL / "dir").mkdir(parents=True)
    os.mkfifo(root / PARTIAL / "pipe")
    os.mkfifo(root / "pipe")
    assert sink.reopen("pipe") is None
    assert sink.reopen("dir") is None
    assert sink.stat("pipe") is None
    for name in ("pipe", ".emasync"):
        with pytest.raises(IntegrityError):
            sink.read_final(name, 0, 1)


@pytest.mark.parametrize(
    "destination",
    ["", "/etc/x", "../x", "a/../x", "a/./x", "a//x", "a/", "a\0b", "a\nb", "x" * 256, "\ud800", "d/" * 2001 + "x"],
)
def test_unsafe_destinations_are_refused(sink: LocalSink, destination: str) -> None:
    sink.reserve("p-0", None).close()
    calls: list[Callable[[], object]] = [
        lambda: sink.place("p-0", destination),
        lambda: sink.stat(destination),
        lambda: sink.read_final(destination, 0, 1),
        lambda: sink.retract(destination, "p-1"),
        lambda: sink.write_document(destination, b""),
    ]
    for call in calls:
        with pytest.raises(DestinationError) as caught:
            call()
        assert caught.value.kind is ErrorKind.UNSAFE_NAME


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a\0"])
def test_unsafe_partial_names_are_refused(sink: LocalSink, name: str) -> None:
    calls: list[Callable[[str], object]] = [lambda name: sink.reserve(name, 1), sink.reopen, sink.discard]
    for call in calls:
        with pytest.raises(DestinationError):
            call(name)


@pytest.mark.parametrize("destination", [".emasync/state.sqlite", ".emasync", ".emasync/partial/p-9"])
def test_objects_are_not_placed_among_our_own_files(sink: LocalSink, destination: str) -> None:
    with pytest.raises(DestinationError, match="own"):
        put(sink, destination)


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    sink = LocalSink(tmp_path / "root")
    put(sink, "a/x")
    assert (tmp_path / "disk/a/x").read_bytes() == b"data"
    sink.close()


def test_a_folder_removed_meanwhile_is_made_again(sink: LocalSink, root: Path) -> None:
    put(sink, "a/b/x")
    (root / "a/b/x").unlink()
    (root / "a/b").rmdir()
    (root / "a").rmdir()
    put(sink, "a/b/y")
    assert (root / "a/b/y").exists()
    shutil.rmtree(root / "a")
    put(sink, "a/c/y")
    assert (root / "a/c/y").exists()
    sink.sync_folders()
