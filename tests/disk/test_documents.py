from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from emasync.disk.documents import read_document, write_document
from emasync.errors import EmasyncError, ErrorKind, InputError, MachineError


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


async def test_a_document_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "manifest.lock"
    await write_document(path, "zwölf: 12\n")
    await write_document(path, "elf: 11\n")
    assert await read_document(path) == "elf: 11\n"
    assert names(tmp_path) == [path.name]


async def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfversion: 1")
    assert await read_document(tmp_path / "a") == "version: 1"


async def test_long_documents_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    assert await read_document(tmp_path / "a", limit_bytes=11) == "x" * 11
    with pytest.raises(InputError, match="longer than 10 bytes"):
        await read_document(tmp_path / "a", limit_bytes=10)


async def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for name in ("missing", ".", "latin"):
        with pytest.raises(InputError) as caught:
            await read_document(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message


async def test_an_unreadable_disk_is_the_machine_s(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(MachineError):
        await read_document(tmp_path / "loop")


async def test_a_failed_write_leaves_the_old_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EmasyncError) as caught:
        await write_document(path, "new")
    assert caught.value.kind is ErrorKind.SYNC_FAILED
    assert path.read_text() == "old"
    assert names(tmp_path) == [path.name]
    with pytest.raises(MachineError):
        await write_document(tmp_path / "nowhere" / "a", "new")


@pytest.mark.parametrize("rounds", range(6))
async def test_a_cancelled_write_is_whole_and_leaves_nothing_else(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "a"
    task = asyncio.create_task(write_document(path, "new"))
    for _ in range(rounds):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(tmp_path) in ([], ["a"])
    assert not path.exists() or path.read_text() == "new"
