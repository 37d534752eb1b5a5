"""A writer of Gatan's DM3 tag trees.

There is no public specification and no maintained writer. The layout is that which ncempy (``ncempy/io/dm.py``) and
rosettasciio (``rsciio/digitalmicrograph/_api.py``) read, and that real files show: structure big-endian, values
little-endian, eight zero bytes at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from emasync.testing.sparse import Body, Literal, Piece

INT16, INT32, UINT16, UINT32, FLOAT32, FLOAT64, BOOL, UINT8 = 2, 3, 4, 5, 6, 7, 8, 10
"""Codes of simple types."""

_STRUCT, _ARRAY = 15, 20
_GROUP, _DATA = 20, 21
_CODES = {INT16: "h", INT32: "i", UINT16: "H", UINT32: "I", FLOAT32: "f", FLOAT64: "d", BOOL: "?", UINT8: "B"}
_UNCOUNTED_BYTES = 20
"""What the header's size leaves out: itself, and the zeros at the end."""

Tags: TypeAlias = "Mapping[str, Tag] | Sequence[Tag]"
"""A group: named tags, or tags that are known by their position."""

Tag: TypeAlias = "Value | Tags"


@dataclass(frozen=True, slots=True)
class Value:
    """One encoded value.

    Attributes
    ----------
    kind : tuple of int
        The words that say how it is encoded.
    data : Piece
        Little-endian.
    """

    kind: tuple[int, ...]
    data: Piece


def simple(code: int, value: float) -> Value:
    """A number or a truth value of a simple type."""
    return Value((code,), Literal(struct.pack(f"<{_CODES[code]}", value)))


def each(code: int, values: Mapping[str, float]) -> dict[str, Tag]:
    """Several numbers of one simple type, by name."""
    return {name: simple(code, value) for name, value in values.items()}


def text(value: str) -> Value:
    """Text: an array of UTF-16 units."""
    data = value.encode("utf-16-le")
    return Value((_ARRAY, UINT16, len(data) // 2), Literal(data))


def fields(code: int, values: Sequence[float]) -> Value:
    """A structure of unnamed fields, all of one simple type: rectangles, colours, transforms."""
    data = struct.pack(f"<{len(values)}{_CODES[code]}", *values)
    return Value((_STRUCT, *_field_kinds(code, len(values))), Literal(data))


def array(code: int, data: Piece) -> Value:
    """An array of a simple type, such as pixels."""
    return Value((_ARRAY, code, data.size_bytes // struct.calcsize(_CODES[code])), data)


def array_of_fields(code: int, width: int, data: Piece) -> Value:
    """An array of structures, such as a table of colours."""
    count = data.size_bytes // (struct.calcsize(_CODES[code]) * width)
    return Value((_ARRAY, _STRUCT, *_field_kinds(code, width), count), data)


def _field_kinds(code: int, width: int) -> tuple[int, ...]:
    return (0, width, *(0, code) * width)  # lengths of names: none


def write_dm3(root: Mapping[str, Tag]) -> Body:
    """A file.

    Parameters
    ----------
    root : mapping of str to Tag
        The root group.
    """
    tree = Body(tuple(_joined(_group(root))))
    size = tree.size_bytes + 12 + 8 - _UNCOUNTED_BYTES
    return Body((Literal(struct.pack(">III", 3, size, 1)), *tree.pieces, Literal(bytes(8))))


def _group(tags: Tags) -> Iterator[Piece]:
    """Whether it is sorted and open, how many tags, and the tags."""
    named = isinstance(tags, Mapping)
    yield Literal(struct.pack(">BBI", named, 0, len(tags)))
    for name, tag in _in_order(tags):
        label = name.encode("latin-1")
        kind = _DATA if isinstance(tag, Value) else _GROUP
        yield Literal(struct.pack(">BH", kind, len(label)) + label)
        yield from _value(tag) if isinstance(tag, Value) else _group(tag)


def _in_order(tags: Tags) -> Iterator[tuple[str, Tag]]:
    """Named tags as the program sorts them, without regard to case; others as they come."""
    if isinstance(tags, Mapping):
        return iter(sorted(tags.items(), key=lambda item: item[0].lower()))
    return (("", tag) for tag in tags)


def _value(value: Value) -> Iterator[Piece]:
    yield Literal(b"%%%%" + struct.pack(f">{len(value.kind) + 1}I", len(value.kind), *value.kind))
    yield value.data


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same pieces with neighbours that are kept anyway joined: of many hundred, a handful is left."""
    kept: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, Literal):
            kept.append(piece.data)
        else:
            yield Literal(b"".join(kept))
            yield piece
            kept.clear()
    yield Literal(b"".join(kept))
