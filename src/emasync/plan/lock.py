"""Describing a plan, so that another can be compared with it: from the ledger and the documents it was made from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from emasync.errors import InterruptedRunError
from emasync.ledger.store import SqliteLedger
from emasync.model.grid import ChunkGrid
from emasync.model.packing import pack_name, unpack_name
from emasync.model.task import TaskSetSpec
from emasync.plan.lending import kept_boxes
from emasync.plan.lock_file import ChosenBox, DatasetLock
from emasync.plan.lock_record import NotedDocuments
from emasync.plan.lock_tree import DIGEST_BYTES, Listing, ListingBuilder
from emasync.plan.tools import PlanTools

Hurry = Callable[[], bool]
"""Whether the run was asked to stop; read from any thread."""


class Named(NamedTuple):
    """Everything that a plan names."""

    objects: Listing
    chunks: int


async def lock_of(entry: Any, tools: PlanTools, documents: NotedDocuments, hurry: Hurry) -> DatasetLock:
    """Describe the present plan of one dataset, which is complete.

    Parameters
    ----------
    entry : manifest entry
        Any: each source has an entry model of its own.
    tools : PlanTools
        Whose ledger holds the plan.
    documents : NotedDocuments
        That the plan was made with.
    hurry : callable

    Raises
    ------
    InterruptedRunError
        `hurry` said so: a list of millions takes a while.
    MachineError
        Of the ledger.
    """
    folder = tools.layout.folder(entry.id)
    notes = documents.notes(entry.id)
    named: Named = await tools.ledger.call(partial(describe_named, dataset=entry.id, folder=folder, hurry=hurry))
    boxes = kept_boxes(notes.boxes, entry.digest) if entry.crop is not None else {}
    listed = ListingBuilder()
    for name, (size_bytes, digest) in sorted(notes.documents.items()):
        listed.add(name, digest, size_bytes)
    return DatasetLock(
        entry=entry.digest,
        resolved=dict(notes.resolved),
        boxes={image: ChosenBox(box, scale) for image, (box, scale) in boxes.items()},
        documents=listed.finish(),
        objects=named.objects,
        chunks=named.chunks,
    )


def describe_named(ledger: SqliteLedger, *, dataset: str, folder: str, hurry: Hurry) -> Named:
    """Digest what the present plan of a dataset names. On the ledger's thread, page by page.

    Parameters
    ----------
    folder : str
        Of the dataset's data, relative to the root.
    """
    builder, chunks = ListingBuilder(), 0
    spec, lead, begun = None, b"", blake2b()
    for row in ledger.planned(dataset):
        if row.spec is not spec:
            spec, lead, begun = row.spec, pack_name(f"{row.spec.destination}/"[len(folder) + 1 :]), _of_set(row.spec)
        if hurry():
            raise InterruptedRunError("interrupted while the plan was compared with its lock; run again")
        if row.key is None:
            chunks += 0 if spec.grid is None else len(spec.grid)
            builder.add(unpack_name(lead), _digest(begun, _ends(spec.grid)))
        else:
            name = unpack_name(lead + (row.key if row.path is None else row.path))
            builder.add(name, _digest(begun, (row.key, row.size_bytes, row.hint, row.published)), row.size_bytes or 0)
    return Named(builder.finish(), chunks)


def _of_set(spec: TaskSetSpec) -> blake2b:
    """What members of a set have in common."""
    return blake2b(repr((spec.base, spec.encoded, spec.slices)).encode(), digest_size=DIGEST_BYTES)


def _ends(grid: ChunkGrid | None) -> object:
    """What tells a grid from any other: its shape, and what its first and last chunk are called."""
    if grid is None or not len(grid):
        return None
    return (tuple(grid.shape), *((grid.key(number), grid.destination(number)) for number in (0, len(grid) - 1)))


def _digest(begun: blake2b, facts: object) -> bytes:
    hasher = begun.copy()
    hasher.update(repr(facts).encode("utf-8", "surrogatepass"))
    return hasher.digest()
