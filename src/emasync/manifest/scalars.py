"""Plain scalars by the YAML 1.2 core schema, with the text they were written as.

YAML 1.2.2, section 10.3.2 ("Core Schema, Tag Resolution"): ``no``, ``on`` and ``12:30`` are text; ``0o17`` and
``0x1f`` are integers. A number keeps its text, so that ``000027`` is 27 where a number is asked for and
``"000027"`` where text is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_NUMBER_CHARACTERS: Final = 64
"""Longer digit strings stay text: no number of a manifest needs them, and ``int`` of a huge one is quadratic."""

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NOT_A_NUMBER = frozenset((".nan", ".NaN", ".NAN"))
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


@dataclass(frozen=True, slots=True)
class Plain:
    """A plain scalar that is not text by itself: what it means and how it was written.

    Attributes
    ----------
    value : bool, int or float
    written : str
    """

    value: bool | int | float
    written: str


Resolved = str | Plain | None


def resolve(text: str) -> Resolved:
    """Read a plain scalar: null, a boolean, a number, else text.

    References
    ----------
    YAML 1.2.2, section 10.3.2.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return Plain(text in _TRUE, text)
    if len(text) > MAX_NUMBER_CHARACTERS or text[0] not in "+-.0123456789":
        return text
    return _number(text)


def _number(text: str) -> Resolved:
    if _INTEGER.fullmatch(text):
        return Plain(int(text), text)
    if _OCTAL.fullmatch(text):
        return Plain(int(text, 0), text)
    if _HEXADECIMAL.fullmatch(text):
        return Plain(int(text, 0), text)
    if _FLOAT.fullmatch(text):
        return Plain(float(text), text)
    if _INFINITE.fullmatch(text) or text in _NOT_A_NUMBER:
        return Plain(float(text.replace(".", "", 1)), text)
    return text


def free_value(scalar: Resolved) -> str | bool | int | float | None:
    """Value where nothing particular is asked for (free metadata).

    A decimal number with leading zeros stays text there: it is an identifier (a subject, a plate), and the
    zeros would be lost.
    """
    if not isinstance(scalar, Plain):
        return scalar
    return scalar.written if _LEADING_ZERO.fullmatch(scalar.written) else scalar.value
