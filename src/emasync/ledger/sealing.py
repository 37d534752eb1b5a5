"""Batches of small objects: whether the journal may take one, and what it changes in the tallies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from emasync.ledger.batch import SealedRow
from emasync.ledger.counts import BY_CHECK, BYTES, ON_DISK, UNKNOWN_SIZE, VERIFIED, Deltas
from emasync.ledger.desk import Desk
from emasync.ledger.entries import Entry
from emasync.ledger.standing import PENDING, PLACED, SEALED
from emasync.model.packing import pack_digests, pack_validator
from emasync.model.task import Task


def take_rows(desk: Desk, rows: Sequence[SealedRow], epoch: int, deltas: Deltas) -> list[Entry] | None:
    """Pack rows of objects that are as they were leased, and count them as sealed.

    What was leased and not touched since is pending in the generation it was leased in: nothing needs to be read.

    Returns
    -------
    list of Entry or None
        None when another object is among them, or one twice; `deltas` are of no use then.
    """
    entries: list[Entry] = []
    sizes: list[int | None] = []
    leases, partials, last, make = desk.leases, desk.partials, None, Entry._make
    for set_id, key, size, crc, verified, validator, digests, generation in rows:
        if set_id != last:
            taken, last = leases.taken(set_id), set_id
        stored = key if isinstance(key, int) else key.encode("utf-8", "surrogatepass")
        task = taken.get(stored)
        if not isinstance(task, Task) or task.generation != generation or partials.known(set_id, stored):
            return None
        sizes.append(task.size_bytes)
        packed, computed = pack_validator(validator), pack_digests(digests) if digests else None
        entries.append(make((set_id, stored, size, crc, VERIFIED[verified], packed, computed, generation, epoch)))
    if len({entry[:2] for entry in entries}) < len(entries):
        return None
    _count_sealed(entries, sizes, deltas)
    return entries


def _count_sealed(entries: Sequence[Entry], expected: Sequence[int | None], deltas: Deltas) -> None:
    for set_id, begin, end in _runs(entries):
        delta = deltas.of(set_id)
        known = [size for size in expected[begin:end] if size is not None]
        delta[PENDING] -= end - begin
        delta[BYTES + PENDING] -= sum(known)
        delta[UNKNOWN_SIZE] -= end - begin - len(known)
        delta[ON_DISK] += end - begin
        delta[SEALED] += end - begin
        delta[BYTES + SEALED] += sum(entry[2] for entry in entries[begin:end])


def count_placed(entries: Sequence[Entry], deltas: Deltas) -> None:
    """Count sealed objects as placed."""
    for set_id, begin, end in _runs(entries):
        delta = deltas.of(set_id)
        size = sum(entry[2] for entry in entries[begin:end])
        delta[SEALED] -= end - begin
        delta[BYTES + SEALED] -= size
        delta[PLACED] += end - begin
        delta[BYTES + PLACED] += size
        for verified, count in Counter(entry[4] for entry in entries[begin:end]).items():
            delta[BY_CHECK[verified]] += count


def _runs(entries: Sequence[Entry]) -> Iterator[tuple[int, int, int]]:
    """Neighbours of one set: its id, and where they begin and end."""
    begin = 0
    for set_id, group in groupby(entries, key=itemgetter(0)):
        end = begin + sum(1 for _ in group)
        yield set_id, begin, end
        begin = end
