"""Small text documents outside a root (manifests, locks, logs of people), without blocking the loop.

Documents only: each call passes a thread by itself, which is dear for data. Documents below a root are the sink's.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import aiofiles

from emasync.disk.faults import sync_failed, translate
from emasync.errors import InputError

T = TypeVar("T")

LIMIT_BYTES = 64 << 20
"""Longest document that is read by default."""


async def read_document(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Read a UTF-8 text file; a byte order mark at its beginning is dropped.

    Parameters
    ----------
    path : Path
    limit_bytes : int
        A longer file is refused, without reading more of it.

    Raises
    ------
    InputError
        Not there, a folder, too long, not UTF-8.
    MachineError
        No permission, I/O error.
    """
    try:
        data = await to_its_end(_read(path, limit_bytes + 1))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"document {str(path)!r}: {error.strerror}; name a text file", location=str(path)) from error
    except OSError as error:
        raise translate(error, "read", str(path)) from error
    if len(data) > limit_bytes:
        raise InputError(f"document {str(path)!r} is longer than {limit_bytes} bytes", location=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"document {str(path)!r} is no UTF-8 text: byte {error.start}; save it as UTF-8", location=str(path)
        ) from error


async def write_document(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically and durably; replaces an older one, and a link itself, not its target.

    Parameters
    ----------
    path : Path
        Its folder exists.
    text : str

    Raises
    ------
    MachineError
        No permission, disk full, no such folder; the older document is untouched.
    """
    temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}")
    try:
        await to_its_end(_write(temporary, path, text.encode()))
    except OSError as error:
        raise translate(error, "write", str(path)) from error


async def to_its_end(work: Coroutine[None, None, T]) -> T:
    """Await `work`, to its end even when cancelled: a file opened in a thread needs somebody who closes it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _read(path: Path, size_bytes: int) -> bytes:
    async with aiofiles.open(path, "rb") as file:
        return await file.read(size_bytes)


async def _write(temporary: Path, path: Path, data: bytes) -> None:
    try:
        async with aiofiles.open(temporary, "xb") as file:
            await file.write(data)
        await asyncio.to_thread(_settle, temporary, path)
    except BaseException:
        await asyncio.to_thread(temporary.unlink, missing_ok=True)
        raise


def _settle(temporary: Path, path: Path) -> None:
    """Sync, rename, sync the folder: one thread's work, descriptors included."""
    _sync(temporary, os.O_RDONLY)
    temporary.replace(path)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        raise sync_failed(error, str(path)) from error
    finally:
        os.close(fd)
