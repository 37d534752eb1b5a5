"""Names of metadata documents, and paths inside a hierarchy."""

from __future__ import annotations

import re

ZARRAY, ZGROUP, ZATTRS, ZMETADATA, ZARR_JSON = ".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"
"""Zarr v2: array, group, attributes, consolidated metadata. Zarr v3: one document a node."""

METADATA_NAMES = frozenset((ZARRAY, ZGROUP, ZATTRS, ZMETADATA, ZARR_JSON))

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
    are something else.
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
