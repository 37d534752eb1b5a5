"""The hook: an index for each dataset, made anew from what is on disk."""

from __future__ import annotations

from collections import Counter

from emasync.hooks.index.dataset import DatasetIndexer
from emasync.hooks.interface import DatasetFacts, HookContext, HookReport
from emasync.volume.index_writer import MAX_NOTES, IndexWriter


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
            notes += [f"{facts.id}: {note}" for note in said]
        return HookReport(counts={"datasets": 0, "arrays": 0, **counts}, notes=tuple(notes[:MAX_NOTES]))


def _index(context: HookContext, facts: DatasetFacts) -> tuple[Counter[str], list[str]]:
    with IndexWriter(context.root, facts.id) as writer:
        indexer = DatasetIndexer(context, facts, writer)
        if not indexer.run():
            return Counter(), []
        writer.finish(indexer.notes, {"counts": dict(indexer.counts)})
    return indexer.counts + Counter(datasets=1), indexer.notes
