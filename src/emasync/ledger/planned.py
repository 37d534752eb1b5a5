"""What a plan named, as it was named: whatever became of it since, and in an order that only names decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from emasync.ledger.listed import standings_page
from emasync.ledger.walking import PAGE, Shelf
from emasync.model.task import TaskSetSpec

_SETS: Final = (
    "SELECT s.id FROM sets s JOIN datasets d ON d.id = s.dataset_id WHERE d.name = ? AND s.plan = d.generation"
    " ORDER BY s.destination, s.base, s.asset, s.identity"
)


class Planned(NamedTuple):
    """One object as the plan named it, or a grid of chunks as a whole.

    Attributes
    ----------
    spec : TaskSetSpec
        Of its set.
    key : bytes or None
        UTF-8; None: the grid of `spec`.
    path : bytes or None
        Destination below the set's folder where it is not the key.
    size_bytes : int or None
        As expected; None when nobody said.
    hint, published : bytes or None
        Validator of the listing and digests of the publisher, packed.
    """

    spec: TaskSetSpec
    key: bytes | None = None
    path: bytes | None = None
    size_bytes: int | None = None
    hint: bytes | None = None
    published: bytes | None = None


def walk_planned(shelf: Shelf, dataset: str) -> Iterator[Planned]:
    """Everything that the present plan of `dataset` named: sets by name, objects by key, a page at a time."""
    for (set_id,) in shelf.connection.execute(_SETS, (dataset,)).fetchall():
        spec = shelf.sets.get(set_id).spec
        if spec.grid is not None:
            yield Planned(spec)
            continue
        after: bytes | None = None
        while True:
            shelf.settle()
            rows, after = standings_page(shelf.connection, shelf.sets.get(set_id), after, PAGE, None)
            for key, standing in rows:
                yield Planned(spec, key, standing.path, standing.size, standing.hint, standing.published)
            if after is None:
                break
