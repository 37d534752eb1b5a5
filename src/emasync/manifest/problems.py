"""Collecting what is wrong with a manifest: key paths, positions, and a bound on how much is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from emasync.errors import ManifestError, Problem
from emasync.manifest.scalars import Plain

MAX_PROBLEMS: Final = 100
"""Problems told one by one; the rest is counted. Nobody mends a thousand mistakes before the next try."""

_SHOWN_CHARACTERS: Final = 80
_SIMPLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake, before it has a position.

    Attributes
    ----------
    path : tuple of str or int
        Keys and indices from the document's root. Elements that name nothing in the document (the tags of a
        union) are passed over.
    rule : str
        What is expected. Names no value of the manifest, so it can always be shown.
    detail : str
        What came; left out where the value holds a ``${VAR}``.
    at_key : bool
        Whether the position is the key's, not the value's.
    """

    path: KeyPath
    rule: str
    detail: str = ""
    at_key: bool = False


def key_path(path: Iterable[str | int]) -> str:
    """Write a path as ``datasets[2].crop.shape``; unusual keys become ``hosts["ftp.ebi.ac.uk"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _SIMPLE_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{clipped(part)}"]'
    return text


def clipped(text: str) -> str:
    """Text fit for one line of a message: escaped and bounded."""
    text = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text


def shown(value: object) -> str:
    """Name a value of a manifest in a message."""
    if isinstance(value, Plain):
        return clipped(value.written)
    if isinstance(value, str):
        return f"'{clipped(value)}'"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "null" if value is None else clipped(str(value))


def manifest_error(problems: Iterable[Problem]) -> ManifestError:
    """Order problems by position, drop repetitions, bound their number.

    Parameters
    ----------
    problems : iterable of Problem
        At least one.
    """
    ordered = sorted(set(problems), key=lambda item: (item.line, item.column, item.path, item.message))
    kept = ordered[:MAX_PROBLEMS]
    if len(ordered) > MAX_PROBLEMS:
        last = kept[-1]
        more = f"and {len(ordered) - MAX_PROBLEMS} more problems after this line; mend these first"
        kept.append(Problem(file=last.file, line=last.line, column=last.column, path="", message=more))
    return ManifestError(tuple(kept))
