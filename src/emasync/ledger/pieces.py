"""CRCs of the pieces of large files: a flipped bit costs one piece to fetch again, not the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from struct import Struct

from emasync.ledger.interface import Part, Piece
from emasync.ledger.sidenotes import StoredKey

_PIECE = Struct("<QI")  # where the piece ends, its CRC-32C; it begins where the one before it ends


class Pieces:
    """What parts of placed files were fetched as, and the CRC of each.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep(self, set_id: int, key: StoredKey, parts: Sequence[Part], size_bytes: int) -> None:
        """Remember the parts of a file that is whole now; parts that do not cover it say nothing."""
        if not parts or not _cover(parts, size_bytes):
            return
        facts = b"".join(_PIECE.pack(part.stop, part.crc32c) for part in parts)
        self._connection.execute("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?)", (set_id, key, facts))

    def drop(self, set_id: int, key: StoredKey) -> None:
        """The file is another one now."""
        self._connection.execute("DELETE FROM pieces WHERE set_id = ? AND key = ?", (set_id, key))

    def read(self, set_id: int, key: StoredKey) -> tuple[Piece, ...]:
        """The pieces of a file in order; none of a file that was not fetched in parts."""
        row = self._connection.execute(
            "SELECT facts FROM pieces WHERE set_id = ? AND key = ?", (set_id, key)
        ).fetchone()
        found, start = [], 0
        for stop, crc in _PIECE.iter_unpack(row[0]) if row else ():
            found.append(Piece(start, stop, crc))
            start = stop
        return tuple(found)


def _cover(parts: Sequence[Part], size_bytes: int) -> bool:
    """Whether parts, in order, are the whole file without gap and overlap."""
    joined = all(one.stop == other.start for one, other in pairwise(parts))
    return joined and parts[0].start == 0 and parts[-1].stop == size_bytes
