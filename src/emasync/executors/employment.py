"""One life of one worker, as the owner sees it: its process, its socket, what it asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from emasync.errors import EmasyncError
from emasync.executors import messages as wire
from emasync.executors.channel import Channel
from emasync.executors.child import Child
from emasync.executors.owner import Desk
from emasync.executors.values import error_row
from emasync.transport.interface import BucketAccess

Notice = wire.Told | wire.Slots | wire.Held | wire.GivenUp | wire.Report | wire.Logged
"""What a worker says without asking for anything."""

_NOTICES = (wire.Told, wire.Slots, wire.Held, wire.GivenUp, wire.Report, wire.Logged)


class Employment:
    """Serves one worker until its socket ends.

    Parameters
    ----------
    child : Child
    desk : Desk
    hello : Hello
        What it begins with.
    on_notice : callable
        Takes what it says without asking.
    granted : callable
        How buckets are asked, as far as it is known.

    Attributes
    ----------
    finished : Finished or None
        Its last word; None while it works, and for one that died.
    wrong : Exception or None
        What was wrong with what it said.
    """

    def __init__(
        self,
        child: Child,
        desk: Desk,
        hello: wire.Hello,
        on_notice: Callable[[int, Notice], None],
        granted: Callable[[], Mapping[str, BucketAccess]],
    ) -> None:
        self.child = child
        self.worker = desk.worker
        self.finished: wire.Finished | None = None
        self.wrong: Exception | None = None
        self._desk = desk
        self._hello = hello
        self._on_notice = on_notice
        self._granted = granted
        self._sent: dict[str, BucketAccess] = {}
        self._waiting: list[wire.Message] = []
        self._channel: Channel[wire.FromWorker] | None = None
        self._ready = False
        self._group: asyncio.TaskGroup | None = None
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Employment {self.worker} of {self.child!r}>"

    def send(self, message: wire.Message) -> None:
        """Send a message; kept until the worker is ready, dropped when it is gone."""
        if self._ready and self._channel is not None:
            self._channel.send(message)
        else:
            self._waiting.append(message)

    def stop(self, reason: EmasyncError) -> None:
        """Ask the worker to commit what is whole and leave."""
        self.send(wire.Stop(error_row(reason)))

    async def run(self) -> None:
        """Serve until nothing more can come and everything that was asked for is carried out."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._channel = await Channel.open(self.child.socket, wire.FromWorker, self._heard, self._closed)
            await self._ended.wait()

    def _closed(self, wrong: Exception | None) -> None:
        self.wrong = wrong
        self._channel, self._ready = None, False
        self._ended.set()

    def _heard(self, message: wire.FromWorker) -> None:
        match message:
            case wire.Ready():
                self._begin(message)
            case wire.Finished():
                self.finished = message
                if self._channel is not None:
                    self._channel.close()
            case _ if isinstance(message, _NOTICES):
                self._on_notice(self.worker, message)
            case _ if self._group is not None:
                # tasks begin in the order they were made, and queue their call to the ledger before they first wait
                self._group.create_task(self._carry_out(message))

    def _begin(self, ready: wire.Ready) -> None:
        if (ready.protocol, ready.version) != (wire.PROTOCOL, wire.VERSION):
            self.wrong = ValueError(f"it is of version {ready.version}, this is {wire.VERSION}: restart the program")
            if self._channel is not None:
                self._channel.abort()
            return
        self._ready = True
        waiting, self._waiting = self._waiting, []
        for message in (self._hello, *waiting):
            self.send(message)

    async def _carry_out(self, request: wire.Request) -> None:
        try:
            value = await self._desk.answer(request)
        except EmasyncError as error:
            self.send(wire.Refusal(request.number, error_row(error)))
            return
        if isinstance(request, wire.OpenSets):
            self._send_grants()
        if self._channel is not None:
            self.send(wire.Answer(request.number, self._channel.encode(value)))
        if self._desk.curtailed and isinstance(request, wire.PlaceRows | wire.Record):
            self._desk.curtailed = False
            self.send(wire.News())

    def _send_grants(self) -> None:
        """How buckets are asked, before tasks in them are leased."""
        for origin, access in self._granted().items():
            if self._sent.get(origin) != access:
                self._sent[origin] = access
                self.send(wire.Grant(origin, access))
