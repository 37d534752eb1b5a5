"""A file of a root that is not here yet, read where it comes from; nothing of it is kept on disk."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar, final

from emasync.errors import FormatError
from emasync.model.clock import SystemClock
from emasync.model.digest import Span, Validator
from emasync.model.events import ignore_event
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.settings import Settings
from emasync.transport.documents import Collector
from emasync.transport.governed import GovernedFetcher
from emasync.transport.interface import Fetcher
from emasync.volume.forking import begin_anew_after_fork

T = TypeVar("T")

BLOCK_BYTES: Final = 256 << 10
"""Asked for at one time, at least: a request costs as much as the bytes that come in its latency."""

MOST_AHEAD: Final = 32
"""Blocks asked for at once of who reads on and on."""

MOST_BLOCKS: Final = 256
"""Blocks that are kept, 64 MiB: HDF5 files are read back and forth."""


@final
class RemoteContent:
    """Bytes of a file at its source; see :class:`~emasync.volume.streams.Content`.

    All answers are bound to the validator of the first one.

    Parameters
    ----------
    location : Location
    size_bytes : int
    settings : Settings
        Of the manifest: mirrors, policies of hosts.
    """

    def __init__(self, location: Location, size_bytes: int, settings: Settings) -> None:
        self.name = redact(location)
        self.size_bytes = size_bytes
        self._location = location
        self._line = FetcherLine(settings)
        self._validator: Validator | None = None
        self.after_fork()
        begin_anew_after_fork(self)

    @classmethod
    def at(cls, location: Location, size_bytes: int | None, settings: Settings) -> RemoteContent:
        """The file at a place; asks for its size where nobody told.

        Raises
        ------
        TransportError
            The source does not give it.
        FormatError
            The source does not tell how long it is.
        """
        content = cls(location, BLOCK_BYTES if size_bytes is None else size_bytes, settings)
        if size_bytes is None:
            content.size_bytes = content.measured()
        return content

    def measured(self) -> int:
        """Size of the file as the source tells it.

        Raises
        ------
        TransportError, FormatError
            As :meth:`at`.
        """
        found = self._line.run(lambda fetcher: fetcher.read(self._location, span=Span(0, 1)))
        if found.head.total_bytes is None:
            raise FormatError(f"{self.name}: the source does not tell its size; fetch it instead", location=self.name)
        return found.head.total_bytes

    def after_fork(self) -> None:
        """Begin with no block, as a lock may be held."""
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._ahead = -1, 1

    def read_into(self, start: int, room: memoryview) -> int:
        """Put bytes from `start` on into `room`, up to the end of a block.

        Raises
        ------
        TransportError
            The source does not give them.
        FormatError
            The file at the source is shorter than was planned.
        """
        number, offset = divmod(start, BLOCK_BYTES)
        with self._lock:
            block = self._block(number)
        part = block[offset : offset + len(room)]
        room[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Let go of connections."""
        self._line.close()

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._ahead = min(MOST_AHEAD, self._ahead * 2) if number == self._next else 1
            self._get(number, self._ahead)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _get(self, first: int, count: int) -> None:
        span = Span(first * BLOCK_BYTES, min(self.size_bytes, (first + count) * BLOCK_BYTES))
        data = self._line.run(lambda fetcher: self._read(fetcher, span))
        for number in range(first, -(-span.stop // BLOCK_BYTES)):
            begin = (number - first) * BLOCK_BYTES
            self._blocks[number] = data[begin : begin + BLOCK_BYTES]
            self._next = number + 1
        while len(self._blocks) > MOST_BLOCKS:
            self._blocks.popitem(last=False)

    async def _read(self, fetcher: Fetcher, span: Span) -> bytes:
        collector = Collector(self.name, span, span.size_bytes)
        head = await fetcher.transfer(self._location, collector, span=span, validator=self._validator)
        self._validator = self._validator or head.validator
        data = collector.document(head).data
        if len(data) != span.size_bytes:
            raise FormatError(
                f"{self.name}: bytes {span.start} to {span.stop} were expected, {len(data)} came; the file changed at "
                "its source, run the manifest again with --refresh",
                location=self.name,
            )
        return data


@final
class FetcherLine:
    """A fetcher on a loop of its own, for callers that have none. A daemon: it keeps no program from ending.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._abandoned: list[object] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack = AsyncExitStack()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """The thread is the parent's: nothing of it is used here, or ended."""
        self._abandoned += [self._loop, self._stack]
        self._loop = None
        self._stack = AsyncExitStack()

    def run(self, work: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> T:
        """Do `work` and wait for it (Any: what coroutines send and take is nobody's business)."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(self._loop,), name="emasync-reader", daemon=True).start()
            fetcher = GovernedFetcher(self._settings, clock=SystemClock(), on_event=ignore_event)
            self._fetcher = self._wait(self._stack.enter_async_context(fetcher), self._loop)
        return self._wait(work(self._fetcher), self._loop)

    def close(self) -> None:
        """Close connections, and end the thread."""
        loop, self._loop = self._loop, None
        if loop is not None:
            try:
                self._wait(self._stack.aclose(), loop)
            finally:
                loop.call_soon_threadsafe(loop.stop)

    @staticmethod
    def _wait(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
        waiting = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
