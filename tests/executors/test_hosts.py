"""Limits of one origin over several processes: here their tenancies, with messages that wait to be delivered."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack

import pytest

from emasync.executors import messages as wire
from emasync.executors.hosts import OWNER, Hosts, Word
from emasync.executors.tenancy import BANDWIDTH, Note, Tenancy
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing.clock import ManualClock
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.limiter import OriginGivenUpError, OriginLimiter

ORIGIN = "https://example.org"


class House:
    """Processes and the messages between them."""

    def __init__(self, tenants: int, **policy: float) -> None:
        self.clock = ManualClock()
        self.settings = Settings(hosts={"example.org": policy}, max_bandwidth=1e6)
        self.hosts = Hosts(self.settings, self.clock, self.say)
        self.words: deque[tuple[int, Word]] = deque()
        self.notes: deque[tuple[int, Note]] = deque()
        self.tenancies = {number: self.tenancy(number) for number in range(tenants)}
        self.limiters = {number: self.limiter(number) for number in self.tenancies}

    def say(self, tenant: int, word: Word) -> None:
        self.words.append((tenant, word))

    def tenancy(self, number: int) -> Tenancy:
        return Tenancy(lambda note: self.notes.append((number, note)), bandwidth_capped=True)

    def limiter(self, number: int) -> OriginLimiter:
        limiter = OriginLimiter(ORIGIN, self.settings.policy(Location.parse(ORIGIN)), self.clock)
        limiter.share_with(self.tenancies[number])
        return limiter

    async def deliver(self) -> None:
        """Until nothing is on its way."""
        for _ in range(3):
            await asyncio.sleep(0)
            while self.notes or self.words:
                while self.notes:
                    self.hear(*self.notes.popleft())
                    assert self.hosts._book(ORIGIN).promised <= self.hosts._book(ORIGIN).capacity
                while self.words:
                    self.tell(*self.words.popleft())
                await asyncio.sleep(0)

    def hear(self, tenant: int, note: Note) -> None:
        match note:
            case wire.Slots():
                self.hosts.hear(tenant, note)
            case wire.Held():
                self.hosts.held(tenant, note.origin, note.delay_s)
            case wire.GivenUp():
                self.hosts.gave_up(tenant, note.origin, note.reason)

    def tell(self, tenant: int, word: Word) -> None:
        tenancy = self.tenancies[tenant]
        match word:
            case wire.Share():
                tenancy.offer(word)
            case wire.Hold():
                tenancy.hold(word.origin, word.delay_s)
            case wire.GivenUp():
                tenancy.give_up(word.origin, word.reason)
            case wire.Alive():
                tenancy.alive(word.origin)

    def in_flight(self) -> list[int]:
        return [limiter.in_flight for limiter in self.limiters.values()]


async def ask(limiter: OriginLimiter, done: asyncio.Event) -> None:
    async with limiter.slot():
        await done.wait()


async def test_nobody_asks_before_slots_are_given() -> None:
    house = House(2, max_connections=4)
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(ask(house.limiters[1], done))
        await asyncio.sleep(0)
        assert house.in_flight() == [0, 0]
        await house.deliver()
        assert house.in_flight() == [0, 4]
        done.set()
        await house.deliver()


async def test_slots_move_when_requests_end() -> None:
    house = House(3, max_connections=4)
    first, second = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask(house.limiters[1], first))
        await house.deliver()
        for _ in range(4):
            group.create_task(ask(house.limiters[2], second))
        await house.deliver()
        assert house.in_flight() == [0, 4, 0], "what is under way is not taken away"
        first.set()
        await house.deliver()
        house.tenancies[1].tick()
        await house.deliver()
        assert house.in_flight() == [0, 0, 4]
        second.set()
        await house.deliver()


async def test_a_hold_holds_all_also_who_comes_later() -> None:
    house = House(3, max_connections=6)
    done = asyncio.Event()
    done.set()
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            entering = asyncio.create_task(stack.enter_async_context(house.limiters[number].slot()))
            await house.deliver()
            await entering
    house.limiters[1].hold(30)
    await house.deliver()
    assert house.limiters[2]._hold_s() == 30
    late = asyncio.create_task(ask(house.limiters[0], done))
    await house.deliver()
    assert not late.done()
    assert house.limiters[0]._hold_s() == 30
    house.clock.advance(31)
    await late
    assert house.hosts.statistics() == {}


async def test_an_origin_given_up_is_out_for_all() -> None:
    house = House(3, max_connections=1, give_up_after_s=10)
    done = asyncio.Event()
    holder = asyncio.create_task(ask(house.limiters[1], done))
    await house.deliver()
    waiter = asyncio.create_task(ask(house.limiters[2], done))
    await house.deliver()
    house.limiters[1].unanswered("refused")
    house.clock.advance(11)
    house.limiters[1].unanswered("refused")
    await house.deliver()
    with pytest.raises(OriginGivenUpError, match="refused"):
        await waiter
    with pytest.raises(OriginGivenUpError):
        await ask(house.limiters[2], done)
    done.set()
    await holder
    late = asyncio.create_task(ask(house.limiters[0], done))
    await house.deliver()
    with pytest.raises(OriginGivenUpError):
        await late


async def test_an_answer_to_one_is_a_sign_of_life_to_all() -> None:
    house = House(3, max_connections=4, give_up_after_s=10)
    done = asyncio.Event()
    done.set()
    for number in (1, 2):
        asking = asyncio.create_task(ask(house.limiters[number], done))
        await house.deliver()
        await asking
    house.limiters[1].unanswered("silence")
    house.hosts.report(1, house.tenancies[1].rows())
    house.clock.advance(11)
    house.limiters[2].answered()
    house.hosts.report(2, house.tenancies[2].rows())
    await house.deliver()
    house.limiters[1].unanswered("silence")
    house.limiters[1].check()


async def test_the_request_rate_is_that_of_all_together() -> None:
    house = House(3, max_connections=4, requests_per_second=8)

    async def keep_asking(limiter: OriginLimiter) -> None:
        while True:
            async with limiter.slot():
                pass

    asking = [asyncio.create_task(keep_asking(house.limiters[number])) for number in (1, 1, 1, 2, 2, 2)]
    for _ in range(200):
        await house.deliver()
        house.clock.advance(0.05)
        for tenancy in house.tenancies.values():
            tenancy.tick()
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    first, second = house.limiters[1].requests, house.limiters[2].requests
    assert 64 <= first + second <= 82, "8 a second over 10 s, and one more of each at once"
    assert min(first, second) > 20


async def test_bandwidth_follows_who_fetches() -> None:
    house = House(3, max_connections=4)
    caps = {number: Bandwidth(1e6, house.clock) for number in house.tenancies}
    for number, cap in caps.items():
        house.tenancies[number].govern(cap)
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ask(house.limiters[1], done))
        await house.deliver()
        assert rate(caps[1]) > 0.9e6
        group.create_task(ask(house.limiters[2], done))
        await house.deliver()
        assert rate(caps[1]) == rate(caps[2]) > 0.45e6
        assert sum(map(rate, caps.values())) <= 1e6
        done.set()
        await house.deliver()
    house.tenancies[1].tick()
    await house.deliver()
    assert house.hosts._book(BANDWIDTH).promised <= house.hosts._book(BANDWIDTH).capacity


def rate(bandwidth: Bandwidth) -> float:
    assert bandwidth._rate is not None
    return bandwidth._rate


async def test_counts_of_a_worker_that_is_gone_stay() -> None:
    house = House(2, max_connections=4)
    done = asyncio.Event()
    done.set()
    asking = asyncio.create_task(ask(house.limiters[1], done))
    await house.deliver()
    await asking
    house.hosts.report(1, house.tenancies[1].rows())
    house.hosts.leave(1)
    (seen,) = house.hosts.statistics().values()
    assert (seen.origin, seen.requests, seen.in_flight, seen.limit) == (ORIGIN, 1, 0, 4)
    assert house.hosts._book(ORIGIN).promised == 0
    assert OWNER == 0
