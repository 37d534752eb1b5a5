"""One HTTP/1.1 connection that receives straight into buffers of its caller: no bytes objects, no joins.

Requests go out one at a time. What comes is given to a :class:`Taker` by plain calls, so that an answer costs neither
a future nor a task; :mod:`emasync.transport.wire_session` puts awaitable answers on top, :mod:`emasync.transport.lane`
uses the calls as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol, cast, final

from emasync.transport.closure import was_announced
from emasync.transport.head_reader import HeadReader
from emasync.transport.response_head import MAX_HEAD_BYTES, Framing, MalformedHeadError, ResponseHead

_FIRST_LOOK_BYTES = 2 << 10
"""A header is looked for here first; usual ones have 200 to 900 bytes."""


class BrokenConnectionError(ConnectionError):
    """The connection ended, or what came over it is no HTTP.

    Attributes
    ----------
    malformed : bool
        Whether the other side sent something that cannot be read.
    elsewhere : bool
        Whether a general client may read it: it is out of this path's bounds only.
    silent : bool
        Whether it was given up because nothing came.
    closed : bool
        Whether the other side closed it in order, over TLS with a word: the end of a body that tells no length
        (RFC 9112, section 6.3).
    """

    def __init__(
        self,
        reason: str,
        *,
        malformed: bool = False,
        elsewhere: bool = False,
        silent: bool = False,
        closed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.malformed = malformed
        self.elsewhere = elsewhere
        self.silent = silent
        self.closed = closed


class Taker(Protocol):
    """Whom an answer is for. Called on the loop, without awaiting; each call may give orders to the connection."""

    def on_head(self, head: ResponseHead) -> None:
        """The header is complete; ``connection.body`` holds what came behind it.

        For a body with a length the connection goes on filling its space and calls :meth:`on_filled` when the body or
        the space ends. For others :meth:`on_filled` follows at once, and the taker finds the end by itself.
        """
        ...

    def on_filled(self) -> None:
        """The body is complete, or the space is full: take it, then release, go on, or leave the socket paused."""
        ...

    def on_broken(self, error: BrokenConnectionError) -> None:
        """No more will come. Called once, also when :meth:`WireConnection.abort` was the reason."""
        ...


class Phase(Enum):
    """What a connection is at."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    CLOSED = "closed"


_IDLE, _HEAD, _BODY = Phase.IDLE, Phase.HEAD, Phase.BODY  # looked up for every answer: a member costs three globals
_LENGTH = Framing.LENGTH


@final
class WireConnection(asyncio.BufferedProtocol):
    """An :class:`asyncio.BufferedProtocol` that speaks HTTP/1.1 as a client.

    Parameters
    ----------
    on_gone : callable or None
        Told when the transport has ended for good.

    Attributes
    ----------
    phase : Phase
    received : int
        Bytes since the connection was made; the stall watch compares it.
    head : ResponseHead or None
        Of the answer under way.
    left : int
        Bytes of the body that are still to come; 0 for bodies without a length.
    blind : bool
        The last answer filled its space to the last byte: bytes beyond its end would not have been seen (yet).
    answers : int
        Answers that were read to their end.
    idle_since_s : float
    place : tuple of str
        Scheme and authority of the other side; both are kept by the pool.
    """

    __slots__ = (
        "_begin",
        "_filled",
        "_heads",
        "_limit",
        "_on_gone",
        "_paused",
        "_poisoned",
        "_scratch",
        "_space",
        "_taker",
        "_transport",
        "_wanted",
        "answers",
        "blind",
        "head",
        "idle_since_s",
        "left",
        "phase",
        "place",
        "received",
    )

    def __init__(self, on_gone: Callable[[WireConnection], None] | None = None) -> None:
        self.phase = Phase.CLOSED
        self.received = 0
        self.head: ResponseHead | None = None
        self.left = 0
        self.answers = 0
        self.blind = False
        self.idle_since_s = 0.0
        self.place = ("", "")
        self._on_gone = on_gone
        self._heads = HeadReader()
        self._scratch = memoryview(bytearray(1))
        self._space = self._scratch
        self._begin = 0
        self._filled = 0
        self._limit = 1
        self._wanted = 0
        self._paused = False
        self._poisoned = False
        self._taker: Taker | None = None
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<WireConnection {self.phase.value}, {self.answers} answers, {self.received} bytes>"

    # --- orders ------------------------------------------------------------------------------------------------

    def ask(self, request: bytes, space: memoryview, taker: Taker) -> None:
        """Send a request; header and body of the answer go into `space`, one behind the other.

        Parameters
        ----------
        request : bytes
            A whole GET or HEAD request.
        space : memoryview
            At least :data:`~emasync.transport.response_head.MAX_HEAD_BYTES` if any header is to fit; owned by the
            connection until the answer was released or the connection is lost (law 5).
        taker : Taker

        Raises
        ------
        BrokenConnectionError
            The connection is not idle (any more); nothing was sent.
        """
        transport = self._transport
        if self.phase is not _IDLE or transport is None:
            raise BrokenConnectionError("the connection was closed")
        self.phase = _HEAD
        self.head = None
        self._space, self._filled, self._limit, self._taker = space, 0, len(space), taker
        transport.write(request)

    @property
    def come(self) -> int:
        """Bytes in the present space."""
        return self._filled

    @property
    def body(self) -> memoryview:
        """What of the body lies in the present space."""
        return self._space[self._begin : self._filled]

    def go_on(self, space: memoryview, *, eager: bool = False) -> None:
        """Receive the rest of the body into `space`; :meth:`Taker.on_filled` follows when it or the body ends.

        Parameters
        ----------
        space : memoryview
            Not empty.
        eager : bool
            :meth:`Taker.on_filled` follows the next bytes, however few; so it is for bodies without a length.
        """
        self._space, self._begin, self._filled = space, 0, 0
        self._aim(eager=eager)
        self._unpause()

    def move(self, space: memoryview) -> None:
        """Put what is in the present space into a larger one and receive on from there."""
        space[: self._filled] = self._space[: self._filled]
        self._space = space
        self._aim()
        self._unpause()

    def release(self, *, whole: bool = True) -> bool:
        """The answer was taken whole: whether the connection may carry another request (it is closed otherwise).

        Parameters
        ----------
        whole : bool
            For bodies without a length: whether the body ended where the bytes ended.
        """
        head = self.head
        self.blind = self._filled >= len(self._space)
        self._taker = None
        self._space = self._scratch
        self.answers += 1
        whole = whole and self.phase is _BODY and self.left == 0 and not self._poisoned
        if whole and head is not None and head.keep_alive:
            self.phase = _IDLE
            self._filled, self._limit = 0, 1
            if self._paused:
                self._unpause()
            return True
        self.abort()
        return False

    def hand_to(self, taker: Taker, space: memoryview) -> None:
        """Let another taker go on with the answer under way, in another space (larger than what has come)."""
        self._taker = taker
        self.move(space)

    def abort(self, reason: BrokenConnectionError | None = None) -> None:
        """Close at once; a taker is told."""
        if self._transport is not None and self.phase is not Phase.CLOSED:
            self._transport.abort()
            self._lost(reason or BrokenConnectionError("the connection was given up"))

    # --- what the loop tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self.phase = Phase.IDLE

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's name; the space is what there is
        """See :class:`asyncio.BufferedProtocol`."""
        return self._space[self._filled : self._limit] or self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """See :class:`asyncio.BufferedProtocol`."""
        self.received += nbytes
        filled = self._filled = self._filled + nbytes
        if self.phase is _BODY:
            self.left -= nbytes
            if filled >= self._wanted:
                self._trim()
                self._full()
        elif self.phase is _HEAD:
            self._look_for_head(filled)
        else:  # bytes nobody asked for poison a connection (law 8)
            self.abort()

    def eof_received(self) -> bool:
        """See :class:`asyncio.BaseProtocol`; the transport closes itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        reason = "the other side closed the connection" if exc is None else str(exc) or type(exc).__name__
        self._lost(BrokenConnectionError(reason, closed=exc is None and was_announced(self._transport)))
        if self._on_gone is not None:
            self._on_gone(self)

    # --- steps ---------------------------------------------------------------------------------------------------

    def _look_for_head(self, filled: int) -> None:
        try:
            head = self._heads.read(bytes(self._space[: min(filled, _FIRST_LOOK_BYTES)]))
            if head is None and filled > _FIRST_LOOK_BYTES:
                head = self._heads.read(bytes(self._space[: min(filled, MAX_HEAD_BYTES)]))
        except MalformedHeadError as error:
            self._fail(BrokenConnectionError(str(error), malformed=True, elsewhere=error.elsewhere))
            return
        if head is not None:
            self._begin_body(head, filled)
        elif filled == len(self._space):
            reason = f"a header longer than {filled} bytes"
            self._fail(BrokenConnectionError(reason, malformed=True, elsewhere=True))

    def _begin_body(self, head: ResponseHead, filled: int) -> None:
        self.phase = _BODY
        self.head = head
        self._begin = head.end
        left = self.left = head.length - (filled - head.end)
        self._poisoned = False
        if left < 0:
            self._trim()
        self._aim()
        taker = self._taker
        if taker is not None:
            taker.on_head(head)
            at_end = self._filled >= self._wanted or head.framing is not _LENGTH
            if at_end and self._taker is taker and self.phase is _BODY:
                self._full()

    def _aim(self, *, eager: bool = False) -> None:
        """Say when the space is full enough, and how far it may be written."""
        filled = self._filled
        room = len(self._space)
        if self.head is not None and self.head.framing is not _LENGTH:
            self._wanted, self._limit = filled + 1, room
            return
        stop = filled + self.left
        self._wanted = min(room, filled + 1 if eager else stop)
        self._limit = stop + 1  # one more, to see whether bytes come beyond the end (law 8)

    def _trim(self) -> None:
        """Bytes beyond the body poison the connection (law 8); a body without a length has no such end."""
        if self.left < 0:
            if self.head is not None and self.head.framing is Framing.LENGTH:
                self._poisoned = True
                self._filled += self.left
            self.left = 0

    def _full(self) -> None:
        space, taker, filled = self._space, self._taker, self._filled
        if taker is not None:
            taker.on_filled()
        if self._space is space and self._filled == filled and self.phase is _BODY and not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():  # else the end is on its way
                self._transport.resume_reading()

    def _fail(self, error: BrokenConnectionError) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._lost(error)

    def _lost(self, error: BrokenConnectionError) -> None:
        """Called for every way a connection can end; the first one counts."""
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.on_broken(error)  # `body` still holds what came
        self._space, self._begin, self._filled = self._scratch, 0, 0
