"""How many requests at once an origin takes well: found by trying (law 6). Pure: values in, a limit out.

Slow start first: the limit doubles as long as that brings more. Then gentle probes: a little more now and then, kept
where it brings more; a little less now and then, kept where nothing is lost. Refusals take the limit back at once, and
the level that was refused is remembered: it is tried again rarely, after growing times. Not so where a level that was
well is refused with a plea for patience: then it may be everybody who is refused, whatever he asks for. Such a level is
gone back to in steps of half a second, once; what is refused again soon afterwards was too much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

OBJECT_BYTES = 1 << 20
"""What an object counts as at least. So the work of small objects is objects a second, that of large ones bytes."""

EVIDENCE_BYTES = 256 << 10
"""Bytes of large objects that say as much about a rate as one small object."""

START_WINDOW_S = 0.5
WINDOW_S = 1.0
LONGEST_WINDOW_S = 10.0

ROUNDS, FEW = 4, 8
"""A window ends when there were so many small objects for each slot, with no fewer slots than these."""

SETTLE_S = 0.25
"""After a change: connections are made, windows of congestion open."""

FULL = 0.9
"""Part of the slots that must have been in use, else something other than the limit was the limit (law 6)."""

STALLED = 0.05
"""Stalls, as part of the limit, beyond which a window's rate is that of the stalls."""

SICK = 0.25
"""Part of the requests that stall when it is the origin that is slow: fewer at once, then (law 7)."""

DOUBLING_GAIN = 0.12
"""Part of a doubling's ideal gain that makes it worth another one."""

KEEPING_GAIN = 0.05
"""Part of a doubling's ideal gain that makes it worth keeping."""

STEP_GAIN = 0.2
"""Part of a step's ideal gain that makes it worth keeping: 5 % for a quarter more."""

KEPT = 0.95
"""Part of the best rate seen that fewer connections have to keep."""

FADE = 0.99
"""The best rate seen counts so much less with each window."""

MIX = 0.3
"""Windows whose parts of small objects differ by more say nothing about each other."""

BURST = 3
BURST_S = 1.0
REFUSED = 0.05
"""One refusal is not congestion: so many within so long are, or this part of all answers (law 6)."""

BACK_OFF = 0.7
RETURN = 1.5
"""Steps of the way back to a level that was well before all was refused."""

UP_WAIT_S, LONGEST_UP_WAIT_S = 3.0, 120.0
DOWN_WAIT_S, LONGEST_DOWN_WAIT_S = 12.0, 300.0
WALL_WAIT_S, LONGEST_WALL_WAIT_S = 10.0, 600.0

PATIENCE = 3
"""Windows without a verdict after which a probe is given up."""


class Phase(StrEnum):
    """What a controller is doing."""

    START = "slow start"
    STEADY = "steady"
    UP = "trying more"
    DOWN = "trying fewer"
    RETURN = "coming back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a span of time showed, at one limit.

    Attributes
    ----------
    ended_s : float
        Of the monotonic clock.
    duration_s : float
    used : float
        Part of the limit's slots that waited for the network, 0 to 1: neither free, nor held up by memory, disk, a
        rate or a cap of our own.
    objects : int
        Answers with less than :data:`OBJECT_BYTES` that came whole.
    large_bytes : int
        Bytes of other answers.
    received_bytes : int
        All bytes.
    answers : int
        Whatever they said.
    stalled : int
    """

    ended_s: float
    duration_s: float
    used: float
    objects: int
    large_bytes: int
    received_bytes: int
    answers: int
    stalled: int = 0

    @property
    def evidence(self) -> float:
        """How much there is to judge by, in small objects."""
        return self.objects + self.large_bytes / EVIDENCE_BYTES


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured at one limit.

    Attributes
    ----------
    limit : int
    rate : float
        Work, bytes a second.
    small : float
        Part of small objects in it, 0 to 1.
    """

    limit: int
    rate: float
    small: float

    def compares_to(self, other: Level) -> bool:
        """Whether both measured the same kind of work."""
        return abs(self.small - other.small) <= MIX and min(self.rate, other.rate) > 0

    def gains_on(self, other: Level, part: float) -> bool:
        """Whether this higher level brings at least `part` of what its connections ideally would."""
        return self.rate >= other.rate * (1 + part * (self.limit / other.limit - 1))


class Controller:
    """Decides on the limit of one origin.

    Parameters
    ----------
    cap : int
        Never more than this.
    start : int
        Where to begin.
    proven : bool
        `start` is what an earlier run found: no slow start.

    Attributes
    ----------
    limit : int
    epoch : int
        Counts the times the limit was lowered: a refusal of a request that began before is no news.
    phase : Phase
    goodput_bytes_per_s : float
        Of the last window.
    """

    def __init__(self, cap: int, start: int, *, proven: bool = False) -> None:
        self.cap = max(1, cap)
        self.limit = max(1, min(start, self.cap))
        self.epoch = 0
        self.phase = Phase.STEADY if proven or self.limit == self.cap else Phase.START
        self.goodput_bytes_per_s = 0.0
        self._judged = False
        self._base: Level | None = None  # what the present level is compared with
        self._looked: Level | None = None  # what the first look at the present level showed
        self._looks = 0  # windows of a probe without a verdict
        self._best_rate = 0.0
        self._wall: int | None = None  # lowest level that was refused
        self._wall_until_s = 0.0
        self._wall_wait_s = WALL_WAIT_S
        self._return_to = 0  # the level that was well before all was refused
        self._returned_until_s = 0.0  # a refusal before that is about the level
        self._up_at_s: float | None = None
        self._up_wait_s = UP_WAIT_S
        self._down_at_s = 0.0
        self._down_wait_s = DOWN_WAIT_S
        self._refusals: dict[int, float] = {}  # whose request, and when; of this window

    def __repr__(self) -> str:
        wall = "" if self._wall is None else f", refused at {self._wall}"
        return f"<Controller {self.phase}: {self.limit} of {self.cap}{wall}>"

    @property
    def found(self) -> int | None:
        """The limit that was found to be good; None as long as that is not known."""
        return self._former() if self._judged and self.phase is not Phase.START else None

    # --- windows -----------------------------------------------------------------------------------------------

    def ripe(self, window: Window) -> bool:
        """Whether `window` is long enough to be observed."""
        least_s = START_WINDOW_S if self.phase in (Phase.START, Phase.RETURN) else WINDOW_S
        enough = window.evidence >= ROUNDS * max(self.limit, FEW) and window.duration_s >= least_s
        return enough or window.duration_s >= LONGEST_WINDOW_S

    def observe(self, window: Window) -> int:
        """Take the next window; gives the limit from now on."""
        self.goodput_bytes_per_s = window.received_bytes / window.duration_s
        if self._up_at_s is None:
            self._schedule(window.ended_s)
        refused = len(self._refusals)
        self._forget_refusals(window.ended_s)
        if refused >= BURST and refused > REFUSED * (window.answers + refused):
            self._back_off(window.ended_s)
        elif window.stalled >= BURST and window.stalled > SICK * (window.answers + window.stalled):
            self._start_again()
        elif window.used < FULL or window.stalled > STALLED * self.limit or window.evidence < self.limit:
            self._no_verdict(window.ended_s)
        else:
            self._judge(window)
        return self.limit

    def _judge(self, window: Window) -> None:
        self._judged = True
        work = window.objects * OBJECT_BYTES + window.large_bytes
        level = Level(self.limit, work / window.duration_s, window.objects * OBJECT_BYTES / work)
        match self.phase:
            case Phase.START:
                self._start(level, window.ended_s)
            case Phase.STEADY:
                self._hold(level, window.ended_s)
            case Phase.UP:
                self._tried_more(level, window.ended_s)
            case Phase.DOWN:
                self._tried_fewer(level, window.ended_s)
            case Phase.RETURN:
                self._come_back(window.ended_s)

    def _no_verdict(self, now_s: float) -> None:
        if self.phase in (Phase.UP, Phase.DOWN):
            self._looks += 1
            if self._looks >= PATIENCE:
                self._settle(self._former(), now_s)

    # --- slow start --------------------------------------------------------------------------------------------

    def _start(self, level: Level, now_s: float) -> None:
        base, looked = self._base, self._looked
        mean = level if looked is None else replace(level, rate=(level.rate + looked.rate) / 2)
        if base is None:
            self._double(level, now_s)
        elif not level.compares_to(base):
            self._base = self._looked = None
        elif mean.gains_on(base, DOUBLING_GAIN):
            self._double(mean, now_s)
        elif looked is None:
            self._looked = level  # connections may still be growing: look once more
        else:
            self._settle(level.limit if mean.gains_on(base, KEEPING_GAIN) else base.limit, now_s)

    def _double(self, level: Level, now_s: float) -> None:
        ceiling = self.cap if self._wall is None else min(self.cap, self._wall - 1)
        self._base, self._looked = level, None
        if self.limit >= ceiling:
            self._settle(self.limit, now_s)
        else:
            self._set(min(ceiling, 2 * self.limit))

    def _start_again(self) -> None:
        """Everything is slow: begin again from less."""
        self.phase, self._base, self._looked, self._best_rate = Phase.START, None, None, 0.0
        self._set(int(self.limit * BACK_OFF))

    # --- probes ------------------------------------------------------------------------------------------------

    def _settle(self, limit: int, now_s: float) -> None:
        self.phase, self._base, self._looks = Phase.STEADY, None, 0
        self._set(limit)
        self._schedule(now_s)

    def _schedule(self, now_s: float) -> None:
        self._up_at_s = now_s + self._up_wait_s
        self._down_at_s = max(self._down_at_s, now_s + self._down_wait_s)

    def _hold(self, level: Level, now_s: float) -> None:
        if self._base is not None and not level.compares_to(self._base):
            self._best_rate = 0.0
        self._base = level
        self._best_rate = max(self._best_rate * FADE, level.rate)
        if self._up_at_s is not None and now_s >= self._up_at_s and (target := self._above(now_s)) > self.limit:
            self._probe(Phase.UP, target)
        elif now_s >= self._down_at_s and self.limit > 1:
            self._probe(Phase.DOWN, self.limit - max(1, self.limit // 5))

    def _probe(self, phase: Phase, target: int) -> None:
        self.phase, self._looks = phase, 0
        self._set(target)

    def _above(self, now_s: float) -> int:
        """The next level to try; not above the limit when there is none now."""
        target = min(self.cap, self.limit + max(1, self.limit // 4))
        if self._wall is None or target < self._wall:
            return target
        if now_s < self._wall_until_s:
            return self._wall - 1
        return min(self.cap, self.limit + max(1, self.limit // 8))

    def _tried_more(self, level: Level, now_s: float) -> None:
        base = self._base
        if base is None or not level.compares_to(base) or not level.gains_on(base, STEP_GAIN):
            self._up_wait_s = min(2 * self._up_wait_s, LONGEST_UP_WAIT_S)
            self._settle(self._former(), now_s)
            return
        if self._wall is not None and level.limit >= self._wall:
            self._wall, self._wall_wait_s = None, WALL_WAIT_S
        self._up_wait_s = UP_WAIT_S
        self._settle(level.limit, now_s)
        self._base, self._best_rate, self._up_at_s = level, level.rate, now_s

    def _tried_fewer(self, level: Level, now_s: float) -> None:
        base = self._base
        if base is not None and level.compares_to(base) and level.rate >= KEPT * self._best_rate:
            self._down_wait_s = DOWN_WAIT_S
            self._settle(level.limit, now_s)
            return
        self._down_wait_s = min(2 * self._down_wait_s, LONGEST_DOWN_WAIT_S)
        self._settle(self._former(), now_s)

    def _former(self) -> int:
        if self.phase is Phase.RETURN:
            return self._return_to
        return self.limit if self._base is None else self._base.limit

    # --- refusals ----------------------------------------------------------------------------------------------

    def refused(
        self, at_s: float, epoch: int, who: int, *, throttled: bool, held: bool = False, served: bool = True
    ) -> int:
        """The origin threw a request back; gives the limit from now on.

        Parameters
        ----------
        at_s : float
            Of the monotonic clock.
        epoch : int
            :attr:`epoch` when the request began.
        who : int
            Tells requests apart: one that tries again and again is one.
        throttled : bool
            By an answer that says so (429, 503), not by a reset.
        held : bool
            It said how long to wait (Retry-After), and everybody does.
        served : bool
            Something was served since the last time that everybody waited.
        """
        if epoch != self.epoch or (held and not served and self.phase is Phase.RETURN):
            return self.limit  # no news: all is refused still, and fewer requests would not change that
        self._refusals[who] = at_s
        lately = sum(at_s - then_s <= BURST_S for then_s in self._refusals.values())
        if lately >= (self._enough() if throttled else BURST):
            if held and self.phase in (Phase.STEADY, Phase.DOWN) and at_s >= self._returned_until_s:
                self._stand_back()
            else:
                self._back_off(at_s)
        return self.limit

    def _stand_back(self) -> None:
        """Begin with less when the wait is over, and come back soon."""
        self._return_to = self._former()
        self.phase, self._base, self._looks = Phase.RETURN, None, 0
        self._set(int(self.limit * BACK_OFF))

    def _come_back(self, now_s: float) -> None:
        if (limit := max(self.limit + 1, int(self.limit * RETURN))) < self._return_to:
            self._set(limit)
        else:
            self._settle(self._return_to, now_s)
            self._returned_until_s = now_s + WALL_WAIT_S

    def _enough(self) -> int:
        """Plain refusals that settle it: fewer where the level is only being tried."""
        if self.phase is Phase.UP:
            return 1
        return 2 if self.phase is Phase.START and self._base is not None else BURST

    def _forget_refusals(self, now_s: float) -> None:
        """Those of the last moment may be the beginning of more."""
        self._refusals = {who: at_s for who, at_s in self._refusals.items() if now_s - at_s <= BURST_S}

    def _back_off(self, now_s: float) -> None:
        """To the level that was well before, where this one was only tried; else by a good part."""
        former = self._former()
        fewer = former if self.phase in (Phase.START, Phase.UP) and former < self.limit else int(self.limit * BACK_OFF)
        self._wall, self._wall_until_s = self.limit, now_s + self._wall_wait_s
        self._wall_wait_s = min(2 * self._wall_wait_s, LONGEST_WALL_WAIT_S)
        self._settle(fewer, now_s)

    def _set(self, limit: int) -> None:
        limit = max(1, min(limit, self.cap))
        if limit < self.limit:
            self.epoch += 1
        if limit != self.limit:
            self._refusals.clear()
        self.limit = limit
