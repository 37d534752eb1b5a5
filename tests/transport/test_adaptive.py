"""The controller against servers made of arithmetic: it finds what they take, and keeps off what they refuse."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.transport.adaptive import OBJECT_BYTES, SETTLE_S, WALL_WAIT_S, Controller, Phase, Window
from emasync.transport.meter import Meter

STEP_S = 0.05
BEAT_S = 0.25
FIXED = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Server:
    """Its manners; `knee`: so many connections carry all that it has."""

    first_byte_s: float = 0.04
    bytes_per_s: float = 85e6
    object_bytes: int = 40_000
    knee: float = 1e9
    most: int = 1 << 20
    hangs: float = 0.0
    patience_s: float = 2.0


OBJECT_STORE = Server()
EBI = Server(first_byte_s=0.08, bytes_per_s=1.5e6, object_bytes=4_000_000, most=8, hangs=0.03)


@dataclass
class Connection:
    """One slot's request: what is left of it, seconds and bytes."""

    wait_s: float = 0.0
    left_bytes: float = 0.0
    size_bytes: int = 0
    admitted: bool = True
    hangs: bool = False
    epoch: int = 0


@dataclass
class Simulation:
    """Slots that fetch object after object, without a pause; without a controller at a fixed limit."""

    server: Server
    controller: Controller | None = None
    limit: int = 1
    now_s: float = 0.0
    done: int = 0
    done_bytes: int = 0
    refusals: int = 0
    levels: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(5)
        self._slots: list[Connection] = []
        self._meter = Meter(0.0)
        self._settled_s = SETTLE_S
        if self.controller is not None:
            self.limit = self.controller.limit

    def run(self, seconds: float) -> Simulation:
        end_s = self.now_s + seconds
        beat_s = self.now_s + BEAT_S
        while self.now_s < end_s:
            self._fill()
            pace = min(1.0, self.server.knee / len(self._slots))
            for number, slot in enumerate(list(self._slots)):
                self._advance(number, slot, STEP_S, pace)
            self.now_s += STEP_S
            self._slots = [slot for slot in self._slots if slot.size_bytes]
            if self.now_s >= beat_s:
                beat_s += BEAT_S
                self._beat()
        return self

    def _fill(self) -> None:
        admitted = sum(slot.admitted for slot in self._slots)
        while len(self._slots) < self.limit:
            admitted += 1
            self._slots.append(self._next(admitted=admitted <= self.server.most))
        self._meter.change(len(self._slots) - self._meter.active, self.now_s)

    def _next(self, *, admitted: bool = True) -> Connection:
        size_bytes = int(self.server.object_bytes * self._rng.uniform(0.5, 1.5))
        hangs = self._rng.random() < self.server.hangs
        epoch = self.controller.epoch if self.controller else 0
        wait_s = self.server.first_byte_s * self._rng.uniform(0.8, 1.2) if admitted else 0.01
        return Connection(wait_s + self.server.patience_s * hangs, size_bytes, size_bytes, admitted, hangs, epoch)

    def _advance(self, number: int, slot: Connection, left_s: float, pace: float) -> None:
        while left_s > 0 and slot.size_bytes:
            waited_s = min(left_s, slot.wait_s / pace)
            slot.wait_s = max(0.0, slot.wait_s - waited_s * pace)
            left_s -= waited_s
            if slot.wait_s > 1e-9:
                return
            if not slot.admitted:
                self._refuse(number, slot)
                return
            came = min(slot.left_bytes, left_s * pace * self.server.bytes_per_s)
            slot.left_bytes -= came
            left_s -= came / (pace * self.server.bytes_per_s)
            self.done_bytes += int(came)
            if slot.size_bytes >= OBJECT_BYTES:
                self._meter.came(int(came))
            if slot.left_bytes > 0.5:
                return
            self._finish(slot)

    def _finish(self, slot: Connection) -> None:
        self.done += 1
        self._meter.answers += 1
        self._meter.stalled += slot.hangs
        if slot.size_bytes < OBJECT_BYTES:
            self._meter.delivered(slot.size_bytes)
        following = self._next()
        slot.wait_s, slot.left_bytes, slot.size_bytes = following.wait_s, following.left_bytes, following.size_bytes
        slot.hangs, slot.epoch = following.hangs, following.epoch
        if len(self._slots) > self.limit:
            slot.size_bytes = 0
            self._slots = [other for other in self._slots if other.size_bytes]

    def _refuse(self, number: int, slot: Connection) -> None:
        self.refusals += 1
        slot.size_bytes = 0
        if self.controller is not None:
            self._apply(self.controller.refused(self.now_s, slot.epoch, number, throttled=True))

    def _beat(self) -> None:
        if self.controller is None:
            return
        if self.now_s < self._settled_s:
            self._meter.restart(self.now_s)
            return
        window = self._meter.window(self.now_s, self.limit)
        if self.controller.ripe(window):
            self._apply(self.controller.observe(window))
            self._meter.restart(self.now_s)

    def _apply(self, limit: int) -> None:
        assert self.controller is not None
        assert 1 <= limit <= self.controller.cap
        if limit != self.limit:
            self.levels.append((round(self.now_s, 2), limit))
            self.limit, self._settled_s = limit, self.now_s + SETTLE_S
            self._meter.restart(self.now_s)


def best_fixed(server: Server, seconds: float = 60.0) -> int:
    return max(Simulation(server, limit=limit).run(seconds).done_bytes for limit in FIXED if limit <= server.most)


# --- sixty seconds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "cap", "start"),
    [
        pytest.param(OBJECT_STORE, 128, 16, id="object store"),
        pytest.param(OBJECT_STORE, 128, 8, id="object store that nobody knows"),
        pytest.param(EBI, 64, 8, id="eight connections"),
        pytest.param(replace(EBI, most=5), 64, 8, id="five connections"),
        pytest.param(replace(OBJECT_STORE, knee=40), 128, 16, id="requests a second"),
        pytest.param(replace(EBI, most=1 << 20, hangs=0.0, knee=20), 64, 8, id="bandwidth"),
        pytest.param(replace(EBI, most=1 << 20, hangs=0.0, knee=1.5), 64, 8, id="a thin line"),
        pytest.param(Server(first_byte_s=0.3, object_bytes=270_000), 128, 16, id="far away"),
    ],
)
def test_nine_tenths_of_the_best_fixed_limit(server: Server, cap: int, start: int) -> None:
    ours = Simulation(server, Controller(cap, start)).run(60.0)
    assert ours.done_bytes >= 0.9 * best_fixed(server), ours.levels


def test_a_fast_object_store_gets_128_connections_within_four_seconds() -> None:
    found = Simulation(OBJECT_STORE, Controller(128, 16)).run(4.0)
    assert found.levels[-1][1] == 128


def test_a_server_that_refuses_is_left_alone() -> None:
    """It is tried again, but ever more rarely."""
    found = Simulation(EBI, Controller(64, 8)).run(60.0)
    first = found.refusals
    assert found.limit <= 9
    assert first <= 30
    assert found.run(600.0).refusals - first <= 20


@pytest.mark.parametrize(("knee", "most"), [(4, 8), (12, 24), (40, 64)])
def test_connections_that_bring_nothing_are_given_up(knee: float, most: int) -> None:
    found = Simulation(replace(OBJECT_STORE, knee=knee), Controller(128, 16)).run(300.0)
    assert knee * 0.9 <= found.limit <= most, found.levels


# --- single decisions ----------------------------------------------------------------------------------------------


def window(ended_s: float, objects: int, **changes: float) -> Window:
    base = Window(
        ended_s=ended_s,
        duration_s=1.0,
        used=1.0,
        objects=objects,
        large_bytes=0,
        received_bytes=objects * 1000,
        answers=objects,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # fields as named


def test_no_growth_while_something_else_is_the_limit() -> None:
    controller = Controller(64, 8)
    for second in range(100):
        controller.observe(window(second, 1000 * (second + 1), used=0.89))
    assert (controller.limit, controller.phase, controller.found) == (8, Phase.START, None)
    controller.observe(window(100, 1000, used=0.9))
    assert controller.limit == 16


def test_other_work_is_not_compared() -> None:
    """Large objects after small ones: more bytes, fewer objects, and nothing learnt."""
    controller = Controller(64, 8)
    controller.observe(window(1, 400))
    assert controller.limit == 16
    controller.observe(window(2, 10, large_bytes=2000 << 20))
    assert controller.limit == 16
    controller.observe(window(3, 10, large_bytes=2000 << 20))
    assert controller.limit == 32


def test_no_gain_is_looked_at_twice_and_then_taken_back() -> None:
    controller = Controller(64, 8)
    controller.observe(window(1, 400))
    assert controller.observe(window(2, 405)) == 16
    assert controller.observe(window(3, 410)) == 8
    assert (controller.phase, controller.found) == (Phase.STEADY, 8)


def test_one_request_is_no_congestion_however_often_it_is_refused() -> None:
    controller = Controller(64, 8)
    for number in range(20):
        controller.refused(number * 0.01, controller.epoch, 7, throttled=True)
    controller.refused(0.3, controller.epoch, 8, throttled=False)
    assert controller.limit == 8
    controller.refused(1.4, controller.epoch, 9, throttled=False)
    assert controller.limit == 8  # within more than a second
    controller.refused(1.5, controller.epoch, 10, throttled=False)
    controller.refused(1.6, controller.epoch, 11, throttled=False)
    assert controller.limit == 5


def storm(controller: Controller, at_s: float, *, served: bool) -> None:
    epoch = controller.epoch
    for who in range(controller.limit):
        controller.refused(at_s, epoch, who, throttled=True, held=True, served=served)


def test_a_storm_costs_no_level_that_was_well() -> None:
    controller = Controller(64, 16, proven=True)
    controller.observe(window(1, 800))
    storm(controller, 1.5, served=True)
    assert (controller.limit, controller.phase, controller.found) == (11, Phase.RETURN, 16)
    for at_s in (4, 7, 10):
        storm(controller, at_s, served=False)  # it refuses everybody still
    assert (controller.limit, controller.phase) == (11, Phase.RETURN)
    assert controller.ripe(replace(window(12, 100), duration_s=0.5)), "on the way back half a second tells enough"
    assert controller.observe(window(12, 550)) == 16
    assert repr(controller) == "<Controller steady: 16 of 64>"


def test_a_level_that_is_refused_soon_after_coming_back_was_too_much() -> None:
    controller = Controller(64, 16, proven=True)
    storm(controller, 1.5, served=True)
    controller.observe(window(4, 550))
    assert controller.limit == 16
    storm(controller, 9.0, served=True)
    assert repr(controller) == "<Controller steady: 11 of 64, refused at 16>"
    later = Controller(64, 16, proven=True)
    storm(later, 1.5, served=True)
    later.observe(window(4, 550))
    storm(later, 15.0, served=True)
    assert later.phase is Phase.RETURN, "another storm"


def test_refusals_on_the_way_back_are_about_the_level() -> None:
    controller = Controller(64, 40, proven=True)
    storm(controller, 1.5, served=True)
    assert controller.limit == 28
    storm(controller, 4.0, served=True)
    assert repr(controller) == "<Controller steady: 19 of 64, refused at 28>"


def test_steps_of_the_way_back() -> None:
    controller = Controller(64, 1, proven=True)
    storm(controller, 1.5, served=True)
    for who in range(3):
        controller.refused(1.5, controller.epoch, who, throttled=True, held=True)
    assert (controller.limit, controller.phase) == (1, Phase.RETURN)
    assert controller.observe(window(4, 50)) == 1
    wide = Controller(64, 64, proven=True)
    storm(wide, 1.5, served=True)
    assert wide.limit == 44
    storm(wide, 4.0, served=False)
    assert wide.observe(window(5, 2200)) == 64


def test_refusals_of_what_began_before_are_no_news() -> None:
    controller = Controller(64, 40)
    began = controller.epoch
    for who in range(40):
        controller.refused(1.0, began, who, throttled=True)
    assert (controller.limit, controller.epoch) == (28, began + 1)


def test_a_few_in_a_hundred_add_up() -> None:
    controller = Controller(64, 10)
    for who in range(8):
        controller.refused(who * 0.6, controller.epoch, who, throttled=False)
    controller.observe(window(5, 100, answers=152))
    assert controller.limit == 20  # 8 of 160
    for who in range(8):
        controller.refused(10 + who * 0.6, controller.epoch, who, throttled=False)
    controller.observe(window(15, 100, answers=150))
    assert controller.limit == 10


def test_the_level_that_was_refused_is_tried_again_after_growing_times() -> None:
    controller = Controller(64, 8)
    controller.observe(window(0, 400))
    for who in range(3):
        controller.refused(0.5, controller.epoch, who, throttled=True)
    assert controller.limit == 8
    refused_s = [0.5]
    highest = 0
    for second in range(1, 2000):
        epoch = controller.epoch
        limit = controller.observe(window(second, 50 * controller.limit))
        if limit > 8:
            highest = max(highest, limit)
            controller.refused(second + 0.5, epoch, 1, throttled=True)
            refused_s.append(second + 0.5)
            assert controller.limit == 8
    gaps = [later - sooner for sooner, later in pairwise(refused_s[4:])]
    assert highest == 10
    assert gaps[0] >= WALL_WAIT_S
    assert len(refused_s) < 16
    assert gaps[-1] >= 300


def test_where_much_stalls_fewer_are_asked_at_once() -> None:
    controller = Controller(64, 20)
    controller.observe(window(1, 100, stalled=30))
    assert controller.limit == 20  # less than a quarter: nothing learnt
    controller.observe(window(2, 100, stalled=40))
    assert (controller.limit, controller.phase) == (14, Phase.START)


def test_a_few_stalls_are_not_the_rate_of_the_origin() -> None:
    controller = Controller(64, 8)
    controller.observe(window(1, 100, stalled=1))
    assert controller.limit == 8


def test_what_an_earlier_run_found_is_no_slow_start() -> None:
    controller = Controller(64, 40, proven=True)
    controller.observe(window(1, 4000))
    assert (controller.limit, controller.phase, controller.found) == (40, Phase.STEADY, 40)
    assert repr(controller) == "<Controller steady: 40 of 64>"


def test_a_probe_without_a_verdict_ends() -> None:
    controller = Controller(64, 40, proven=True)
    seconds = iter(range(1000))
    while controller.phase is Phase.STEADY:
        controller.observe(window(next(seconds), 4000))
    assert (controller.limit, controller.phase, controller.found) == (50, Phase.UP, 40)
    for _ in range(3):
        controller.observe(window(next(seconds), 4000, used=0.5))
    assert (controller.limit, controller.phase) == (40, Phase.STEADY)


# --- whatever comes --------------------------------------------------------------------------------------------------

windows = st.builds(
    Window,
    ended_s=st.just(0.0),
    duration_s=st.floats(0.01, 20),
    used=st.floats(0, 1.5),
    objects=st.integers(0, 10_000),
    large_bytes=st.integers(0, 10**10),
    received_bytes=st.integers(0, 10**10),
    answers=st.integers(0, 10_000),
    stalled=st.integers(0, 100),
)
refusals = st.tuples(st.integers(-1, 0), st.integers(0, 5), st.booleans(), st.booleans(), st.booleans())


@given(
    cap=st.integers(1, 256),
    start=st.integers(1, 300),
    proven=st.booleans(),
    happenings=st.lists(st.tuples(st.floats(0, 30), windows | refusals), max_size=60),
)
def test_the_limit_stays_between_one_and_the_cap(
    cap: int, start: int, proven: bool, happenings: list[tuple[float, Window | tuple[int, int, bool, bool, bool]]]
) -> None:
    controller = Controller(cap, start, proven=proven)
    now_s = 0.0
    for after_s, what in happenings:
        now_s += after_s
        before = (controller.limit, controller.epoch)
        if isinstance(what, Window):
            limit = controller.observe(replace(what, ended_s=now_s))
        else:
            ago, who, throttled, held, served = what
            epoch = controller.epoch + ago
            limit = controller.refused(now_s, epoch, who, throttled=throttled, held=held, served=served)
            assert limit <= before[0]
        assert 1 <= limit <= cap
        assert limit == controller.limit
        assert limit <= 2 * before[0]
        assert controller.epoch - before[1] == (limit < before[0])
        assert controller.found is None or 1 <= controller.found <= cap
