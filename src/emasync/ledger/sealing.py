"""Batches of small objects: whether the journal may take one, and what it changes in the tallies."""

from __future__ import annotations

from collections.abc import Sequence

from emasync.ledger.batch import SealedRow
from emasync.ledger.counts import BY_CHECK, BYTES, ON_DISK, UNKNOWN_SIZE, VERIFIED, Deltas
from emasync.ledger.desk import Desk
from emasync.ledger.entries import Entry
from emasync.ledger.leases import Mark
from emasync.ledger.standing import PENDING, PLACED, SEALED
from emasync.model.packing import pack_digests, pack_validator


def take_rows(desk: Desk, rows: Sequence[SealedRow], epoch: int, deltas: Deltas) -> list[Entry] | None:
    """Pack rows of objects that are as they were leased, and count them as sealed.

    What was leased and not touched since is pending in the generation it was leased in: nothing needs to be read.

    Returns
    -------
    list of Entry or None
        None when another object is among them, or one twice; `deltas` are of no use then.
    """
    entries: list[Entry] = []
    partials, last = desk.partials, None
    for set_id, key, size, crc, verified, validator, digests, generation in rows:
        if set_id != last:
            taken, delta, last = desk.leases.taken(set_id), deltas.of(set_id), set_id
        stored = key if isinstance(key, int) else key.encode("utf-8", "surrogatepass")
        task = taken.get(stored)
        if task is None or isinstance(task, Mark) or task.generation != generation or partials.known(set_id, stored):
            return None
        if task.size_bytes is None:
            delta[UNKNOWN_SIZE] -= 1
        else:
            delta[BYTES + PENDING] -= task.size_bytes
        delta[PENDING] -= 1
        delta[ON_DISK] += 1
        delta[SEALED] += 1
        delta[BYTES + SEALED] += size
        packed, computed = pack_validator(validator), pack_digests(digests)
        entries.append(Entry(set_id, stored, size, crc, VERIFIED[verified], packed, computed, generation, epoch))
    return entries if len({(entry[0], entry[1]) for entry in entries}) == len(entries) else None


def count_placed(entries: Sequence[Entry], deltas: Deltas) -> None:
    """Count sealed objects as placed."""
    for set_id, _, size, _, verified, *_ in entries:
        delta = deltas.of(set_id)
        delta[SEALED] -= 1
        delta[BYTES + SEALED] -= size
        delta[PLACED] += 1
        delta[BYTES + PLACED] += size
        delta[BY_CHECK[verified]] += 1
