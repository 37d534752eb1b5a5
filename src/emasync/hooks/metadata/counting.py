"""Objects and bytes from the ledger: counted as they pass, kept one by one for files only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.precomputed.info import INFO
from emasync.formats.zarr.keys import METADATA_NAMES
from emasync.ledger.interface import Ledger, Row, Tally
from emasync.model.task import State

_NO_CHUNKS = METADATA_NAMES | {ATTRIBUTES, INFO}
_REMEMBERED = 1 << 16
_ENDED = (State.PLACED, State.ABSENT)
_LEFT = (State.PENDING, State.SEALED, State.FAILED)


@dataclass(slots=True)
class Count:
    """Objects of one array (mutable: counts)."""

    present: int = 0
    absent: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Counts:
    """What the ledger knows of one dataset.

    Attributes
    ----------
    known : bool
        Whether it knows anything.
    done : bool
        Whether nothing that was asked for is left.
    objects, size_bytes : int
        On disk.
    arrays : dict of str to Count
        By folder, relative to the root.
    files : dict of str to Row
        By destination.
    """

    known: bool = False
    done: bool = False
    objects: int = 0
    size_bytes: int = 0
    arrays: dict[str, Count] = field(default_factory=dict)
    files: dict[str, Row] = field(default_factory=dict)


def count_objects(ledger: Ledger, dataset: str, folders: Collection[str], files: Collection[str]) -> Counts:
    """Count a dataset's objects by array: grids are counted already, listed objects in one pass.

    Parameters
    ----------
    ledger : Ledger
    dataset : str
    folders : collection of str
        Of arrays, relative to the root.
    files : collection of str
        Destinations whose rows are wanted.
    """
    tally = next((tally for tally in ledger.tallies() if tally.dataset == dataset), None)
    if tally is None or not tally.planned:
        return Counts(arrays={folder: Count() for folder in folders})
    counts = _of_tally(tally, folders)
    wanted = frozenset(files)
    for planned in ledger.planned_sets(dataset):
        if planned.spec.grid is not None and (count := _around(planned.spec.destination, counts.arrays)) is not None:
            count.present += planned.placed
            count.absent += 0 if planned.spec.accepted else planned.absent
            count.bytes += planned.placed_bytes
    if folders or wanted:
        _scan(ledger.listed_rows(dataset), counts, wanted)
    return counts


def _of_tally(tally: Tally, folders: Collection[str]) -> Counts:
    return Counts(
        known=True,
        done=not any(tally.objects.get(state, 0) for state in _LEFT) and not tally.metadata_only,
        objects=tally.objects.get(State.PLACED, 0),
        size_bytes=tally.bytes.get(State.PLACED, 0),
        arrays={folder: Count() for folder in folders},
    )


def _scan(rows: Iterable[Row], counts: Counts, wanted: frozenset[str]) -> None:
    places: dict[str, Count | None] = {}
    for row in rows:
        if row.state not in _ENDED:
            continue
        absent = row.state is State.ABSENT
        folder, _, name = row.destination.rpartition("/")
        if folder not in places:
            if len(places) >= _REMEMBERED:
                places.clear()
            places[folder] = _around(folder, counts.arrays)
        count = places[folder]
        if count is not None and name not in _NO_CHUNKS:
            count.absent += absent and not row.spec.accepted  # which says nothing of what the publisher has
            count.present += not absent
            count.bytes += 0 if absent else row.size_bytes or 0
        elif row.destination in wanted:
            counts.files[row.destination] = row


def _around(folder: str, arrays: dict[str, Count]) -> Count | None:
    """The innermost array that a folder belongs to."""
    while folder:
        if folder in arrays:
            return arrays[folder]
        folder = folder.rpartition("/")[0]
    return None
