"""Whether an index says already what it would say if it were made again."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from typing import Final

import orjson

from emasync.errors import EmasyncError
from emasync.hooks.interface import SOURCE_METADATA, DatasetFacts, HookContext
from emasync.hooks.local import LocalTree
from emasync.model.cut import BOXES
from emasync.model.version import VERSION
from emasync.volume.index import DatasetIndex, open_index

INPUTS: Final = "inputs"
"""Member of the head of an index: digest of all that it is made of."""

TOLD: Final = "told"
"""Member of the head: digest of who made it, and what the manifest said."""


def told_digest(facts: DatasetFacts) -> str:
    """Digest of what descriptions of files depend on, beside the files."""
    return _digest([VERSION, asdict(facts)])


def _digest(value: object) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)).hexdigest()


def inputs_of(context: HookContext, facts: DatasetFacts) -> str:
    """Digest of what an index is made of, but for the files that it speaks of.

    Whatever was fetched, by whichever dataset, is another epoch of the ledger.
    """
    ledger = context.ledger
    tally = next((tally for tally in ledger.tallies() if tally.dataset == facts.id), None)
    plan = ledger.plan_facts(facts.id)
    kept = LocalTree(context.root, context.sink, facts.id + SOURCE_METADATA)
    told = [
        told_digest(facts),
        None if tally is None else asdict(tally),
        None if plan is None else [plan.digest, plan.complete],
        ledger.durable_epoch(),
        sha256(kept.document(BOXES) or b"").hexdigest(),
    ]
    return _digest(told)


def fresh_index(context: HookContext, facts: DatasetFacts, inputs: str) -> DatasetIndex | None:
    """The index that is there, where it was made of the same and no file that it speaks of changed since; else None.

    Always None where the ledger knows nothing of the dataset, or the hook was asked for by name: files that nobody
    fetched may have come then.
    """
    if context.anew or context.ledger.plan_facts(facts.id) is None:
        return None
    try:
        index = open_index(context.root, facts.id)
        if index.head.get(INPUTS) != inputs:
            return None
        for file in range(len(index.files)):
            index.files.require_unchanged(context.root, file, same_time=True)
    except EmasyncError:
        return None
    return index
