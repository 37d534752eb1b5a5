"""The hook: an index for each dataset, made anew from what is on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from emasync.hooks.index.dataset import DatasetIndexer
from emasync.hooks.index.freshness import INPUTS, TOLD, fresh_index, inputs_of, told_digest
from emasync.hooks.index.manifest import completed
from emasync.hooks.interface import DatasetFacts, HookContext, HookReport
from emasync.volume.index_writer import IndexWriter

SHOWN_NOTES: Final = 5
"""Of a dataset; the index keeps them all."""

NO_NEWS: Final = (": it holds ", "which are no numbers of a fixed size")
"""In notes of arrays of text and records: each NWB session, in HDF5 or Zarr, has dozens."""


class IndexHook:
    """Writes ``.emasync/index/<dataset>`` (:class:`~emasync.hooks.interface.Hook`)."""

    def run(self, context: HookContext) -> HookReport:
        """See :class:`~emasync.hooks.interface.Hook`.

        Raises
        ------
        MachineError
            Disk full, no permission.
        """
        counts: Counter[str] = Counter()
        notes: list[str] = []
        for facts in context.datasets:
            if context.hurry():
                break
            found, said = _index(context, facts)
            counts += found
            notes += _shortened(facts.id, said)
        return HookReport(counts={"datasets": 0, "arrays": 0, **counts}, notes=tuple(notes))


def _index(context: HookContext, facts: DatasetFacts) -> tuple[Counter[str], list[str]]:
    inputs = inputs_of(context, facts)
    fresh = fresh_index(context, facts, inputs)
    if fresh is not None:
        return Counter(datasets=1, arrays=len(fresh)), []
    with IndexWriter(context.root, facts.id, lambda entry: completed(entry, facts.metadata)) as writer:
        indexer = DatasetIndexer(context, facts, writer)
        if not indexer.run():
            return Counter(), []
        writer.finish(indexer.notes, {"counts": dict(indexer.counts), INPUTS: inputs, TOLD: told_digest(facts)})
    return indexer.counts + Counter(datasets=1), indexer.notes


def _shortened(dataset: str, notes: Sequence[str]) -> list[str]:
    """What a user is told: that a file has text or records beside its numbers is no news."""
    news = [note for note in notes if not any(words in note for words in NO_NEWS)]
    shown = [f"{dataset}: {note}" for note in news[:SHOWN_NOTES]]
    more = len(news) - SHOWN_NOTES
    return [*shown, f"{dataset}: {more} more notes are in its index.json"] if more > 0 else shown
