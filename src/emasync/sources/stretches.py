"""Which stretches of a key space are listed side by side: plain state, no I/O.

A listing is cut at guessed keys into stretches. Each is listed from its lower end by a listing of its own, until that
shows the first key behind its upper end. With this key the next stretch must begin, unless others came into being
before it since. So every seam is proven by two answers, and what is handed on is what one listing from beginning to
end would have given, however wrong a guess was. Where a seam does not hold, because a server lies about
``start-after`` or a key has gone, the listing before it goes on over the stretch behind it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from operator import attrgetter

from emasync.sources.cuts import Cuts, Place
from emasync.sources.keyspace import Spacing
from emasync.transport.interface import ListedObject, ListPage

LANES = 16
"""Stretches that are listed at the same time; the origin's limiter may let fewer in."""

PAGES_AHEAD = 8
"""Pages that a stretch may have waiting before its turn: its seam should be proven by then."""

ROWS_AHEAD = 8_000
"""The same in rows, for servers with longer pages (law 4)."""

MOST_ROWS = 160_000
"""Rows that may wait altogether, about 55 MB, give or take what is on its way."""

MAX_STRIKES = 3
"""Seams that did not hold before a server is listed page after page."""

KEY_OF = attrgetter("key")


class Phase(Enum):
    """How far the listing of a stretch is."""

    PENDING = auto()
    """Nobody lists it."""
    WALKING = auto()
    CROSSED = auto()
    """It has come to its upper end, or to the end of everything; its seam is not proven."""
    DONE = auto()


@dataclass(slots=True, eq=False)
class Stretch:
    """Keys behind `after`, up to `upto` (mutable).

    Attributes
    ----------
    after : str or None
        Exclusive; None: from the beginning.
    upto : str or None
        Inclusive; None: to the end.
    guessed : bool
        Whether nobody knows if something lies at `after`.
    at : str
        Last key of its own; before that, `after`.
    pages : deque of ListPage
        Waiting for their turn.
    rows : int
        In them.
    opening : sequence of str
        Keys of the first page of its listing, whether its own or not.
    beyond : tuple of ListedObject
        Rows that came along from behind `upto`.
    spacing : Spacing or None
        Of its latest page.
    refused : tuple of (str, str or None, bool) or None
        `at`, `upto` and whether it was to be halved, when no place to cut at was found.
    ended : bool
        The listing is at the end of everything.
    strayed : bool
        The server answered with what comes before `after`.
    proven : bool
        Whether its lower end was seen from the other side.
    error : Exception or None
        Why the listing broke off.
    """

    after: str | None
    upto: str | None
    guessed: bool = False
    phase: Phase = Phase.PENDING
    at: str = ""
    pages: deque[ListPage] = field(default_factory=deque)
    rows: int = 0
    opening: Sequence[str] = ()
    beyond: tuple[ListedObject, ...] = ()
    spacing: Spacing | None = None
    refused: tuple[str, str | None, bool] | None = None
    ended: bool = False
    strayed: bool = False
    proven: bool = False
    error: Exception | None = None

    @property
    def known(self) -> bool:
        """Whether it is known what its listing begins with."""
        return bool(self.opening) or self.ended

    @property
    def failed(self) -> bool:
        """Whether its listing broke off, or strayed, before anything of it could be used."""
        return self.strayed or (self.error is not None and not self.known)

    @property
    def full(self) -> bool:
        """Whether enough of it waits."""
        return len(self.pages) >= PAGES_AHEAD or self.rows >= ROWS_AHEAD

    @property
    def waits(self) -> bool:
        """Whether its listing is to ask for no further page now."""
        return self.phase is Phase.CROSSED or self.full

    @property
    def over(self) -> bool:
        """Whether nothing of it is left."""
        return self.phase is Phase.DONE and not self.pages and self.error is None

    def take(self, page: ListPage) -> None:
        """Keep what is its own of a page of its listing."""
        self.beyond, self.ended = page.objects, page.last
        self.reach(self.upto)

    def reach(self, upto: str | None) -> None:
        """End at `upto`, and take over what came along from before that."""
        self.upto, rows = upto, self.beyond
        count = len(rows)
        if upto is not None and rows and rows[-1].key > upto:
            count = bisect_right(rows, upto, key=KEY_OF)
        own, self.beyond = rows[:count], rows[count:]
        if own:
            self.pages.append(ListPage(objects=own, last=False))
            self.rows += len(own)
            self.at = own[-1].key
        self.phase = Phase.CROSSED if self.beyond or self.ended else Phase.WALKING

    def give(self) -> ListPage:
        """The next page."""
        page = self.pages.popleft()
        self.rows -= len(page.objects)
        return page

    def drop(self, phase: Phase) -> None:
        """Forget what was listed; where it begins is still known."""
        self.pages.clear()
        self.rows, self.beyond, self.at, self.phase, self.ended = 0, (), self.after or "", phase, False
        self.error = None


class Stretches:
    """All stretches under way, in key order. Methods change the state at once; the caller starts and stops listings.

    Parameters
    ----------
    prefix : str
        Of all keys.
    start_after : str or None

    Attributes
    ----------
    cuts : Cuts
    starved : bool
        Whether somebody waits for the next page.
    """

    def __init__(self, prefix: str, start_after: str | None) -> None:
        self.cuts = Cuts(prefix)
        self.starved = False
        self._stretches = [Stretch(start_after, None, at=start_after or prefix, proven=True)]
        self._cutting = True
        self._strikes = 0

    def __repr__(self) -> str:
        rows = sum(stretch.rows for stretch in self._stretches)
        return f"<Stretches: {len(self._stretches)} under way, {rows} rows wait>"

    def __iter__(self) -> Iterator[Stretch]:
        return iter(self._stretches)

    @property
    def front(self) -> Stretch | None:
        """The stretch whose turn it is; None at the end."""
        return self._stretches[0] if self._stretches else None

    # --- pages -------------------------------------------------------------------------------------------------

    def page(self) -> ListPage | None:
        """The next page in key order, if it is there.

        Raises
        ------
        Exception
            What the listing broke off with, behind all pages that come before.
        """
        while (front := self.front) is not None:
            if front.pages:
                page = front.give()
                alone = len(self._stretches) == 1 and not front.pages
                return ListPage(objects=page.objects, last=alone and front.ended)
            if front.error is not None:
                raise front.error
            if not front.over:
                return None
            del self._stretches[0]
        return None

    def took(self, stretch: Stretch, page: ListPage) -> None:
        """A page came in for `stretch`."""
        if page.start_ignored:
            self._cutting = False
            stretch.strayed = not stretch.proven
        if stretch.strayed:
            stretch.phase = Phase.DONE
        else:
            self._learn(stretch, page)
            stretch.take(page)
        self._settle()

    def _learn(self, stretch: Stretch, page: ListPage) -> None:
        keys = list(map(KEY_OF, page.objects))
        before = stretch.at if stretch.opening else None
        if not stretch.known and (keys or page.last):
            stretch.opening = keys
            if stretch.guessed:
                self.cuts.judge(empty=not keys or (stretch.upto is not None and keys[0] > stretch.upto))
        stretch.spacing = self.cuts.learn(keys, before, whole=not page.last) or stretch.spacing

    def failed(self, stretch: Stretch, error: Exception) -> None:
        """The listing of `stretch` broke off."""
        stretch.error, stretch.phase = error, Phase.DONE
        self._settle()

    # --- seams -------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Prove the seams that can be, and let stretches go on over those that do not hold."""
        position = 0
        while position < len(self._stretches):
            stretch = self._stretches[position]
            follower = self._stretches[position + 1] if position + 1 < len(self._stretches) else None
            if stretch.phase is not Phase.CROSSED or (follower is not None and _may_tell(follower)):
                position += 1
            elif follower is None or _agree(stretch, follower):
                stretch.phase, stretch.beyond = Phase.DONE, ()
                if follower is not None:
                    follower.proven = True
                position += 1
            else:
                self._go_over(stretch, follower)

    def _go_over(self, stretch: Stretch, follower: Stretch) -> None:
        """The listing of `stretch` takes the place of its follower's."""
        if follower.known or follower.failed:
            self._strikes += 1
            self._cutting &= self._strikes < MAX_STRIKES
        self._stretches.remove(follower)
        follower.drop(Phase.DONE)
        stretch.reach(follower.upto)

    # --- what is listed next -----------------------------------------------------------------------------------

    def start(self) -> Stretch | None:
        """A stretch whose listing is to be started now, cut off another one where need be."""
        found = self._next(halve=False)
        return found if found is not None or not self.starved else self._next(halve=True)

    def _next(self, *, halve: bool) -> Stretch | None:
        """The first stretch in key order that can be started (`halve`: cut off one that is not long any more)."""
        free = self._free()
        for stretch in list(self._stretches):
            if stretch.phase is Phase.PENDING:
                if not free and stretch is not self.front:
                    return None
                stretch.phase = Phase.WALKING
                return stretch
            spare = None if free else self._spare(stretch)
            if (free or spare) and (made := self._cut(stretch, halve=halve)) is not None:
                if spare is not None:
                    spare.drop(Phase.PENDING)
                made.phase = Phase.WALKING
                return made
        return None

    def _free(self) -> bool:
        """Whether there is a lane, and room for what it would bring."""
        walking = sum(stretch.phase is Phase.WALKING and not stretch.full for stretch in self._stretches)
        waiting = sum(stretch.rows for stretch in self._stretches)
        return walking < LANES and waiting + (walking + 1) * self.cuts.rows(ROWS_AHEAD) <= MOST_ROWS

    def _spare(self, stretch: Stretch) -> Stretch | None:
        """What was listed too far ahead, where room for it would be of more use next to `stretch`."""
        if not self.starved:
            return None
        last = next((item for item in reversed(self._stretches) if item.phase is not Phase.PENDING), stretch)
        apart = last is not stretch and last is not self.front
        return last if apart and last.rows and (last.waits or last.phase is Phase.DONE) and not last.error else None

    def _cut(self, stretch: Stretch, *, halve: bool) -> Stretch | None:
        """Cut a stretch in two where that is worth it; gives the second one."""
        here = (stretch.at, stretch.upto, halve)
        ready = self._cutting and self.cuts.page_rows and stretch.phase is Phase.WALKING
        if not ready or stretch.refused == here:
            return None
        place = self._place(stretch)
        if not self.cuts.may_find(place):
            return None
        cut = self.cuts.find(place, self.cuts.rows(ROWS_AHEAD), halve=halve)
        if cut is None:
            stretch.refused = here
            return None
        made = Stretch(cut.key, stretch.upto, guessed=not cut.certain, at=cut.key)
        stretch.upto = cut.key
        self._stretches.insert(self._stretches.index(stretch) + 1, made)
        return made

    def _place(self, stretch: Stretch) -> Place:
        """Where `stretch` stands; keys are as close there as on its latest page, or on the nearest one before it."""
        spacing = None
        for item in self._stretches:
            spacing = item.spacing or spacing
            if item is stretch:
                break
        return Place(
            at=stretch.at,
            upto=stretch.upto,
            spacing=spacing,
            unknown=sum(map(_may_tell, self._stretches)),
        )


def _may_tell(stretch: Stretch) -> bool:
    """Whether its listing will say what it begins with."""
    return stretch.phase is Phase.WALKING and not (stretch.known or stretch.failed)


def _agree(stretch: Stretch, follower: Stretch) -> bool:
    """Whether the listing of the follower begins with what `stretch` saw behind its end; keys may have come before it.

    Being behind that is not enough: of a server that sorts in another order, neither listing would see what lies
    between them.
    """
    if follower.failed or not follower.known:
        return False
    return not stretch.beyond or stretch.beyond[0].key in follower.opening
