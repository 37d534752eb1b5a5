"""An hour of SIGSTOP (or of a suspended machine): both clocks have gone on, and nothing is anybody's fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from emasync.model.events import Event
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.transport.governed import GovernedFetcher
from emasync.transport.surroundings import Surroundings
from emasync.transport.watch import STANDSTILL_S

DATA = bytes(range(256)) * 40
HOUR_S = 3_600.0
BEAT_S = 0.02


class StoppedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock, like the system's, goes on while the process stands still."""

    stopped_s = 0.0

    def time(self) -> float:
        return super().time() + self.stopped_s


class LoopClock:
    """The loop's clock; a :class:`~emasync.model.clock.Clock`."""

    def __init__(self, loop: StoppedLoop) -> None:
        self._loop = loop

    def monotonic_s(self) -> float:
        return self._loop.time()

    def time_s(self) -> float:
        return time.time() + self._loop.stopped_s

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


def in_a_loop(work: Callable[[StoppedLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StoppedLoop)
        await work(loop)

    with asyncio.Runner(loop_factory=StoppedLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("wire", [True, False])
def test_an_hour_of_standing_still_costs_no_request(archive: Callable[..., Archive], wire: bool) -> None:
    server = archive({"b/x": DATA})
    events: list[Event] = []

    async def work(loop: StoppedLoop) -> None:
        settings = Settings(hosts={"127.0.0.1": {"first_byte_timeout_s": 30.0, "stall_timeout_s": 10.0}})
        async with GovernedFetcher(
            settings,
            clock=LoopClock(loop),
            on_event=events.append,
            surroundings=Surroundings(),
            heartbeat_s=BEAT_S,
            wire=wire,
        ) as fetcher:
            with server.held():
                reading = asyncio.create_task(fetcher.read(Location.parse(f"{server.url}/b/x")))
                await server.until(lambda load: load.in_flight == 1)
                loop.stopped_s += HOUR_S
                await beats(loop)
            document = await reading
        assert document.data == DATA

    in_a_loop(work)
    assert len(server.requests) == 1
    assert [event.event for event in events if event.event in ("stalled", "retry")] == []


@pytest.mark.parametrize("wire", [True, False])
def test_time_that_passes_beat_by_beat_is_the_networks(archive: Callable[..., Archive], wire: bool) -> None:
    """The same hour, and the loop was there all the time: the request is given up, and goes again."""
    server = archive({"b/x": DATA})
    events: list[Event] = []

    async def work(loop: StoppedLoop) -> None:
        settings = Settings(hosts={"127.0.0.1": {"first_byte_timeout_s": 30.0, "connect_timeout_s": 10.0}})
        async with GovernedFetcher(
            settings,
            clock=LoopClock(loop),
            on_event=events.append,
            surroundings=Surroundings(),
            heartbeat_s=BEAT_S,
            wire=wire,
        ) as fetcher:
            with server.held():
                reading = asyncio.create_task(fetcher.read(Location.parse(f"{server.url}/b/x")))
                await server.until(lambda load: load.in_flight == 1)
                for _ in range(60):
                    loop.stopped_s += STANDSTILL_S / 2
                    await beats(loop)
                    if any(event.event == "stalled" for event in events):
                        break
            document = await reading
        assert document.data == DATA

    in_a_loop(work)
    assert [event.event for event in events if event.event == "stalled"] == ["stalled"]
    assert len(server.requests) == 2


async def beats(loop: StoppedLoop) -> None:
    """Let the heartbeat come: it is due."""
    beaten = asyncio.Event()
    loop.call_later(3 * BEAT_S, beaten.set)
    await beaten.wait()
