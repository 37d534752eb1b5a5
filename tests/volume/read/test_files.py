"""Files below a root: few descriptors, folders that are made anew, nothing but regular files."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emasync.disk.outlying import DECLARATION
from emasync.errors import DestinationError, FormatError, NotDownloaded
from emasync.volume.files import MOST_OPEN, LocalFiles
from emasync.volume.interface import WHOLE_FILE


def below(root: Path, count: int) -> LocalFiles:
    for number in range(count):
        path = root / f"d{number % 7}" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%08d" % number)
    return LocalFiles(str(root))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_files_are_kept_open(tmp_path: Path) -> None:
    before = descriptors()
    files = below(tmp_path, 3 * MOST_OPEN)

    for number in range(3 * MOST_OPEN):
        assert files.read(f"d{number % 7}/{number}", 4, 4) == b"%04d" % number

    assert descriptors() - before <= MOST_OPEN + 8  # and the root's folders


def test_whole_files_are_not_kept_open(tmp_path: Path) -> None:
    files = below(tmp_path, 20)
    files.read("d0/0", 0, WHOLE_FILE)
    before = descriptors()

    for number in range(0, 20, 7):
        assert files.read(f"d{number % 7}/{number}", 0, WHOLE_FILE) == b"%08d" % number

    assert descriptors() == before


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_out_of_descriptors_gives_back_what_it_keeps(tmp_path: Path, few_descriptors: None) -> None:
    files = below(tmp_path, 60)

    for number in range(60):
        assert files.read(f"d{number % 7}/{number}", 0, 8) == b"%08d" % number


def test_a_folder_that_was_replaced_is_looked_up_again(tmp_path: Path) -> None:
    files = below(tmp_path, 8)
    files.read("d1/1", 0, WHOLE_FILE)
    shutil.rmtree(tmp_path / "d1")
    (tmp_path / "d1").mkdir()
    (tmp_path / "d1/1").write_bytes(b"new")

    assert files.read("d1/1", 0, WHOLE_FILE) == b"new"


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    files = below(tmp_path, 1)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("d0/0")
    (tmp_path / "linked").symlink_to("d0")

    for path in ("pipe", "link", "linked/0", "d0", "nothing", "d0/0/x"):
        with pytest.raises(NotDownloaded):
            files.read(path, 0, WHOLE_FILE)
    files.read("d0/0", 0, WHOLE_FILE)  # names in a folder that was looked at are looked at all the same
    for path in ("../d0/0", "/d0/0", "d0//0", "", "d0/..", "d0/.", "d0/", "d0/a\x00b"):
        with pytest.raises(DestinationError):
            files.read(path, 0, WHOLE_FILE)


def test_memory_is_as_long_as_the_file_is_now(tmp_path: Path) -> None:
    files = below(tmp_path, 1)
    assert bytes(files.mapped("d0/0", 0, 8)) == b"00000000"
    with (tmp_path / "d0/0").open("ab") as file:
        file.write(b"more")
    assert bytes(files.mapped("d0/0", 0, 12)) == b"00000000more"

    os.truncate(tmp_path / "d0/0", 3)

    with pytest.raises(FormatError, match="bytes 0 to 8 were expected, the file ends at byte 3"):
        files.mapped("d0/0", 0, 8)


def test_folders_outside_that_a_root_declares_are_read_where_they_are(tmp_path: Path) -> None:
    for name in ("root", "raw", "raw/set", "elsewhere"):
        (tmp_path / name).mkdir()
    declaration = {"folders": {"raw/mouse": str(tmp_path / "raw")}, "token": "12345678"}
    (tmp_path / "root" / DECLARATION).write_text(json.dumps(declaration))
    (tmp_path / "raw/set/x").write_bytes(b"outside")
    (tmp_path / "raw/link").symlink_to(tmp_path / "elsewhere")
    files = LocalFiles(str(tmp_path / "root"))

    assert files.read("raw/mouse/set/x", 0, WHOLE_FILE) == b"outside"
    (tmp_path / "elsewhere/x").write_bytes(b"nobody's")
    with pytest.raises(NotDownloaded):
        files.read("raw/mouse/link/x", 0, WHOLE_FILE)
