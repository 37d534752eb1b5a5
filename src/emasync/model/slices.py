"""Members of task sets that are slices of larger objects: chunks in shards. Their keys say where they lie."""

from __future__ import annotations

from typing import Literal

from emasync.model.digest import Span

Packing = Literal["raw", "gzip"]
"""How a slice is packed: ``gzip`` is undone before it is stored (RFC 1952)."""

_DIGITS = 16


def slice_key(name: str, span: Span) -> str:
    """Key of a slice: keys sort as the slices lie, object by object.

    Parameters
    ----------
    name : str
        Key of the object, relative to the set's base.
    span : Span
        Offsets below 10^16.
    """
    return f"{name}@{span.start:0{_DIGITS}d}+{span.size_bytes}"


def parse_slice(key: str) -> tuple[str, Span]:
    """Object and span of a key made by :func:`slice_key`.

    Raises
    ------
    ValueError
        It is none.
    """
    name, _, place = key.rpartition("@")
    start, _, size = place.partition("+")
    return name, Span(int(start), int(start) + int(size))
