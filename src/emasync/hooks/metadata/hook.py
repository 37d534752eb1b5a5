"""The hook ``metadata``: describes every asset of every dataset, and writes what it found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import orjson

from emasync.disk.names import map_segment
from emasync.hooks.interface import HookContext, HookReport
from emasync.hooks.metadata.dataset import DatasetDescriber
from emasync.hooks.metadata.description import DescribedAsset
from emasync.hooks.metadata.hdf5_reader import Hdf5Reader
from emasync.hooks.metadata.writers import TableWriter

FOLDER: Final = "metadata"
"""Of the documents of assets, below the root."""

MAX_NOTES: Final = 100
"""Told at the end of a run; all of them stand in the documents."""


@dataclass(slots=True)
class _Told:
    """For the report (mutable: counts)."""

    assets: int = 0
    conflicts: int = 0
    notes: list[str] = field(default_factory=list)
    left_out: int = 0

    def note(self, text: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)
        else:
            self.left_out += 1


class MetadataHook:
    """Writes ``metadata.json``, ``metadata.csv`` and one document an asset."""

    def run(self, context: HookContext) -> HookReport:
        """See :class:`~emasync.hooks.interface.Hook`; a run that is in a hurry leaves older documents as they are.

        Raises
        ------
        MachineError
            Disk full, no permission.
        """
        told = _Told()
        with closing(TableWriter(context.state_dir)) as table, Hdf5Reader() as hdf5:
            for facts in context.all_datasets:
                for asset in _dataset(context, DatasetDescriber(context, facts, hdf5), table, told):
                    if context.hurry():
                        return HookReport(notes=("stopped; older documents stay",))
                    _count(asset, told)
            table.finish(context.sink)
        counts = {"datasets": len(context.all_datasets), "assets": told.assets, "rows": table.rows}
        more = (f"and {told.left_out} more notes; they are in the documents",) if told.left_out else ()
        return HookReport(counts={**counts, "conflicts": told.conflicts}, notes=(*told.notes, *more))


def _dataset(
    context: HookContext, describer: DatasetDescriber, table: TableWriter, told: _Told
) -> Iterator[DescribedAsset]:
    """Describe and write the assets of one dataset."""
    describer.look()
    table.begin(describer.to_dict())
    for asset in describer.assets():
        document = f"{FOLDER}/{asset.dataset}/{document_name(asset.id)}.json"
        _write(context, document, asset)
        table.add(asset, document)
        yield asset
    table.end()
    for note in describer.notes:
        told.note(f"{describer.dataset}: {note}")


def document_name(asset: str) -> str:
    """Where an asset's document lies below the dataset's folder of them: its path, in legal names."""
    return "/".join(map_segment(segment) for segment in asset.split("/"))


def _write(context: HookContext, document: str, asset: DescribedAsset) -> None:
    """Write a document where it is not what lies there."""
    data = orjson.dumps(asset.to_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    facts = context.sink.stat(document)
    if facts is not None and facts.size_bytes == len(data) and context.sink.read_final(document, 0, len(data)) == data:
        return
    context.sink.write_document(document, data)


def _count(asset: DescribedAsset, told: _Told) -> None:
    told.assets += 1
    rows = list(asset.rows())
    told.conflicts += sum(int(row["n_conflicts"]) for row in rows)
    for note in asset.notes:
        told.note(f"{asset.dataset}/{asset.id}: {note}")
