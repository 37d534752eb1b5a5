"""The process that runs the C library: asks for bytes on standard output, gets them on standard input."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, setrlimit
from typing import IO

from emasync.errors import FormatError, InputError
from emasync.formats.hdf5.contents import contents_of
from emasync.formats.hdf5.message import PLACE, packed, receive, send


class AskedSource:
    """A file whose bytes another process has; a :class:`~emasync.formats.stored.ByteSource`.

    Parameters
    ----------
    name : str
    size_bytes : int
    asks, answers : binary files
    """

    def __init__(self, name: str, size_bytes: int, asks: IO[bytes], answers: IO[bytes]) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._asks = asks
        self._answers = answers

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See :class:`~emasync.formats.stored.ByteSource`."""
        wanted = max(0, min(size_bytes, self.size_bytes - offset))
        send(self._asks, "read", PLACE.pack(offset, wanted))
        frame = receive(self._answers, wanted)
        if frame is None:
            raise SystemExit(1)  # whoever asked for this is gone
        return frame[1]


def main(arguments: list[str]) -> None:
    """Describe one file; see :mod:`emasync.formats.hdf5.message` for what is said."""
    size_bytes, processor_s, memory_bytes = map(int, arguments[:3])
    _confine(processor_s, memory_bytes)
    asks = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    source = AskedSource(arguments[3], size_bytes, asks, sys.stdin.buffer)
    try:
        parts = packed(contents_of(source))
    except FormatError as error:
        send(asks, "format", str(error).encode())
    except InputError as error:
        send(asks, "input", str(error).encode())
    else:
        send(asks, "done", *parts)


def _confine(processor_s: int, memory_bytes: int) -> None:
    """Bounds; systems without one of them go without it."""
    for limit, value in ((RLIMIT_CPU, processor_s), (RLIMIT_AS, memory_bytes), (RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):
            setrlimit(limit, (value, value))


if __name__ == "__main__":
    main(sys.argv[1:])
