"""A file of which parts are here, read as a whole: what is missing is fetched, and more of it for who reads on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, final

from emasync.model.digest import Span
from emasync.volume.forking import begin_anew_after_fork
from emasync.volume.lazy_files import BLOCK_BYTES, LazyFiles

MOST_AHEAD: Final = 32
"""Blocks asked for at once of who reads on and on: 8 MiB, the length of a part."""

MOST_BYTES: Final = 64 << 20
"""Fetched for one read; more is several reads."""


@final
class LazyContent:
    """One file; a :class:`~emasync.volume.streams.Content` and a :class:`~emasync.formats.stored.ByteSource`.

    Parameters
    ----------
    files : LazyFiles
    path : str
        From the root.
    on_close : callable, optional

    Raises
    ------
    NotDownloaded
        It is neither here nor planned, or its source does not give it.
    """

    def __init__(self, files: LazyFiles, path: str, on_close: Callable[[], None] = lambda: None) -> None:
        self.name = path
        self.size_bytes = files.size_bytes(path)
        self._files = files
        self._on_close = on_close
        self._next, self._ahead = -1, 1
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """A lock of one's own."""
        self._lock = threading.Lock()

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Up to `size_bytes` bytes at `offset`; less at the end of the file only.

        Raises
        ------
        NotDownloaded
            Its source does not give them.
        SourceChangedError
            It is another file now.
        """
        span = Span(min(offset, self.size_bytes), min(offset + size_bytes, self.size_bytes))
        if not self._files.holds(self.name, span):
            with self._lock:
                self._files.need({self.name: (self._with_more(span),)})
        return self._files.read(self.name, span.start, span.size_bytes)

    def _with_more(self, span: Span) -> Span:
        """The span, and so much more as was read in one go before it."""
        self._ahead = min(MOST_AHEAD, self._ahead * 2) if span.start <= self._next <= span.stop else 1
        more = Span(span.start, max(span.stop, (span.start // BLOCK_BYTES + self._ahead) * BLOCK_BYTES))
        self._next = -(-more.stop // BLOCK_BYTES) * BLOCK_BYTES
        return more

    def read_into(self, start: int, room: memoryview) -> int:
        """Put bytes from `start` on into `room`; as :meth:`read`."""
        data = self.read(start, min(len(room), MOST_BYTES))
        room[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let go of connections."""
        self._on_close()
