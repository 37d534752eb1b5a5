"""Sizes, rates and durations as people write them: ``64KiB``, ``200MB/s``, ``500ms``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from emasync.errors import InputError

_SIZE_UNITS: Final = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "PiB": 1 << 50,
}
_DURATION_UNITS: Final = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_QUANTITY = re.compile(r"(?P<number>[0-9]{1,20}(?:\.[0-9]{1,20})?) ?(?P<unit>[A-Za-z]*)", re.ASCII)

MAX_SIZE_BYTES: Final = (1 << 63) - 1
"""What file systems and SQLite count in."""

MAX_DURATION_S: Final = 30 * 86400
"""A longer time-out is a mistake in the unit."""

SIZE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?(B|kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)?$"
RATE_PATTERN: Final = SIZE_PATTERN.replace("?$", "?/s$")
DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)?$"


_DURATION_RULE: Final = "expected a duration such as 12s, 5m, 1h or 500ms, more than zero and at most 30 days"


def _split(text: str) -> tuple[Fraction, str] | None:
    match = _QUANTITY.fullmatch(text)
    return (Fraction(match["number"]), match["unit"]) if match else None


def parse_size(text: str) -> int:
    """Read a size.

    Parameters
    ----------
    text : str
        A number and ``B``, ``kB``/``KB``, ``MB``, ... (powers of 1000) or ``KiB``, ``MiB``, ... (powers of
        1024); no unit means bytes. Parts of a byte are dropped.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    InputError
        Not a size, or beyond :data:`MAX_SIZE_BYTES`.
    """
    parts = _split(text)
    factor = _SIZE_UNITS.get(parts[1] or "B") if parts else None
    if parts is None or factor is None:
        raise InputError(f"size {text!r}: expected bytes or a size such as 64KiB, 8MiB or 1GB")
    size_bytes = int(parts[0] * factor)
    if size_bytes > MAX_SIZE_BYTES:
        raise InputError(f"size {text!r} is larger than any file can be")
    return size_bytes


def parse_rate(text: str) -> float:
    """Read a rate such as ``200MB/s``.

    Returns
    -------
    float
        Bytes per second, more than zero.

    Raises
    ------
    InputError
        Not a rate, or zero.
    """
    rate = parse_rate_or_none(text)
    if not rate:
        raise InputError(f"rate {text!r}: expected a rate such as 200MB/s or 25MiB/s, more than zero")
    return rate


def parse_rate_or_none(text: str) -> float:
    """Read a rate as :func:`parse_rate`, or 0 for nothing at all.

    Raises
    ------
    InputError
        Not a rate.
    """
    number, slash, second = text.partition("/")
    try:
        rate = parse_size(number.strip())
    except InputError:
        rate = -1
    if rate < 0 or (slash and second.strip() != "s"):
        raise InputError(f"rate {text!r}: expected a rate such as 200MB/s or 25MiB/s, or 0 for nothing at all")
    return float(rate)


def parse_duration(text: str) -> float:
    """Read a duration such as ``12s``, ``5m``, ``1h`` or ``500ms``; no unit means seconds.

    Returns
    -------
    float
        Seconds, more than zero and at most :data:`MAX_DURATION_S`.

    Raises
    ------
    InputError
        Not a duration, zero, or too long.
    """
    parts = _split(text)
    factor = _DURATION_UNITS.get(parts[1] or "s") if parts else None
    seconds = float(parts[0] * factor) if parts and factor else 0.0
    if not 0 < seconds <= MAX_DURATION_S:
        raise InputError(f"duration {text!r}: {_DURATION_RULE}")
    return seconds
