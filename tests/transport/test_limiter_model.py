"""Any sequence of requests, ends, cancellations, limits, shares and holds: never too many at once, nobody starves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emasync.settings import HostPolicy
from emasync.testing.clock import ManualClock
from emasync.transport.limiter import OriginGivenUpError, OriginLimiter

CAP = 6
MOST = 12
"""Requests alive at a time: more add nothing."""

TURNS = 8


@dataclass(eq=False)
class Caller:
    """Asks for one slot and keeps it until it is told to leave."""

    number: int
    urgent: bool
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    inside: bool = False
    task: asyncio.Task[None] | None = None


class LimiterMachine(RuleBasedStateMachine):
    """Slots of one origin; the rate is on in half of the histories (`rate_per_s`)."""

    rate_per_s: float | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        policy = HostPolicy(max_connections=CAP, start_connections=CAP, requests_per_second=self.rate_per_s)
        self.limiter = OriginLimiter("https://x", policy, self.clock)
        self.callers: list[Caller] = []
        self.admitted: list[int] = []
        self.starts_s: list[float] = []
        self.asked = 0
        self.held_until_s = 0.0
        self.cap = CAP
        self.share: int | None = None
        self.before = 0

    # --- what callers do ---------------------------------------------------------------------------------------

    async def hold_a_slot(self, caller: Caller) -> None:
        async with self.limiter.slot(urgent=caller.urgent):
            caller.inside = True
            self.admitted.append(caller.number)
            self.starts_s.append(self.clock.monotonic_s())
            await caller.leave.wait()

    def turns(self, turns: int = TURNS) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.runner.run(some())
        for caller in self.callers:
            if caller.task is not None and caller.task.done():
                caller.inside = False
        self.callers = [caller for caller in self.callers if caller.task is None or not caller.task.done()]

    @property
    def room(self) -> int:
        return self.cap if self.share is None else min(self.cap, self.share)

    @property
    def at_ease(self) -> bool:
        """Whether nothing but the room is waited for."""
        return self.rate_per_s is None and self.clock.monotonic_s() >= self.held_until_s

    @property
    def waiting(self) -> list[Caller]:
        return [caller for caller in self.callers if not caller.inside]

    @property
    def holding(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.inside]

    # --- rules -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.callers) < MOST)
    @rule(urgent=st.booleans(), at_once=st.integers(1, 3))
    def ask(self, urgent: bool, at_once: int) -> None:
        async def begin() -> None:
            for _ in range(at_once):
                self.asked += 1
                caller = Caller(self.asked, urgent)
                caller.task = asyncio.create_task(self.hold_a_slot(caller))
                self.callers.append(caller)

        self.runner.run(begin())
        self.turns()

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.holding)).leave.set()
        self.turns()

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.callers))
        assert caller.task is not None
        caller.task.cancel()
        self.turns()

    @precondition(lambda self: self.holding and self.waiting)
    @rule(data=st.data(), turns=st.integers(0, 3))
    def end_and_cancel_soon(self, data: st.DataObject, turns: int) -> None:
        """The slot is on its way to somebody who is cancelled meanwhile."""
        data.draw(st.sampled_from(self.holding)).leave.set()
        self.turns(turns)
        if self.waiting:
            caller = data.draw(st.sampled_from(self.waiting))
            assert caller.task is not None
            caller.task.cancel()
        self.turns()

    @rule(limit=st.integers(1, CAP))
    def move_the_limit(self, limit: int) -> None:
        self.cap = self.limiter.limit = limit
        self.turns()

    @rule(share=st.none() | st.integers(0, CAP))
    def move_the_share(self, share: int | None) -> None:
        self.share = self.limiter.share = share
        self.turns()

    @rule(delay_s=st.sampled_from([0.1, 5.0]))
    def hold(self, delay_s: float) -> None:
        self.limiter.hold(delay_s)
        self.held_until_s = max(self.held_until_s, self.clock.monotonic_s() + delay_s)

    @rule(delay_s=st.sampled_from([0.05, 1.0, 6.0]))
    def wait(self, delay_s: float) -> None:
        self.runner.run(self.clock.run_for(delay_s))
        self.turns()

    # --- what holds --------------------------------------------------------------------------------------------

    @invariant()
    def never_too_many(self) -> None:
        """Inside are more than there is room for only where the room was taken from under them."""
        before, self.before = self.before, self.limiter.in_flight
        assert self.limiter.in_flight <= max(before, self.room)
        assert len(self.holding) <= self.limiter.in_flight <= len(self.callers)

    @invariant()
    def nobody_starves(self) -> None:
        """Whoever may go in is in: with room, no hold and no rate nobody waits."""
        if self.at_ease and self.limiter.in_flight < self.room:
            assert not self.waiting, self.limiter

    @invariant()
    def in_order(self) -> None:
        """First come, first served among those who wait alike."""
        for urgent in (True, False) if self.at_ease else ():
            waiting = [caller.number for caller in self.waiting if caller.urgent is urgent]
            inside = [caller.number for caller in self.holding if caller.urgent is urgent]
            assert not waiting or max(inside, default=0) < min(waiting)

    @invariant()
    def at_the_rate(self) -> None:
        if self.rate_per_s is not None:
            gaps = [after - before for before, after in zip(self.starts_s, self.starts_s[1:], strict=False)]
            assert all(gap >= 1 / self.rate_per_s - 1e-9 for gap in gaps)

    def teardown(self) -> None:
        """Everybody who was not cancelled comes to their slot, and none is lost."""
        self.share = self.limiter.share = None
        self.cap = self.limiter.limit = CAP
        for _ in range(len(self.callers) + 1):
            for caller in self.callers:
                caller.leave.set()
            self.runner.run(self.clock.run_for(10.0))
            self.turns()
        assert self.callers == []
        assert (self.limiter.in_flight, self.limiter.statistics().waiting) == (0, 0)
        self.runner.run(self.given_up())
        self.runner.close()

    async def given_up(self) -> None:
        self.limiter.give_up("gone")
        try:
            async with self.limiter.slot():
                raise AssertionError("nobody is let in any more")
        except OriginGivenUpError:
            return


class PacedLimiterMachine(LimiterMachine):
    rate_per_s = 4.0


HISTORIES = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
LimiterMachine.TestCase.settings = PacedLimiterMachine.TestCase.settings = HISTORIES
TestLimiter = LimiterMachine.TestCase
TestPacedLimiter = PacedLimiterMachine.TestCase
