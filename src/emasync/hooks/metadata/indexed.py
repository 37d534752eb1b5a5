"""What the chunk index counted: it alone holds the names of missing chunks against the manifest's globs."""

from __future__ import annotations

from collections.abc import Mapping

from emasync.errors import EmasyncError
from emasync.formats.paths import join
from emasync.hooks.index.freshness import INPUTS, inputs_of
from emasync.hooks.interface import DatasetFacts, HookContext
from emasync.volume.index import open_index
from emasync.volume.index_entry import Coverage


def indexed_coverage(context: HookContext, facts: DatasetFacts) -> Mapping[str, Coverage]:
    """Chunks by state, by the folder of the array's objects, relative to the root.

    Of arrays whose chunks are objects of their own, and of those that lack none. Nothing where the manifest has no
    globs, for all counts agree then; nor of an index that was made of anything else.
    """
    if not (facts.include or facts.exclude):
        return {}
    try:
        index = open_index(context.root, facts.id)
        if index.head.get(INPUTS) != inputs_of(context, facts):
            return {}
        return {
            join(join(facts.folder, entry.asset), entry.path): entry.coverage
            for entry in index.entries()
            if entry.coverage.complete or (entry.kind == "formula" and entry.coverage.known)
        }
    except EmasyncError:
        return {}
