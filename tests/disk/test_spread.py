"""Folders outside a root: what goes into which, what is refused, and that two roots may share one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emasync.disk.interface import Sink, WholeFile
from emasync.disk.outlying import DECLARATION, declared, open_root
from emasync.disk.sink import LocalSink
from emasync.disk.spread import SpreadSink
from emasync.errors import DestinationError, ErrorKind, InputError, MachineError


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    folders = {"f/raw": tmp_path / "lab/raw", "f/processed": tmp_path / "lab/processed"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    return {place: str(folder) for place, folder in folders.items()}


@pytest.fixture
def sink(tmp_path: Path, outside: dict[str, str]) -> Iterator[SpreadSink]:
    opened = open_root(tmp_path / "root", outside)
    assert isinstance(opened, SpreadSink)
    yield opened
    opened.close()


def put(sink: Sink, name: str, data: bytes, destination: str) -> None:
    partial = sink.reserve(name, len(data), destination)
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


def declare(root: Path, sink: SpreadSink) -> None:
    folders = ",".join(f'"{place}":"{path}"' for place, path in sink.told.folders.items())
    (root / DECLARATION).write_text(f'{{"folders": {{{folders}}}, "token": "{sink.told.token}"}}')


def test_files_begin_and_end_where_they_belong(sink: SpreadSink, tmp_path: Path) -> None:
    lab, unfinished = tmp_path / "lab", sink.told.unfinished
    sink.reserve("a", 3, "f/raw/p/x").close()
    assert (lab / "raw" / unfinished / "a").exists()
    assert list(sink.partials()) == ["a"]
    put(sink, "a", b"raw", "f/raw/p/x")
    put(sink, "b", b"processed", "f/processed/x")
    put(sink, "c", b"root", "f/other/x")
    assert (lab / "raw/p/x").read_bytes() == b"raw"
    assert (lab / "processed/x").read_bytes() == b"processed"
    root = tmp_path / "root"
    assert (root / "f/other/x").read_bytes() == b"root"
    assert (root / "f/raw/p/x").read_bytes() == b"raw", "readers find it at its place in the root"
    assert (root / "f/raw").is_symlink()
    assert sink.read_final("f/raw/p/x", 1, 5) == b"aw"
    assert [bytes(piece) for piece in sink.scan_final("f/raw/p/x", 0, 9, memoryview(bytearray(8)))] == [b"raw"]
    facts = sink.stat("f/processed/x")
    assert facts is not None
    assert facts.size_bytes == 9
    assert sink.has_folder("f/raw/p")
    assert not sink.has_folder("f/processed/p")
    assert list(sink.partials()) == []


def test_a_batch_of_many_parts_is_one(sink: SpreadSink, tmp_path: Path) -> None:
    places = {"a": "f/raw/1", "b": "here", "c": "f/raw/2", "d": "f/processed/1"}
    files = [WholeFile(name, (name.encode(),), 1 + (name == "c"), place) for name, place in places.items()]
    batch = sink.write_whole(files)
    assert [error is not None for error in batch.errors] == [False, False, True, False], "the size of c is wrong"
    sink.sync_batches([batch])
    batch.sync()
    batch.close()
    assert sorted(sink.partials()) == ["a", "b", "d"]
    pairs = [(name, places[name]) for name in ("a", "b", "d")]
    put(sink, "z", b"", "here")
    assert [error and error.kind for error in sink.place_many(pairs)] == [None, ErrorKind.DESTINATION_EXISTS, None]
    assert (tmp_path / "lab/raw/1").read_bytes() == b"a"
    assert (tmp_path / "lab/processed/1").read_bytes() == b"d"


def test_a_batch_that_breaks_in_the_middle_leaves_nothing_open(
    sink: SpreadSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write_whole(self, files: object) -> None:
            raise MachineError(f"full: {files}", kind=ErrorKind.DISK_FULL)

    broken = SpreadSink(sink, {"full": Full()})  # type: ignore[dict-item]  # only what is asked of it here
    with pytest.raises(MachineError, match="full"):
        broken.write_whole([WholeFile("a", (b"1",), 1, "f/raw/1"), WholeFile("b", (b"1",), 1, "full/1")])
    assert list(sink.partials()) == ["a"]


def test_taking_back_and_removing(sink: SpreadSink) -> None:
    put(sink, "a", b"raw", "f/raw/x")
    sink.reserve("a", 1, "here").close()
    sink.retract("f/raw/x", "a")
    assert list(sink.partials()) == ["a"], "of two files of one name the older one went"
    partial = sink.reopen("a")
    assert partial is not None
    assert partial.read(0, 9) == b"raw"
    partial.close()
    sink.discard("a")
    assert sink.reopen("a") is None


def test_documents_go_with_the_data(sink: SpreadSink, tmp_path: Path) -> None:
    sink.write_document("f/raw/s/note.txt", b"1")
    sink.write_document("receipt.json", b"2")
    assert (tmp_path / "lab/raw/s/note.txt").read_bytes() == b"1"
    assert (tmp_path / "root/receipt.json").read_bytes() == b"2"


@pytest.mark.parametrize("place", ["f/raw/.emasync/x", "f/raw/../x", ".emasync/x"])
def test_nothing_leaves_a_folder_or_enters_ours(sink: SpreadSink, place: str) -> None:
    sink.reserve("a", 1, "f/raw/x").close()
    with pytest.raises(DestinationError):
        sink.place("a", place)


def test_links_inside_are_not_followed(sink: SpreadSink, tmp_path: Path) -> None:
    (tmp_path / "lab/raw/p").symlink_to(tmp_path)
    sink.reserve("a", 1, "f/raw/p/x").close()
    with pytest.raises(DestinationError, match="symbolic link"):
        sink.place("a", "f/raw/p/x")


def test_roots_that_share_folders_leave_each_other_alone(
    sink: SpreadSink, tmp_path: Path, outside: dict[str, str]
) -> None:
    other = open_root(tmp_path / "other", outside)
    sink.reserve("a", 1, "f/raw/x").close()
    assert list(other.partials()) == []
    other.discard("a")
    assert list(sink.partials()) == ["a"]
    other.close()


def test_a_root_knows_its_folders(sink: SpreadSink, tmp_path: Path, outside: dict[str, str]) -> None:
    root = tmp_path / "root"
    declare(root, sink)
    again = open_root(root)
    assert isinstance(again, SpreadSink)
    assert again.told == sink.told == declared(root)
    again.close()
    with pytest.raises(InputError, match=r"is laid into .*lab/raw.*, and the manifest asks for no folder"):
        open_root(root, {})
    with pytest.raises(InputError, match="nothing is moved"):
        open_root(root, {**outside, "f/raw": str(tmp_path / "lab/else")})


def test_a_folder_that_was_moved_is_known_again(sink: SpreadSink, tmp_path: Path, outside: dict[str, str]) -> None:
    root, new = tmp_path / "root", tmp_path / "new"
    put(sink, "a", b"raw", "f/raw/p/x")
    declare(root, sink)
    (tmp_path / "lab/raw").rename(new)
    moved = {**outside, "f/raw": str(new)}
    for _ in range(2):  # the run that wrote no declaration any more, and the next
        again = open_root(root, moved)
        assert isinstance(again, SpreadSink)
        assert (dict(again.told.folders), again.told.token) == (moved, sink.told.token)
        assert (root / "f/raw/p/x").read_bytes() == again.read_final("f/raw/p/x", 0, 3) == b"raw"
        again.close()


@pytest.mark.parametrize("there", ["a copy", "another folder", "another root's"])
def test_a_folder_that_was_not_moved_is_refused(
    sink: SpreadSink, tmp_path: Path, outside: dict[str, str], there: str
) -> None:
    root, new = tmp_path / "root", tmp_path / "new"
    declare(root, sink)
    if there == "a copy":
        shutil.copytree(tmp_path / "lab/raw", new)
    else:
        shutil.rmtree(tmp_path / "lab/raw")
        (new / (".emasync/partial/00000000" if there == "another root's" else "")).mkdir(parents=True)
    with pytest.raises(InputError, match="nothing is moved"):
        open_root(root, {**outside, "f/raw": str(new)})
    assert (root / "f/raw").readlink() == tmp_path / "lab/raw"


def test_a_root_without_folders_outside_is_an_ordinary_one(tmp_path: Path) -> None:
    for folders in (None, {}, {"f/raw": str(tmp_path / "root/f/raw")}):
        opened = open_root(tmp_path / "root", folders)
        assert isinstance(opened, LocalSink)
        opened.close()


def test_another_filesystem_in_the_place_of_one_stops_the_run(sink: SpreadSink, tmp_path: Path) -> None:
    """One that is not mounted looks like an empty folder."""
    declare(tmp_path / "root", sink)
    (tmp_path / "lab/raw").rename(tmp_path / "lab/unmounted")
    with pytest.raises(MachineError, match="mount its filesystem"):
        open_root(tmp_path / "root")
    (tmp_path / "lab/raw").mkdir()
    with pytest.raises(MachineError, match="is not the folder that this root was laid into"):
        open_root(tmp_path / "root")


@pytest.mark.parametrize(
    ("raw", "processed", "words"),
    [
        ("missing", "lab/processed", "is no folder"),
        ("lab", "lab/processed", "lie inside each other"),
        ("lab/raw", "lab/raw", "lie inside each other"),
        ("root", "lab/processed", "lie inside each other"),
        (".", "lab/processed", "lie inside each other"),
    ],
)
@pytest.mark.usefixtures("outside")
def test_folders_that_will_not_do(tmp_path: Path, raw: str, processed: str, words: str) -> None:
    (tmp_path / "root").mkdir()
    folders = {"f/raw": str((tmp_path / raw).resolve()), "f/processed": str(tmp_path / processed)}
    with pytest.raises(InputError, match=words):
        open_root(tmp_path / "root", folders)


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_lies_in_the_place_of_the_link_stays(tmp_path: Path, outside: dict[str, str], there: str) -> None:
    link = tmp_path / "root/f/raw"
    link.parent.mkdir(parents=True)
    if there == "folder":
        link.mkdir()
    elif there == "file":
        link.write_bytes(b"")
    else:
        link.symlink_to(tmp_path)
    with pytest.raises(InputError, match=str(link)):
        open_root(tmp_path / "root", outside)


@pytest.mark.parametrize("text", ["[", '{"folders": {"f": "/"}, "token": "../.."}', '{"folders": {"f": "/"}}'])
def test_a_declaration_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / DECLARATION).write_text(text)
    with pytest.raises(InputError, match="put it back"):
        open_root(tmp_path)
