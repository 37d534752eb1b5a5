"""Paths inside a hierarchy of folders."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emasync.errors import SourceError
from emasync.model.task import escape_for_log

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def join(folder: str, name: str) -> str:
    """Path of `name` below `folder`; either may be empty."""
    return f"{folder}/{name}" if folder and name else folder or name


def parent_and_name(key: str) -> tuple[str, str]:
    """Split a key into folder (``""`` for the base) and last segment."""
    folder, _, name = key.rpartition("/")
    return folder, name


def ancestors(path: str) -> tuple[str, ...]:
    """Folders above `path`, outermost (the base, ``""``) first; none for the base."""
    parts = path.split("/") if path else []
    return tuple("/".join(parts[:n]) for n in range(len(parts)))


def normal_path(text: str) -> str | None:
    """Logical path in its normal form, or None where it is illegal.

    Zarr v2 specification, "Logical storage paths": strip slashes at both ends, collapse doubled ones; ``.`` and ``..``
    segments are errors. Backslashes, which the specification turns into slashes, are refused: as an object key they
    are something else. N5 paths are read by the same rules.
    """
    if _CONTROL.search(text) or "\\" in text:
        return None
    parts = [part for part in text.split("/") if part]
    if any(part in (".", "..") for part in parts):
        return None
    return "/".join(parts)


def legal_name(name: str) -> bool:
    """Whether a listed folder can be a node: one segment, neither empty nor a dot path."""
    return "/" not in name and bool(normal_path(name))


def place_name(folder: str) -> str:
    """A folder in a message, before it is escaped."""
    return folder or "the base"


def outermost(start: Sequence[str]) -> list[str]:
    """Starts of a walk in normal form, without those below another start.

    Raises
    ------
    SourceError
        One of them is no legal path.
    """
    paths: list[str] = []
    for text in start:
        path = normal_path(text)
        if path is None:
            raise SourceError(f"{escape_for_log(text)}: no legal path of an array or group", location=text)
        paths.append(path)
    unique = sorted(set(paths))
    return [path for path in unique if not any(folder in unique for folder in ancestors(path))]
