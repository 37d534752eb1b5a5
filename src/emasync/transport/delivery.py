"""The body of an accepted answer, from the connection into its receiver."""

from __future__ import annotations

from dataclasses import dataclass

from emasync.errors import EmasyncError
from emasync.model.location import Location
from emasync.transport import answers
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.decoding import GzipDecoder
from emasync.transport.dialogue import OpenAnswer
from emasync.transport.interface import Head, LendingReceiver, Receiver
from emasync.transport.limiter import OriginLimiter
from emasync.transport.pursuit import Pursuit
from emasync.transport.watch import Pace


class ReceiverError(Exception):
    """What a receiver raised: not the transport's to retry, whatever it is."""

    def __init__(self, error: EmasyncError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One body on its way."""

    pursuit: Pursuit
    receiver: Receiver
    pace: Pace
    limiter: OriginLimiter
    bandwidth: Bandwidth

    async def deliver(self, answer: OpenAnswer, head: Head, here: Location) -> None:
        """Bring the body of `answer` to its promised end.

        Parameters
        ----------
        answer : OpenAnswer
        head : Head
            What the pursuit accepted.
        here : Location
            Where it came from.

        Raises
        ------
        TransientError
            It broke off, or stalled. What came before is with the receiver.
        RefusedError
            It is an error page, or not what its header says.
        ReceiverError
        """
        data = b""
        if self._may_be_a_page(answer, head, here):
            data = await self._beginning(answer)
            if head.content_encoding is None:
                answers.check_no_error_page(data, answer.headers, self.pursuit.name)
        self._begin(head)
        if head.content_encoding is not None:
            await self._decode(answer, data)
        elif isinstance(self.receiver, LendingReceiver):
            await self._pass_on(data)
            await self._fill(answer, self.receiver)
        else:
            while not self.pursuit.satisfied and (data := data or await self.pace.read(answer)):
                await self._pass_on(data)
                data = b""
        self.pursuit.end()

    async def _fill(self, answer: OpenAnswer, receiver: LendingReceiver) -> None:
        """From the socket into space that the receiver lends."""
        while not self.pursuit.satisfied:
            view = await self._room(receiver)
            try:
                size_bytes = await self.pace.fill(answer, view[: self.bandwidth.portion_bytes])
            finally:  # what came before a stall, a break or a cancellation is kept
                kept = self.pursuit.advance_by(answer.taken)
                self.limiter.bytes_received += kept
                receiver.took(kept)
            if not size_bytes:
                return
            await self._spend(kept)

    async def _decode(self, answer: OpenAnswer, data: bytes) -> None:
        """A body with a content coding, which is whole or worth nothing."""
        decoder = GzipDecoder(self.pursuit.name)
        while not self.pursuit.satisfied and (data := data or await self.pace.read(answer)):
            data = self.pursuit.advance(data)
            self.limiter.bytes_received += len(data)
            for piece in decoder.feed(data):
                await self._feed(piece)
            await self._spend(len(data))
            data = b""
        for piece in decoder.finish():
            await self._feed(piece)

    async def _pass_on(self, data: bytes) -> None:
        if data := self.pursuit.advance(data):
            self.limiter.bytes_received += len(data)
            await self._feed(data)
            await self._spend(len(data))

    def _may_be_a_page(self, answer: OpenAnswer, head: Head, here: Location) -> bool:
        """Whether its beginning is looked at: markup under a name that promises something else."""
        asked = head.start == 0 and not self.pursuit.satisfied and self.limiter.policy.error_pages
        return asked and answers.suspicious(answer.headers, here.path)

    async def _beginning(self, answer: OpenAnswer) -> bytes:
        """Enough of a body to see what it is."""
        data = b""
        while len(data) < answers.SNIFF_BYTES and (more := await self.pace.read(answer)):
            data += more
        return data

    # --- the receiver's side -------------------------------------------------------------------------------------

    def _begin(self, head: Head) -> None:
        try:
            self.receiver.begin(head)
        except EmasyncError as error:
            raise ReceiverError(error) from error

    async def _feed(self, data: bytes) -> None:
        try:
            with self.limiter.idle():
                await self.receiver.feed(data)
        except EmasyncError as error:
            raise ReceiverError(error) from error

    async def _spend(self, size_bytes: int) -> None:
        if self.bandwidth.capped:
            with self.limiter.idle():
                await self.bandwidth.spend(size_bytes)

    async def _room(self, receiver: LendingReceiver) -> memoryview:
        try:
            with self.limiter.idle():
                return await receiver.room()
        except EmasyncError as error:
            raise ReceiverError(error) from error


async def put_down(receiver: Receiver) -> None:
    """A wait is ahead: let a lending receiver give its memory back (law 4).

    Raises
    ------
    EmasyncError
        What the receiver raised.
    """
    if isinstance(receiver, LendingReceiver):
        await receiver.put_down()
