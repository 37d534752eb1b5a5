"""Amounts as people read them."""

from __future__ import annotations

from typing import Any, Final

UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def megabytes(size_bytes: Any) -> str:
    """A size as people read it, in powers of 1000 (Any: a number out of JSON)."""
    size = float(size_bytes or 0)
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:  # noqa: PLR2004 - SI
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit ends the loop")


def counted(number: int, noun: str) -> str:
    """Things by number: "1 object", "1,200 objects"."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"
