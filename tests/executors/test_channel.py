"""Over a real socket: messages arrive, garbage ends the connection, on both loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.executors import messages as wire
from emasync.executors.channel import Channel
from emasync.executors.frames import FRAME_BYTES, frame
from emasync.executors.proxy import LedgerProxy, Questions
from emasync.executors.values import error_row

EachLoop = Callable[[Coroutine[Any, Any, Any]], Any]


class End:
    """One end that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()

    def hear(self, message: Any) -> None:
        self.heard.append(message)
        self.news.set()

    async def open(self, own: socket.socket, incoming: Any) -> Channel[Any]:
        return await Channel.open(own, incoming, self.hear, self.closed.set_result)

    async def until(self, count: int) -> None:
        while len(self.heard) < count:
            self.news.clear()
            await self.news.wait()


def test_messages_cross_both_ways(each_loop: EachLoop) -> None:
    async def talk() -> None:
        a, b = socket.socketpair()
        owner, worker = End(), End()
        at_owner, at_worker = await owner.open(a, wire.FromWorker), await worker.open(b, wire.FromOwner)
        sent = [wire.PlaceRows(number, 1, [(2, b"key\xff"), (3, 4)]) for number in range(500)]
        for message in sent:
            at_worker.send(message)
        at_owner.send(wire.Hold("https://h", 1.5))
        await owner.until(500)
        await worker.until(1)
        assert owner.heard == sent
        assert worker.heard == [wire.Hold("https://h", 1.5)]
        at_worker.close()
        assert await owner.closed is None
        at_owner.send(wire.News())  # to nobody

    each_loop(talk())


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        (FRAME_BYTES + 1).to_bytes(4, "big"),
        frame(b"\xc1"),
        frame(b""),
        frame(msgspec.msgpack.encode(["no such message", 1])),
        frame(msgspec.msgpack.encode({"type": "news"})),
        frame(msgspec.msgpack.encode(["lease", 1, "two", 3])),
        frame(msgspec.msgpack.encode(["lease", 1, 2])),
        frame(msgspec.msgpack.encode(["news"])),
    ],
    ids=["text", "long", "no MessagePack", "empty", "unknown", "a map", "a wrong type", "too few", "the other side's"],
)
def test_garbage_ends_the_connection(each_loop: EachLoop, garbage: bytes) -> None:
    async def talk() -> None:
        a, b = socket.socketpair()
        owner = End()
        await owner.open(a, wire.FromWorker)
        with b:
            b.sendall(frame(msgspec.msgpack.encode(wire.OpenSets(1))) + garbage)
            wrong = await owner.closed
            assert wrong is not None
            assert owner.heard == [wire.OpenSets(1)]

    each_loop(talk())


async def test_questions_are_answered_in_any_order() -> None:
    a, b = socket.socketpair()
    owner, worker = End(), End()
    at_owner, at_worker = await owner.open(a, wire.FromWorker), await worker.open(b, wire.FromOwner)
    questions = Questions(at_worker)
    worker.hear = lambda message: (  # type: ignore[method-assign]  # as a worker does
        questions.answered(message) if isinstance(message, wire.Answer) else questions.refused(message)
    )
    at_worker._on_message = worker.hear
    proxy = LedgerProxy(questions)
    first = asyncio.create_task(proxy.call("generation", 1, "a"))
    second = asyncio.create_task(proxy.call("generation", 1, "b"))
    third = asyncio.create_task(proxy.call("set_durable_epoch", 4))
    await owner.until(3)
    at_owner.send(wire.Refusal(3, error_row(MachineError("full", kind=ErrorKind.DISK_FULL))))
    at_owner.send(wire.Answer(99, at_owner.encode(0)))
    at_owner.send(wire.Answer(2, at_owner.encode(22)))
    at_owner.send(wire.Answer(1, at_owner.encode(11)))
    assert (await first, await second) == (11, 22)
    with pytest.raises(MachineError, match="full") as caught:
        await third
    assert caught.value.kind is ErrorKind.DISK_FULL
    at_owner.close()
    at_worker.close()
    await asyncio.gather(owner.closed, worker.closed)
