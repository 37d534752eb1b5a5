"""Sealed objects as the journal holds them: packed rows, and batches of them as bytes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from emasync.ledger.columns import Columns, pack_rows
from emasync.ledger.sidenotes import StoredKey


class Entry(NamedTuple):
    """A sealed object, packed: columns of its row.

    Attributes
    ----------
    set_id : int
    key : bytes or int
    size : int
        On disk, bytes.
    crc : int
    verified : int
    validator : bytes or None
        Of the answer that delivered the bytes.
    computed : bytes or None
        Digests computed beyond the CRC.
    generation : int
        Of the partial name.
    epoch : int
    """

    set_id: int
    key: StoredKey
    size: int
    crc: int
    verified: int
    validator: bytes | None
    computed: bytes | None
    generation: int
    epoch: int


_NO_CHUNK: Final = -1
"""Chunk number of an object that has a key."""

_NUMBERS: Final = "qqqqIB"
"""Types of set, chunk, size, generation, CRC and check."""


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """All but the epoch, which a batch has in common."""
    if not entries:
        return pack_rows(_NUMBERS, [()] * len(_NUMBERS), [()] * 3)
    sets, keys, sizes, crcs, checks, validators, computed, generations, _ = zip(*entries, strict=True)
    if isinstance(keys[0], bytes) and len({type(key) for key in keys}) == 1:
        chunks, names = [_NO_CHUNK] * len(keys), keys
    else:
        chunks = [key if isinstance(key, int) else _NO_CHUNK for key in keys]
        names = tuple(None if isinstance(key, int) else key for key in keys)
    return pack_rows(_NUMBERS, (sets, chunks, sizes, generations, crcs, checks), (names, validators, computed))


def unpack_entries(data: bytes, epoch: int) -> list[Entry]:
    """Entries of one epoch back from :func:`pack_entries`.

    Raises
    ------
    ValueError
        The lengths do not agree.
    """
    columns = Columns(data, _NUMBERS, 3)
    sets, chunks, sizes, generations, crcs, checks = columns.numbers
    names, validators, computed = map(columns.texts, range(3))
    keys = [chunk if name is None else name for name, chunk in zip(names, chunks, strict=True)]
    rows = zip(sets, keys, sizes, crcs, checks, validators, computed, generations, strict=True)
    return [Entry._make((*row, epoch)) for row in rows]
