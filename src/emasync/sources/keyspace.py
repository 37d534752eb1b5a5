"""Keys as numbers: how far it is from one key to another, and which key lies so far ahead.

Keys of a bucket are mostly counted, hashed or dated: what stands at a place of one key tells what may stand there in
its neighbours. Each place of a key is a digit, whose base are the characters seen there and their kin (one digit: all
ten; hexadecimal where digits and letters mix). The distance between two keys of a page then tells how far apart a
thousand keys are, and a key some pages ahead can be guessed. A guess decides nothing but speed.
"""

from __future__ import annotations

import string
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonprefix

SAMPLED_KEYS = 16
"""Keys of a page that are remembered."""

SAMPLED_PAGES = 5
"""Pages that are remembered: neighbours, for what lies far behind may be named otherwise."""

RESOLUTION = 10**9
"""Steps that a page is divided into, at least: enough for splits of a thousandth of a page."""

MOST_PLACES = 20
"""Places of a key behind the beginning that all of a page have in common."""

LONGEST_KEY = 1024
"""Bytes of a key (Amazon S3 user guide, "Object key names")."""

END = ""
"""What stands behind the last character of a key; sorts before all characters."""

_LOWER, _UPPER = string.ascii_lowercase, string.ascii_uppercase
_KINDS = tuple(
    frozenset(letters)
    for letters in (
        string.digits,
        string.digits + "abcdef",
        string.digits + "ABCDEF",
        _LOWER,
        _UPPER,
        string.digits + _LOWER,
        string.digits + _UPPER,
        string.digits + _LOWER + _UPPER,
    )
)
_ALL = _KINDS[-1]
_SURROGATES = (0xD800, 0xDFFF)


@dataclass(frozen=True, slots=True)
class Ruler:
    """Keys below one prefix as numbers of mixed base.

    Attributes
    ----------
    prefix : str
        All keys begin with it.
    places : tuple of list of str
        Sorted characters of each place behind the prefix; :data:`END` among them where keys end there.
    """

    prefix: str
    places: tuple[list[str], ...]

    def number(self, key: str) -> int:
        """Number of a key: larger keys have no smaller numbers."""
        value, exact = 0, True
        at = len(self.prefix)
        for characters in self.places:
            value *= len(characters)
            if exact:
                character = key[at : at + 1]
                digit = bisect_left(characters, character)
                exact = digit < len(characters) and characters[digit] == character and bool(character)
                value += digit
                at += 1
        return value

    def key(self, number: int) -> str | None:
        """Key of a number; None beyond the last one."""
        letters = []
        for characters in reversed(self.places):
            number, digit = divmod(number, len(characters))
            letters.append(characters[digit])
        if number:
            return None
        letters.reverse()
        if END in letters:
            del letters[letters.index(END) :]
        key = self.prefix + "".join(letters)
        return key if len(key.encode()) <= LONGEST_KEY else None


@dataclass(frozen=True, slots=True)
class Spacing:
    """Two keys of one page and how many rows lie between them.

    Attributes
    ----------
    low, high : str
    rows : int
        From `low` to `high`.
    """

    low: str
    high: str
    rows: int

    @classmethod
    def of(cls, keys: Sequence[str], before: str | None) -> Spacing | None:
        """Spacing of a page; None of a single key.

        Parameters
        ----------
        keys : sequence of str
        before : str or None
            Key right before the page. Where that is not known, the second half of the page says more of what follows
            than the first one.
        """
        if not keys:
            return None
        if before is not None:
            return cls(before, keys[-1], len(keys))
        middle = (len(keys) - 1) // 2
        return cls(keys[middle], keys[-1], len(keys) - 1 - middle) if len(keys) > 1 else None


class KeySpace:
    """What was learned of the keys below one prefix.

    Parameters
    ----------
    prefix : str
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._samples: deque[list[str]] = deque(maxlen=SAMPLED_PAGES)
        self._learned = self._due = self._width = 0
        self._places: list[list[str]] = []

    def __repr__(self) -> str:
        return f"<KeySpace below {self._prefix!r}, {len(self._samples)} pages seen>"

    def learn(self, keys: Sequence[str]) -> None:
        """Look at the keys of a page."""
        if keys:
            self._learned += 1
            self._samples.append([*keys[:: max(1, len(keys) // SAMPLED_KEYS)], keys[-1]])

    def ruler(self, spacing: Spacing) -> Ruler:
        """Keys as numbers, fine enough for what lies between the two keys of `spacing`."""
        shared = _shared(spacing.low, spacing.high) - len(self._prefix)
        places, fineness = [], 1
        for place, characters in enumerate(self._characters(shared + MOST_PLACES)):
            places.append(characters)
            fineness *= len(characters) if place > shared else 1
            if fineness >= RESOLUTION:
                break
        return Ruler(self._prefix, tuple(places))

    def _characters(self, width: int) -> list[list[str]]:
        """Sorted characters of the first places behind the prefix; looked up anew after some pages only."""
        if self._learned >= self._due or width > self._width:
            start = len(self._prefix)
            keys = [key for sample in self._samples for key in sample]
            seen = [_usual(key[place : place + 1] for key in keys) for place in range(start, start + width)]
            self._places, self._width = [sorted(characters) for characters in _related(seen)], width
            self._due = self._learned + 1 + min(self._learned // 4, SAMPLED_PAGES)
        return self._places[:width]

    def midpoint(self, low: str, high: str | None) -> str | None:
        """A key amid two others, by code points; None where there is no room (`high` None: to the end)."""
        start = max(len(self._prefix), _shared(low, high or ""))
        for place in range(start, len(low) + 1):
            floor = ord(low[place]) if place < len(low) else ord(" ")
            bounded = high is not None and place == start and place < len(high)
            ceiling = ord(high[place]) if bounded and high is not None else _ceiling(floor)
            middle = (floor + ceiling) // 2
            if middle > floor and not _SURROGATES[0] <= middle <= _SURROGATES[1]:
                return low[:place] + chr(middle)
        return None


def _shared(one: str, other: str) -> int:
    """Number of characters at the beginning that are the same."""
    return len(commonprefix([one, other]))  # noqa: RUF071 - of characters, as is meant


def _ceiling(code: int) -> int:
    """Where to look for the end of names that have the character `code` there."""
    return next(limit for limit in (0x7F, 0x3000, 0xD800, 0x110000) if code + 1 < limit or limit == 0x110000)  # noqa: PLR2004 - ASCII, alphabets, the plane without surrogates, all


def _usual(characters: Iterable[str]) -> set[str]:
    """Characters that were seen more than once: a stray document says nothing of the chunks around it."""
    counts = Counter(characters)
    return {character for character, count in counts.items() if count > 1} or set(counts)


def _related(seen: Sequence[set[str]]) -> list[set[str]]:
    """Characters to be expected at each place: those seen, and their kin."""
    found = []
    for characters in seen:
        if characters == {END}:
            break
        found.append(_with_kin(characters))
    for place in range(len(found) - 2, -1, -1):
        behind = seen[place + 1] & _ALL
        mixed = any(letter.isdigit() for letter in behind) and not all(letter.isdigit() for letter in behind)
        if mixed and seen[place] <= found[place + 1]:  # a hash looks counted where few of its values were seen
            found[place] = found[place + 1]
    return found


def _with_kin(characters: set[str]) -> set[str]:
    known = characters & _ALL
    if not known:
        return characters
    return characters | next(kind for kind in _KINDS if known <= kind)
