"""Opens HDF5 files wherever their bytes are, through h5py; what its C library says of damage becomes an error of ours.

The layout of superblocks is that of the HDF5 File Format Specification 3.0, II.A.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from typing_extensions import Buffer

from emasync.errors import FormatError, InputError
from emasync.formats.stored import ByteSource, HeaderBytes
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    import h5py

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
FIRST_USER_BLOCK_BYTES: Final = 512
_MATLAB: Final = b"MATLAB 7.3 MAT-file"
"""What such files have in their user block, which is longer than a head may be."""

MIN_HDF5: Final = (1, 14, 4)
"""Earlier ones leave the user block out of the places of chunks (HDFGroup/hdf5#3003), or tell wrong ones (#1419)."""

MAX_READS: Final = 4_000_000
"""Reads of one file; ten million chunks take fewer. A damaged file can send the library in circles."""

DAMAGE: Final = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, SystemError)
"""What h5py raises on damaged files."""

_FLAGGED_VERSION: Final = 3
_WRITING: Final = 0b101


def superblock_at(head: bytes) -> int | None:
    """Where the superblock begins, if that is inside of `head`: at 0, 512 or a double of it; else None."""
    offset = 0
    while offset + len(SIGNATURE) <= len(head):
        if head.startswith(SIGNATURE, offset):
            return offset
        offset = offset * 2 or FIRST_USER_BLOCK_BYTES
    return None


def looks_like_hdf5(head: bytes) -> bool:
    """Whether a file with this beginning is HDF5; other user blocks than MATLAB's are known by 520 bytes and more."""
    return superblock_at(head) is not None or head.startswith(_MATLAB)


class _Reading(io.RawIOBase):
    """A file for h5py's ``fileobj`` driver, which takes short reads for whole ones: there are none."""

    def __init__(self, header: HeaderBytes) -> None:
        super().__init__()
        self._header = header
        self._position = 0
        self._reads = 0
        self.trouble: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # what lies behind the end is refused when it is read: the library looks for superblocks there
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._header.size_bytes}[
            whence
        ] + offset
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            view[:] = self._take(len(view))
        except Exception as error:
            self.trouble = self.trouble or error  # the C library may turn it into one of its own, or into nothing
            raise
        self._position += len(view)
        return len(view)

    def _take(self, size_bytes: int) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise self._header.broken(self._position, f"more than {MAX_READS} reads: headers lead in circles")
        return self._header.take(self._position, size_bytes)


@contextmanager
def opened(source: ByteSource) -> Iterator[h5py.File]:
    """The file, to be looked at: reading only, no locks, no plug-ins, no other file.

    Raises
    ------
    FormatError
        The library finds the file damaged, here or in the body of the ``with``.
    InputError
        h5py is missing or too old.
    """
    h5py = _library()
    reading = _Reading(HeaderBytes(source))
    try:
        with h5py.File(reading, "r") as file:
            yield file
    except DAMAGE as error:
        raise reading.trouble or damaged(source.name, "the file", error) from error
    if reading.trouble is not None:
        raise reading.trouble


def _library() -> h5py:
    try:
        import h5py  # noqa: PLC0415 - an extra; most runs read no HDF5
    except ModuleNotFoundError:
        raise InputError("HDF5 files need h5py: pip install 'emasync[hdf5]'") from None
    found = h5py.version.hdf5_version_tuple
    if found < MIN_HDF5:
        wanted, has = (".".join(map(str, version)) for version in (MIN_HDF5, found))
        raise InputError(
            f"h5py was built with HDF5 {has}, which tells wrong places of chunks; {wanted} or later is needed: "
            "pip install --upgrade h5py"
        )
    return h5py


def damaged(name: str, what: str, error: Exception) -> FormatError:
    """The error for what the library said."""
    said = escape_for_log(str(error) or type(error).__name__)
    return FormatError(f"{escape_for_log(name)}: {what} cannot be read as HDF5: {said}", location=name)


def left_open(source: ByteSource, user_block_bytes: int) -> bool:
    """Whether a superblock of version 3 says that a writer never closed the file: what it holds may be incomplete."""
    block = source.read(user_block_bytes, 12)[8:]
    return block[:1] == bytes([_FLAGGED_VERSION]) and bool(block[3] & _WRITING)
