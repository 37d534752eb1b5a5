"""The hook ``metadata``: describes every asset of every dataset, and writes what it found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from emasync.hooks.interface import HookContext, HookReport
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.asset_documents import AssetDocuments
from emasync.hooks.metadata.dataset import FOLDER, DatasetDescriber, dataset_document, document_of
from emasync.hooks.metadata.description import DescribedAsset
from emasync.hooks.metadata.former import remove, stale
from emasync.hooks.metadata.hdf5_reader import Hdf5Reader
from emasync.hooks.metadata.merging import conflicts
from emasync.hooks.metadata.writers import TableWriter

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
        told, documents = _Told(), AssetDocuments(context.sink)
        with closing(TableWriter(context.state_dir)) as table, Hdf5Reader() as hdf5:
            for facts in context.all_datasets:
                for asset in _dataset(DatasetDescriber(context, facts, hdf5), documents, table, told):
                    if context.hurry():
                        return HookReport(notes=("stopped; older documents stay",))
                    _count(asset, told)
            documents.flush()
            table.finish(context.sink)
        for document in list(stale(LocalTree(context.root, context.sink, FOLDER), documents.named)):
            remove(context.sink, document)
        counts = {"datasets": len(context.all_datasets), "assets": told.assets, "rows": table.rows}
        more = (f"and {told.left_out} more notes; they are in the documents",) if told.left_out else ()
        return HookReport(counts={**counts, "conflicts": told.conflicts}, notes=(*told.notes, *more))


def _dataset(
    describer: DatasetDescriber, documents: AssetDocuments, table: TableWriter, told: _Told
) -> Iterator[DescribedAsset]:
    """Describe and write the assets of one dataset."""
    describer.look()
    described = describer.to_dict()
    table.begin(described)
    documents.write(dataset_document(describer.dataset), described)
    for asset in describer.assets():
        as_json = asset.to_dict()
        table.add(asset, documents.write(document_of(asset.dataset, asset.id), as_json), as_json)
        yield asset
    table.end()
    for note in describer.notes:
        told.note(f"{describer.dataset}: {note}")


def _count(asset: DescribedAsset, told: _Told) -> None:
    told.assets += 1
    told.conflicts += len(conflicts(asset.fields)) + sum(len(conflicts(array.fields)) for array in asset.arrays)
    for note in asset.notes:
        told.note(f"{asset.dataset}/{asset.id}: {note}")
