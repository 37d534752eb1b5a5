"""One end of the socket between a worker and the owner: messages in, messages out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from emasync.executors.frames import FrameError, FrameReader, frame
from emasync.executors.messages import Message

Incoming = TypeVar("Incoming")


class Channel(asyncio.Protocol, Generic[Incoming]):
    """Takes messages of one union of types and sends others.

    Parameters
    ----------
    incoming : type
        Union of the messages that may come (Any: a type form).
    on_message : callable
        Told of each message, in order, on the loop.
    on_closed : callable
        Told once that nothing will come any more, with what was wrong with what came, if anything was.
    """

    def __init__(
        self,
        incoming: Any,
        on_message: Callable[[Incoming], None],
        on_closed: Callable[[Exception | None], None],
    ) -> None:
        self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(incoming)
        self._encoder = msgspec.msgpack.Encoder()
        self._reader = FrameReader()
        self._on_message = on_message
        self._on_closed = on_closed
        self._transport: asyncio.WriteTransport | None = None
        self._wrong: Exception | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    @classmethod
    async def open(
        cls,
        own: socket.socket,
        incoming: Any,
        on_message: Callable[[Incoming], None],
        on_closed: Callable[[Exception | None], None],
    ) -> Channel[Incoming]:
        """Speak over a connected socket, which belongs to the channel from now on (Any: as above)."""
        own.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(incoming, on_message, on_closed), sock=own)
        return channel

    def __repr__(self) -> str:
        return f"<Channel {'closed' if self._transport is None else 'open'}, {self._reader!r}>"

    # --- out ---------------------------------------------------------------------------------------------------

    def encode(self, value: object) -> msgspec.Raw:
        """A value inside of a message."""
        return msgspec.Raw(self._encoder.encode(value))

    def send(self, message: Message) -> None:
        """Send a message; nothing happens when the other end is gone.

        Raises
        ------
        FrameError
            It is too long.
        """
        data = frame(self._encoder.encode(message))
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the other end takes what was sent."""
        await self._may_write.wait()

    def close(self) -> None:
        """Send what was said, then close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    # --- in: asyncio's side ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._wrong is not None:
            return
        try:
            for body in self._reader.feed(data):
                self._on_message(self._decoder.decode(body))
        except (FrameError, msgspec.DecodeError) as error:  # DecodeError: ValidationError too
            self._wrong = error
            self.abort()

    def pause_writing(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a process that ends may reset its socket
        """See :class:`asyncio.Protocol`."""
        self._transport = None
        self._may_write.set()
        self._on_closed(self._wrong)
