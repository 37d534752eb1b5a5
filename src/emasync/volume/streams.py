"""Files of a root as binary files of Python: h5py, pynwb and the like read them. No position is shared with anybody."""

from __future__ import annotations

import io
import os
from typing import Any, Final, Protocol, final

from typing_extensions import Buffer

from emasync.errors import EmasyncError

READ_AHEAD_BYTES: Final = 128 << 10
"""Read at one time, at least: headers of HDF5 files are read in thousands of pieces of some bytes."""


class Content(Protocol):
    """Bytes of one file, wherever they are."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        ...

    def read_into(self, start: int, room: memoryview) -> int:
        """Put bytes from `start` on into `room`: one at least, `start` is before the end; gives how many."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


@final
class Stream(io.RawIOBase):
    """A file that is read, with a position of its own: forked processes do not move each other's.

    Parameters
    ----------
    content : Content
    """

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._at = 0

    @property
    def name(self) -> str:
        """Path of the file."""
        return self._content.name

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Position, bytes."""
        self._require_open()
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position, which may lie beyond the end."""
        self._require_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._content.size_bytes}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError(f"seek({offset}, {whence}) in a file of {self._content.size_bytes} bytes")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        """Read up to as many bytes as `buffer` takes.

        Raises
        ------
        OSError
            What io promises its users; the error of this package is its cause.
        """
        self._require_open()
        with memoryview(buffer) as view, view.cast("B") as room:
            wanted = max(0, min(len(room), self._content.size_bytes - self._at))
            try:
                got = self._content.read_into(self._at, room[:wanted]) if wanted else 0
            except EmasyncError as error:
                raise OSError(error.message) from error
        self._at += got
        return got

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            self._content.close()
        super().close()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self._content.name} is closed")


def buffered(content: Content, read_ahead_bytes: int = READ_AHEAD_BYTES) -> io.BufferedReader:
    """A file that reads ahead."""
    raw: Any = Stream(content)  # Any: typeshed wants methods for writing of all raw files
    return io.BufferedReader(raw, read_ahead_bytes)
