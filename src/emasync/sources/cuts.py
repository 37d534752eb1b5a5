"""Where a listing may be cut: keys guessed from pages that were seen, and names of folders. No I/O.

What is guessed decides nothing but speed: see ``stretches.py``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from emasync.sources.keyspace import KeySpace, Ruler, Spacing

CUT_PAGES = 4.75
"""Pages that a stretch is cut for: a little less than five, for exact guesses should cost no sixth. Two neighbours
both fetch half a page else: that weighs less, the longer they are."""

LONG = 1.5
"""What is shorter than so many times the usual is not cut."""

HALVED_PAGES = 3
"""What is shorter than so many pages is not cut even where nobody has anything better to do."""

MOST_UNKNOWN = 16
"""Guesses that may wait for their first answer together, once most of them were good."""


PAGES_A_CUT = 3
"""Pages seen for each stretch that may wait for its first answer: most listings are short, and behind their end all
guesses are wrong."""


class Folders:
    """Names of folders: where something lies for certain.

    Parameters
    ----------
    names : sequence of str
        Sorted, each with a slash at its end.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = names

    def __bool__(self) -> bool:
        return bool(self._names)

    def instead_of(self, guess: str, key: str) -> str | None:
        """A folder to cut at in place of `guess`, which lies behind `key`; None where the guess is as good.

        It is the last one that the guess has passed. A guess behind the end of its folder, where there is nothing
        until the next one begins, gives way to that one.
        """
        low, high = bisect_right(self._names, key), bisect_right(self._names, guess)
        if high > low:
            return self._names[high - 1]
        if low == len(self._names):
            return None
        parent = self._names[low].removesuffix("/").rpartition("/")[0]
        start = len(parent) + 1 if parent else 0
        inside = key[: key.find("/", start) + 1] if key[:start] == self._names[low][:start] else ""
        return None if guess.startswith(inside) else self._names[low]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a listing stands that may be cut.

    Attributes
    ----------
    at : str
        Last key it has given, or the one it starts after.
    upto : str or None
        Where it will end; None: at the end.
    spacing : Spacing or None
        Of keys there, or nearby.
    unknown : int
        Stretches that wait for their first answer.
    """

    at: str
    upto: str | None
    spacing: Spacing | None
    unknown: int

    def holds(self, key: str | None) -> bool:
        """Whether `key` lies ahead."""
        return key is not None and key > self.at and (self.upto is None or key < self.upto)


@dataclass(frozen=True, slots=True)
class Cut:
    """A key to cut at, and whether something lies there for certain."""

    key: str
    certain: bool


class Cuts:
    """Finds places to cut at, and learns from what was found there.

    Parameters
    ----------
    prefix : str
        Of all keys.

    Attributes
    ----------
    folders : Folders
    page_rows : int
        Rows of a page; 0 before the first.
    """

    def __init__(self, prefix: str) -> None:
        self.folders = Folders()
        self.page_rows = 0
        self._space = KeySpace(prefix)
        self._daring = 1
        self._pages = 0

    def __repr__(self) -> str:
        return f"<Cuts in {self._space!r}, {self._daring} guesses at a time>"

    def learn(self, keys: Sequence[str], before: str | None, *, whole: bool) -> Spacing | None:
        """Look at a page, and at the key right before it (`whole`: more follow it); gives the spacing of its keys."""
        self._pages += 1
        if whole:
            self.page_rows = max(len(keys), self.page_rows - self.page_rows // 8)
        self._space.learn(keys)
        return Spacing.of(keys, before)

    def judge(self, *, empty: bool) -> None:
        """A guessed stretch was answered: the more of them are empty, the fewer are guessed together."""
        self._daring = max(1, self._daring // 2) if empty else min(2 * self._daring, MOST_UNKNOWN)

    def rows(self, most: int) -> int:
        """Rows that a stretch is cut for, not more than `most` unless that is less than a page."""
        return max(self.page_rows, min(int(CUT_PAGES * self.page_rows), most))

    def find(self, place: Place, rows: int, *, halve: bool) -> Cut | None:
        """Where to cut; None where less than some pages are left, or nobody knows.

        Parameters
        ----------
        place : Place
        rows : int
            To leave before the cut.
        halve : bool
            Cut what is left of a short one, too, in its middle.
        """
        guess = self._guess(place, rows, halve=halve)
        if guess is None:
            return None
        folder = self.folders.instead_of(guess, place.at)
        if folder is None:
            return Cut(guess, certain=False) if place.unknown < min(self._daring, self._most_unknown) else None
        return Cut(folder, certain=True) if place.holds(folder) else None

    def may_find(self, place: Place) -> bool:
        """Whether :meth:`find` is worth its time now."""
        return place.unknown < (self._most_unknown if self.folders else min(self._daring, self._most_unknown))

    @property
    def _most_unknown(self) -> int:
        return 1 + self._pages // PAGES_A_CUT

    def _guess(self, place: Place, rows: int, *, halve: bool) -> str | None:
        if place.spacing is None:
            return None
        ruler = self._space.ruler(place.spacing)
        at, step = ruler.number(place.at), _step(ruler, place.spacing, rows)
        if place.upto is not None and (left := ruler.number(place.upto) - at) < LONG * step:
            if not halve or left < HALVED_PAGES * step * self.page_rows / rows:
                return None
            step = left // 2
        guess = ruler.key(at + step)
        return guess if place.holds(guess) else self._space.midpoint(place.at, place.upto)


def _step(ruler: Ruler, spacing: Spacing, rows: int) -> int:
    distance = ruler.number(spacing.high) - ruler.number(spacing.low)
    return max(1, distance * rows // spacing.rows)
