"""Chunks are compared with their CRC-32C once, when they are first touched."""

from __future__ import annotations

from typing import Final, final

from typing_extensions import Buffer

from emasync.disk.crc import crc32c_of
from emasync.errors import IntegrityError

MOST_CHECKED_BYTES: Final = 64 << 20
"""A larger chunk of which a part is wanted is not read as a whole for that; ``emasync verify --full`` does it."""

_PAGE: Final = 1 << 15


@final
class Checks:
    """Which chunks of an array were compared: one bit each, where any was touched.

    Parameters
    ----------
    wanted : bool
        False: nothing is to be compared, as if all were.
    """

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._pages: dict[int, bytearray] = {}

    def __contains__(self, number: int) -> bool:
        if not self._wanted:
            return True
        page = self._pages.get(number // _PAGE)
        at = number % _PAGE
        return page is not None and bool(page[at >> 3] >> (at & 7) & 1)

    def add(self, number: int) -> None:
        """Remember a chunk. A bit that another thread sets at once may be lost: the chunk is compared again."""
        page = self._pages.setdefault(number // _PAGE, bytearray(_PAGE >> 3))
        at = number % _PAGE
        page[at >> 3] |= 1 << (at & 7)


def require_crc(path: str, start: int, data: Buffer, expected: int) -> None:
    """Compare bytes as stored with what was noted when they arrived.

    Raises
    ------
    IntegrityError
    """
    found = crc32c_of(data)
    if found != expected:
        raise IntegrityError(
            f"{path}: the chunk at byte {start} has the CRC-32C {found:08x}, {expected:08x} was noted when it arrived; "
            "`emasync verify --repair` fetches what is damaged",
            location=path,
        )
