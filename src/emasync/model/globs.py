"""Globs over paths, matched in time linear in the path.

=========  ====================================================================
``*``      any characters of one folder or file name
``?``      one character of a name
``[a-z]``  one of these characters; ``[!a-z]`` one that is none of them
``**``     as a whole segment: any number of folders, also none; last: everything below
=========  ====================================================================

Nothing else is special. Case matters. A pattern becomes one regular expression of atomic groups: a piece
between two stars is taken at its first place, which is right because the star after it can take any rest, so
nothing is ever tried twice and no pattern can be made slow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from emasync.errors import InputError

MAX_GLOB_CHARACTERS: Final = 1024
"""As long as an object key may be (S3: 1,024 bytes)."""

_WILD = re.compile(r"[*?\[]")


def _bad(pattern: str, reason: str) -> InputError:
    return InputError(f"glob {pattern!r}: {reason}")


def _class(pattern: str, segment: str, start: int) -> tuple[str, int]:
    """Translate the character class that opens at `start`; returns the expression and where it ends."""
    first = start + 2 if segment[start + 1 : start + 2] in ("!", "^") else start + 1
    end = segment.find("]", first + 1)  # a ] that comes first is a member
    if end < 0:
        raise _bad(pattern, "[ has no closing ]; write [[] for the character itself")
    members = segment[first:end]
    if "[:" in members:
        raise _bad(pattern, "named classes such as [:alpha:] are not supported; write [a-zA-Z]")
    negation = "^" if first == start + 2 else ""
    return f"(?!/)[{negation}{_members(pattern, members)}]", end + 1


def _members(pattern: str, members: str) -> str:
    """Translate what stands between the brackets: characters and ranges."""
    text, at = "", 0
    while at < len(members):
        low, dash, high = members[at], members[at + 1 : at + 2], members[at + 2 : at + 3]
        if dash != "-" or not high:
            text += re.escape(low)
            at += 1
            continue
        if low > high:
            raise _bad(pattern, f"range {low}-{high} runs backwards")
        text += f"{re.escape(low)}-{re.escape(high)}"
        at += 3
    return text


def _pieces(pattern: str, segment: str) -> list[str]:
    """Expressions of the fixed-length pieces between the stars of one segment."""
    pieces, at = [""], 0
    while at < len(segment):
        char = segment[at]
        if char == "[":
            text, at = _class(pattern, segment, at)
            pieces[-1] += text
            continue
        if char == "*":
            pieces.append("")
        else:
            pieces[-1] += "[^/]" if char == "?" else re.escape(char)
        at += 1
    return pieces


def _segment(pattern: str, segment: str) -> str:
    """Expression that matches exactly one segment, in linear time, in one way only."""
    first, *rest = _pieces(pattern, segment)
    if not rest:
        return first
    middle = "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1] if piece)
    return f"(?>{first}{middle}[^/]*{rest[-1]})"


def _check(pattern: str) -> None:
    if not pattern or len(pattern) > MAX_GLOB_CHARACTERS:
        raise _bad(pattern[:40], f"expected 1 to {MAX_GLOB_CHARACTERS} characters")
    if pattern.startswith("/"):
        raise _bad(pattern, "paths are relative to the dataset; remove the leading /")
    if pattern.endswith("/"):
        raise _bad(pattern, f"a folder is not a file; write {pattern}** for everything below it")
    if "\\" in pattern:
        raise _bad(pattern, "a backslash does not escape; write [*] for the character itself, / between folders")
    if "\0" in pattern:
        raise _bad(pattern, "NUL is in no path")
    for segment in pattern.split("/"):
        _check_segment(pattern, segment)


def _check_segment(pattern: str, segment: str) -> None:
    if segment in (".", ".."):
        raise _bad(pattern, f"{segment} is no name below the dataset")
    if "**" in segment and segment != "**":
        raise _bad(pattern, "** stands for whole folders; write it between slashes, as in a/**/b*")
    if "{" in re.sub(r"\[[^\]]*\]", "", segment):
        raise _bad(pattern, "braces do not choose; list several globs, or write [{] for the character itself")


def _blocks(pattern: str) -> list[list[str]]:
    """Runs of ordinary segments between ``**``."""
    blocks: list[list[str]] = [[]]
    for segment in pattern.split("/"):
        if segment == "**":
            blocks.append([])
        else:
            blocks[-1].append(_segment(pattern, segment))
    return blocks


def translate(pattern: str) -> str:
    """Turn a glob into a regular expression for :func:`re.fullmatch` with :data:`re.DOTALL`.

    Raises
    ------
    InputError
        Not a glob as the module says.
    """
    _check(pattern)
    head, *rest = _blocks(pattern)
    if not rest:
        return "/".join(head)
    text = "".join(f"{segment}/" for segment in head)
    for block in rest[:-1]:
        if block:
            text += "(?>(?:[^/]*+/)*?" + "".join(f"{segment}/" for segment in block) + ")"
    return text + ("(?:[^/]*+/)*?" + "/".join(rest[-1]) if rest[-1] else ".*")


def check_glob(pattern: str) -> str:
    """Return `pattern` if it is a glob.

    Raises
    ------
    InputError
        It is not; says what to write.
    """
    translate(pattern)
    return pattern


@dataclass(frozen=True, slots=True)
class _Matcher:
    """Any of several globs: names without wildcards by look-up, the rest by one expression."""

    names: frozenset[str]
    expression: re.Pattern[str] | None

    @classmethod
    def of(cls, patterns: Sequence[str]) -> _Matcher:
        names = frozenset(check_glob(pattern) for pattern in patterns if not _WILD.search(pattern))
        wild = [translate(pattern) for pattern in patterns if _WILD.search(pattern)]
        return cls(names, re.compile("|".join(f"(?:{text})" for text in wild), re.DOTALL) if wild else None)

    def matches(self, path: str) -> bool:
        return path in self.names or (self.expression is not None and self.expression.fullmatch(path) is not None)


@dataclass(frozen=True)
class Selection:
    """Which paths of a dataset are wanted.

    Parameters
    ----------
    include : sequence of str
        Globs; none means everything.
    exclude : sequence of str
        Globs; these win.

    Raises
    ------
    InputError
        One of them is no glob.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    _included: _Matcher = field(init=False, repr=False, compare=False)
    _excluded: _Matcher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_included", _Matcher.of(self.include))
        object.__setattr__(self, "_excluded", _Matcher.of(self.exclude))

    def wants(self, path: str) -> bool:
        """Whether `path` (``/`` separated, relative to the dataset) is wanted."""
        return (not self.include or self._included.matches(path)) and not self._excluded.matches(path)

    @property
    def everything(self) -> bool:
        """Whether no path is left out."""
        return not self.include and not self.exclude

    def reaches(self, folder: str) -> bool:
        """Whether anything below `folder` can be wanted; a folder that is not reached needs no listing.

        Parameters
        ----------
        folder : str
            With a slash at its end; empty for the dataset itself, which is always reached.
        """
        if any(_swallows(pattern, folder) for pattern in self.exclude):
            return False
        return not self.include or any(_leads_into(pattern, folder) for pattern in self.include)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that hold all that can be wanted, each with a trailing slash; ``("",)`` when that is anywhere.

        A listing may be narrowed to these prefixes; none lies inside another.
        """
        starts = sorted({_fixed_folder(pattern) for pattern in self.include} or {""})
        kept: list[str] = []
        for start in starts:
            if not kept or not start.startswith(kept[-1]):
                kept.append(start)
        return tuple(kept)


_expression = lru_cache(maxsize=1024)(lambda pattern: re.compile(translate(pattern), re.DOTALL))


def _swallows(pattern: str, folder: str) -> bool:
    """Whether the glob matches everything below `folder`."""
    return bool(folder) and f"/{pattern}".endswith("/**") and _expression(pattern).fullmatch(folder) is not None


def _leads_into(pattern: str, folder: str) -> bool:
    """Whether the glob can match a path below `folder`."""
    segments, names = pattern.split("/"), folder.split("/")[:-1]
    fixed = segments.index("**") if "**" in segments else len(segments) - 1
    if len(names) > fixed and "**" not in segments:
        return False
    depth = min(fixed, len(names))
    return not depth or _expression("/".join(segments[:depth])).fullmatch("/".join(names[:depth])) is not None


def _fixed_folder(pattern: str) -> str:
    match = _WILD.search(pattern)
    fixed = pattern[: match.start()] if match else pattern
    return fixed[: fixed.rfind("/") + 1]
