"""What a run leaves for the next one about its origins: read with suspicion, like anything from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

MOST_ORIGINS = 256
MOST_CONNECTIONS = 1024
LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was found out about one origin.

    Attributes
    ----------
    limit : int
        Requests at once that it took well.
    goodput_bytes_per_s : float
    """

    limit: int
    goodput_bytes_per_s: float


def as_note(found: Mapping[str, Remembered], before: Mapping[str, Remembered]) -> dict[str, Any]:
    """What to write (Any: JSON values): `found`, then what was known `before`, up to :data:`MOST_ORIGINS` origins."""
    rows = [*found.items(), *((origin, row) for origin, row in before.items() if origin not in found)]
    kept = rows[:MOST_ORIGINS]
    return {origin: {"limit": row.limit, "goodput": round(row.goodput_bytes_per_s)} for origin, row in kept}


def from_note(note: Mapping[str, Any] | None) -> dict[str, Remembered]:
    """What :func:`as_note` wrote (Any: JSON values); rows that make no sense are left out."""
    found: dict[str, Remembered] = {}
    for origin, row in (note or {}).items():
        if len(found) < MOST_ORIGINS and len(origin) <= LONGEST_NAME and (known := _row(row)) is not None:
            found[origin] = known
    return found


def _row(row: object) -> Remembered | None:
    limit, goodput = (row.get("limit"), row.get("goodput")) if isinstance(row, dict) else (None, None)
    if type(limit) is not int or not isinstance(goodput, int | float) or isinstance(goodput, bool):
        return None
    sound = 1 <= limit <= MOST_CONNECTIONS and isfinite(goodput) and goodput >= 0
    return Remembered(limit, float(goodput)) if sound else None
