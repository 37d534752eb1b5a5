"""JSON documents from the network: bounded before and after parsing, values that know where they stand.

Metadata is read with the standard library on purpose: writers of Zarr v2 put ``NaN`` literals into attributes, and
integers beyond 64 bits occur; a subset must write both back as they came.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from emasync.errors import FormatError
from emasync.model.task import escape_for_log

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = "dict[str, Json]"

MAX_DOCUMENT_BYTES = 16 << 20  # label colours and properties reach megabytes; parsed, JSON grows up to 20 times
MAX_CONSOLIDATED_BYTES = 64 << 20  # one document for thousands of arrays
MAX_DEPTH = 64  # real metadata nests about 12 deep
_SHOWN = 60

_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Perhaps a half: escaped ones of whole pairs look the same."""


def parse_object(key: str, data: bytes, *, limit_bytes: int = MAX_DOCUMENT_BYTES) -> JsonObject:
    """Read a JSON object.

    Parameters
    ----------
    key : str
        Names the document in messages.
    data : bytes
        As received.
    limit_bytes : int
        Longer documents are refused.

    Raises
    ------
    FormatError
        Too long, too deep, not JSON (RFC 8259; ``NaN`` and ``Infinity`` are let through), or no object.

    Notes
    -----
    Halves of characters (RFC 8259, section 8.2) are replaced: they would be an error wherever a text is written.
    """
    shown = escape_for_log(key)
    if len(data) > limit_bytes:
        raise FormatError(f"{shown}: metadata of {len(data)} bytes; at most {limit_bytes} are read", location=key)
    try:
        value: Json = json.loads(data)
    except RecursionError:
        raise FormatError(f"{shown}: nested deeper than {MAX_DEPTH} levels", location=key) from None
    except ValueError as error:
        raise FormatError(f"{shown}: expected a JSON object, but it does not parse: {error}", location=key) from error
    if not isinstance(value, dict):
        raise FormatError(f"{shown}: expected a JSON object, got {describe(value)}", location=key)
    if _deeper_than(value, MAX_DEPTH):
        raise FormatError(f"{shown}: nested deeper than {MAX_DEPTH} levels", location=key)
    return value if _HALF.search(data) is None else _of_whole_characters(value)


def _of_whole_characters(value: JsonObject) -> JsonObject:
    """Texts with a question mark in the place of each half of a surrogate pair: no file and no name can hold one."""
    found: JsonObject = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return found


def write_object(value: JsonObject) -> bytes:
    """Give `value` as JSON, indented for people; the order of members and non-finite literals are kept."""
    return (json.dumps(value, indent=2) + "\n").encode()


def describe(value: Json) -> str:
    """A value in a message: its text when short, its kind and size otherwise."""
    if isinstance(value, dict):
        return f"an object of {len(value)} members"
    if isinstance(value, list):
        flat = len(value) <= _SHOWN and not any(isinstance(item, dict | list) for item in value)
        return text if flat and len(text := ascii(value)) <= _SHOWN else f"a list of {len(value)}"
    if value is None:
        return "null"
    text = ascii(value[:_SHOWN]) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _deeper_than(value: Json, limit: int) -> bool:
    """Whether more than `limit` objects and lists stand inside each other."""
    layer: list[Json] = [value]
    for _ in range(limit):
        layer = [child for item in layer for child in _inside(item) if isinstance(child, dict | list)]
        if not layer:
            return False
    return True


def _inside(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class Field:
    """One value inside a document.

    Attributes
    ----------
    key : str
        The document.
    where : str
        Member path inside it, such as ``multiscales[0].axes``; empty for the document itself.
    value : Json
        None for null and for a member that is not there: real files write either.
    """

    key: str
    where: str
    value: Json

    def broken(self, rule: str) -> FormatError:
        """Give the error that says which `rule` this value breaks."""
        place = escape_for_log(f"{self.key}: {self.where}" if self.where else self.key)
        return FormatError(f"{place} is {describe(self.value)}; {rule}", location=self.key)

    def object(self) -> JsonObject:
        """The value as an object.

        Raises
        ------
        FormatError
            It is something else.
        """
        if not isinstance(self.value, dict):
            raise self.broken("expected an object")
        return self.value

    def member(self, name: str) -> Field:
        """Member `name` of this object; null where it is missing.

        Raises
        ------
        FormatError
            This is no object.
        """
        return Field(self.key, f"{self.where}.{name}" if self.where else name, self.object().get(name))

    def items(self) -> tuple[Field, ...]:
        """The members of this list.

        Raises
        ------
        FormatError
            It is no list.
        """
        if not isinstance(self.value, list):
            raise self.broken("expected a list")
        return tuple(Field(self.key, f"{self.where}[{n}]", item) for n, item in enumerate(self.value))

    def text(self) -> str:
        """The value as text.

        Raises
        ------
        FormatError
            It is something else.
        """
        if not isinstance(self.value, str):
            raise self.broken("expected a string")
        return self.value

    def optional_text(self) -> str | None:
        """The value as text; None for null or a missing member."""
        return None if self.value is None else self.text()

    def integer(self, minimum: int) -> int:
        """The value as an integer; a float that holds one (``64.0``) is taken, as some writers put it so.

        Raises
        ------
        FormatError
            No integer, less than `minimum`, or beyond 63 bits.
        """
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value < 1 << 63:
            raise self.broken(f"expected an integer from {minimum} to 2^63 - 1")
        return value

    def number(self) -> float:
        """The value as a finite float.

        Raises
        ------
        FormatError
            No number, or not finite.
        """
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.broken("expected a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.broken("expected a finite number")
        return number
