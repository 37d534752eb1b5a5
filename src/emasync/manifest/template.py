"""URL and path templates of plain web files: ``s_{z:04d}.dm3`` with ``z: 0..15``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from emasync.errors import InputError

MAX_FILES: Final = 10_000_000
"""Files that one template may stand for; more is a mistake in a range."""

MAX_WIDTH: Final = 20

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[a-z][a-z0-9_]*)(?::(?P<zero>0?)(?P<width>[0-9]{1,2})d?)?\}|[{}]")
_RANGE = re.compile(r"(?P<first>0|[1-9][0-9]{0,17})\.\.(?P<last>0|[1-9][0-9]{0,17})")
_PADDED_RANGE = re.compile(r"[0-9]{1,18}\.\.[0-9]{1,18}")

AXIS_NAME: Final = r"^[a-z][a-z0-9_]*$"
RANGE_PATTERN: Final = r"^(0|[1-9][0-9]*)\.\.(0|[1-9][0-9]*)$"


@dataclass(frozen=True, slots=True)
class Axis:
    """Values that one placeholder takes.

    Attributes
    ----------
    first, last : int
        An inclusive range, used when `words` is empty.
    words : tuple of int or str
        Values named one by one.
    """

    first: int = 0
    last: int = -1
    words: tuple[int | str, ...] = ()

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.words) or self.last - self.first + 1

    def __iter__(self) -> Iterator[int | str]:
        return iter(self.words or range(self.first, self.last + 1))


def parse_range(text: str) -> Axis:
    """Read ``0..15``: both ends belong to it.

    Raises
    ------
    InputError
        Not a range, zero-padded, backwards, or of more than :data:`MAX_FILES` values.
    """
    match = _RANGE.fullmatch(text)
    if match is None and _PADDED_RANGE.fullmatch(text):
        raise InputError(f"range {text!r}: write numbers without leading zeros, and {{name:04d}} where they are used")
    if match is None:
        raise InputError(f"{text!r}: expected a range such as 0..15, or a list")
    first, last = int(match["first"]), int(match["last"])
    if last < first:
        raise InputError(f"range {text!r} runs backwards; write {last}..{first}")
    if last - first >= MAX_FILES:
        raise InputError(f"range {text!r} has more than {MAX_FILES:,} values")
    return Axis(first, last)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``{name}`` or ``{name:04d}``.

    Attributes
    ----------
    name : str
    width : int
        Least number of characters.
    zero : bool
        Whether numbers are filled up with zeros, else with spaces.
    """

    name: str
    width: int = 0
    zero: bool = False

    def fill(self, value: int | str) -> str:
        """Write one value."""
        text = str(value)
        return text.zfill(self.width) if self.zero and isinstance(value, int) else text.rjust(self.width)


@dataclass(frozen=True, slots=True)
class Template:
    """Literal text and placeholders, in order."""

    parts: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template; ``{{`` and ``}}`` stand for braces.

        Raises
        ------
        InputError
            A brace that is neither, or a field wider than :data:`MAX_WIDTH`.
        """
        parts: list[str | Placeholder] = []
        at = 0
        for match in _TOKEN.finditer(text):
            parts += [text[at : match.start()], cls._part(match, text)]
            at = match.end()
        return cls(tuple(part for part in (*parts, text[at:]) if part != ""))

    @staticmethod
    def _part(match: re.Match[str], text: str) -> str | Placeholder:
        if match["name"] is not None:
            width = int(match["width"] or 0)
            if width > MAX_WIDTH:
                raise InputError(f"{text!r}: {match[0]} is wider than {MAX_WIDTH} characters")
            return Placeholder(match["name"], width, bool(match["zero"]))
        if match[0] in ("{{", "}}"):
            return match[0][0]
        raise InputError(f"{text!r}: a placeholder is {{name}} or {{name:04d}}; write {{{{ or }}}} for a brace itself")

    @property
    def names(self) -> frozenset[str]:
        """Names of the placeholders."""
        return frozenset(part.name for part in self.parts if isinstance(part, Placeholder))

    def fill(self, values: Mapping[str, int | str]) -> str:
        """Write the text for one value of each placeholder."""
        return "".join(part if isinstance(part, str) else part.fill(values[part.name]) for part in self.parts)
