"""One answer of the wire path, to be awaited. No retries, no rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from emasync.errors import StalledError, TransientError
from emasync.transport import failures
from emasync.transport.chunked import ChunkedBody, MalformedChunksError
from emasync.transport.response_head import Framing, ResponseHead
from emasync.transport.wire import BrokenConnectionError, WireConnection

MAX_UNMEASURED_BYTES = 256 << 10
"""Longest body without a length that is read here: errors only, and of those the beginning."""

TURNS_TO_SEE = 2
"""Turns of the loop after which bytes that had come behind a body would have been noticed."""

BEGUN_BYTES = 16 << 10
"""Least space of an answer that another taker began."""

GiveBack = Callable[[WireConnection, memoryview], None]


class WireAnswer:
    """Header of an answer, and its body as it comes.

    An :class:`~emasync.transport.dialogue.OpenAnswer` that is a :class:`~emasync.transport.wire.Taker`.

    Parameters
    ----------
    name : str
        Of what is asked, for messages.
    connection : WireConnection
        Idle; the answer's until it was closed.
    space : memoryview
        Where the header and the beginning of the body go; so is this.
    give_back : callable
        Told connection and space at the end.
    bounded : bool
        A body without a length is an error's and stops at :data:`MAX_UNMEASURED_BYTES`; else the reader bounds it.

    Attributes
    ----------
    status : int
    headers : mapping of str to str
        Lower-case names.
    name : str
        Of what was asked, for messages.
    taken : int
        Bytes of the view of the last :meth:`read_into` that are valid, also after it failed or was cancelled.
    """

    __slots__ = (
        "_bounded",
        "_chunks",
        "_connection",
        "_ended",
        "_filled",
        "_from",
        "_give_back",
        "_head",
        "_kept",
        "_left",
        "_lost",
        "_space",
        "_used",
        "_waiter",
        "headers",
        "name",
        "status",
        "taken",
    )

    def __init__(
        self, name: str, connection: WireConnection, space: memoryview, give_back: GiveBack, *, bounded: bool = True
    ) -> None:
        self.name = name
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.taken = 0
        self._connection = connection
        self._space = space
        self._give_back = give_back
        self._bounded = bounded
        self._from = connection.received
        self._kept = memoryview(b"")  # what lay in the connection's space when it ended
        self._used = 0  # bytes in the present space that were handed out
        self._left = 0  # bytes of the body that were not handed out
        self._ended = False
        self._head: ResponseHead | None = None
        self._chunks: ChunkedBody | None = None
        self._lost: BrokenConnectionError | None = None
        self._filled = False
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def of_begun(
        cls,
        name: str,
        connection: WireConnection,
        head: ResponseHead,
        give_back: GiveBack,
        *,
        lost: BrokenConnectionError | None = None,
        kept: bytes = b"",
    ) -> WireAnswer:
        """An answer whose header came to another taker; it goes on here.

        Parameters
        ----------
        lost : BrokenConnectionError or None
            The connection broke meanwhile, and `kept` is what of the body had come.
        """
        space = memoryview(bytearray(max(BEGUN_BYTES, connection.come + 1)))
        answer = cls(name, connection, space, give_back)
        if lost is None:
            connection.hand_to(answer, space)
        answer._lost, answer._kept = lost, memoryview(kept)
        answer.on_head(head)
        answer._expect(head)
        return answer

    def __repr__(self) -> str:
        return f"<WireAnswer {self.status} of {self.name}, {self._connection!r}>"

    @property
    def received(self) -> int:
        """Bytes that have come, the header among them."""
        return self._connection.received - self._from

    # --- what the connection tells -------------------------------------------------------------------------------

    def on_head(self, head: ResponseHead) -> None:
        """See :class:`~emasync.transport.wire.Taker`."""
        self._head = head
        self.status, self.headers = head.status, head.fields
        self._wake()

    def on_filled(self) -> None:
        """See :class:`~emasync.transport.wire.Taker`."""
        self._filled = True
        self._wake()

    def on_broken(self, error: BrokenConnectionError) -> None:
        """See :class:`~emasync.transport.wire.Taker`."""
        self._lost, self._kept = error, self._connection.body
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _news(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- orders --------------------------------------------------------------------------------------------------

    async def begin(self, request: bytes) -> ResponseHead:
        """Send `request` and wait for the header of its answer.

        Raises
        ------
        BrokenConnectionError
        """
        self._connection.ask(request, self._space, self)
        while self._head is None:
            if self._lost is not None:
                raise self._lost
            await self._news()
        self._expect(self._head)
        return self._head

    def _expect(self, head: ResponseHead) -> None:
        if head.framing is Framing.CHUNKED:
            self._chunks = ChunkedBody()
        self._left = head.length

    async def read(self) -> bytes:
        """Next bytes of the body, decoded where it is chunked; empty at its end.

        Raises
        ------
        TransientError
            The body broke off, or is malformed.
        """
        if self._head is not None and self._head.framing is not Framing.LENGTH:
            return await self._read_unmeasured()
        if self._left and not self._unread():
            await self._more(self._space, eager=True)
        data = bytes(self._unread())
        self._used += len(data)
        self._left -= len(data)
        return data

    async def read_into(self, view: memoryview) -> int:
        """Fill `view` as far as the body goes; only for bodies with a length, as all accepted ones here have.

        Parameters
        ----------
        view : memoryview
            Not empty; the connection's until this returns.

        Raises
        ------
        TransientError
            The body broke off; :attr:`taken` bytes came before.
        """
        there = self._unread()[: len(view)]
        view[: len(there)] = there
        self.taken = len(there)
        self._used += len(there)
        self._left -= len(there)
        if self._left and len(there) < len(view):
            if self._lost is not None:
                raise self._broken()
            before = self.taken
            try:
                await self._more(view[before:])
            finally:
                self._used = len(self._come())
                self._left -= self._used
                self.taken = before + self._used
            if not self._filled:
                raise self._broken()
        return self.taken

    def _come(self) -> memoryview:
        """What lies in the space that is being filled."""
        return self._connection.body if self._lost is None else self._kept

    def _unread(self) -> memoryview:
        return self._come()[self._used :]

    async def _more(self, space: memoryview, *, eager: bool = False) -> None:
        """Let the connection fill `space`, which it owns until this returns (law 5)."""
        if self._lost is not None:
            raise self._broken()
        self._filled, self._used = False, 0
        self._connection.go_on(space, eager=eager)
        try:
            while not self._filled and self._lost is None:
                await self._news()
        except BaseException:
            self._connection.abort()
            raise
        if eager and not self._filled:
            raise self._broken()

    async def _read_unmeasured(self) -> bytes:
        """Of a body in chunks, or one that ends with its connection: documents, and errors of some servers."""
        chunks = self._chunks
        while not self._ended:
            if not self._unread():
                await self._more_unmeasured()
            data = bytes(self._unread())
            self._used += len(data)
            found = data if chunks is None else self._decoded(chunks, data)
            if found:
                return found
        return b""

    async def _more_unmeasured(self) -> None:
        if self._bounded and self.received > MAX_UNMEASURED_BYTES:
            raise failures.no_http(self.name, "a body without an end")
        try:
            await self._more(self._space, eager=True)
        except TransientError:
            if self._chunks is not None or self._lost is None or not self._lost.closed:
                raise
            self._ended = True

    def _decoded(self, chunks: ChunkedBody, data: bytes) -> bytes:
        try:
            found = chunks.feed(data)
        except MalformedChunksError as error:
            raise failures.no_http(self.name, str(error)) from error
        self._ended = chunks.complete
        return found

    def _broken(self) -> TransientError:
        assert self._lost is not None  # noqa: S101 - asked for then only
        return translated(self.name, self._lost)

    # --- ending --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back when the whole body came; close it otherwise."""
        try:
            if self._whole():
                await self._let_go()
        finally:
            self.close()

    def _whole(self) -> bool:
        if self._lost is not None or self._head is None:
            return False
        if self._chunks is not None:
            return self._chunks.complete and not self._chunks.surplus and not self._unread()
        return self._head.framing is Framing.LENGTH and self._connection.left == 0

    async def _let_go(self) -> None:
        connection = self._connection
        if connection.release() and connection.blind:
            for _ in range(TURNS_TO_SEE):
                await asyncio.sleep(0)
            connection.blind = False

    def close(self) -> None:
        """Give the connection back as it is: in the middle of an answer it is closed."""
        self._give_back(self._connection, self._space)


def translated(name: str, error: BrokenConnectionError) -> TransientError:
    """What became of a connection, in this package's words."""
    if error.silent:
        return StalledError(f"{name}: {error}", location=name)
    return failures.no_http(name, str(error)) if error.malformed else failures.broken(name, error)
