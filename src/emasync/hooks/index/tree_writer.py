"""Writes arrays whose chunks are files of their own: a formula, and a bit for what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from emasync.formats.json_document import JsonObject
from emasync.hooks.index.chunk_states import LedgerView, grid_states, left_out
from emasync.hooks.index.listed_objects import MAX_CRCS, Crcs, ListedObjects
from emasync.hooks.index.trees import TreeArray
from emasync.hooks.interface import DatasetFacts
from emasync.ledger.interface import Ledger
from emasync.model.grid import ChunkGrid
from emasync.volume.index_entry import ArrayEntry, Coverage, coverage_of, formula
from emasync.volume.index_writer import IndexWriter
from emasync.volume.states import ChunkState, States


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is remembered of a dataset's objects.

    Attributes
    ----------
    facts : DatasetFacts
    ledger : Ledger
    view : LedgerView
    objects : mapping of str to ListedObjects
        By folder.
    waiting : mapping of str to (collection of str)
        By folder: objects that are no part of a grid, and are to be fetched yet.
    """

    facts: DatasetFacts
    ledger: Ledger
    view: LedgerView
    objects: Mapping[str, ListedObjects]
    waiting: Mapping[str, Collection[str]]

    def states(self, array: TreeArray, grid: ChunkGrid, crcs: Crcs | None) -> tuple[Iterator[States], Crcs | None]:
        """States of the objects of a grid, in blocks, and their checksums once these were read."""
        planned = self.view.grid_of(array)
        if planned is not None:
            blocks = self.ledger.chunk_blocks(planned.set_id)
            return grid_states(blocks, crcs, accepted=planned.spec.accepted), crcs
        objects = self.objects.get(array.place) or ListedObjects(len(grid))
        if not self.view.says_all(array, chosen=array.chosen):
            return objects.states(ChunkState.NOT_DOWNLOADED), objects.crc32c
        states = objects.states(ChunkState.ABSENT)
        globs = not array.chosen and (self.facts.include or self.facts.exclude)
        return (left_out(self.facts, array, states) if globs else states), objects.crc32c


def write_tree_array(array: TreeArray, grid: ChunkGrid, memory: Memory, writer: IndexWriter) -> Coverage:
    """Write one array; gives what is there of it.

    Parameters
    ----------
    array : TreeArray
    grid : ChunkGrid
        Of its chunks on disk.
    memory : Memory
    writer : IndexWriter
    """
    chunks = len(grid)
    if not memory.view.known:
        coverage, places = Coverage(chunks=chunks), formula(array.folder, grid, probe=True)
    else:
        crcs = np.zeros(chunks, np.uint32) if chunks <= MAX_CRCS else None
        states, crcs = memory.states(array, grid, crcs)
        coverage, places = _with_states(array, grid, states, writer)
        if crcs is not None and coverage.present:
            places["crc32c"] = writer.column("crc32c").append(crcs)
    writer.add(tree_entry(array, places, coverage, writer))
    return coverage


def _with_states(
    array: TreeArray, grid: ChunkGrid, states: Iterator[States], writer: IndexWriter
) -> tuple[Coverage, JsonObject]:
    first, counts = writer.add_states(states)
    coverage = coverage_of(counts.tolist())
    uniform = [state for state in ChunkState if counts[state] == len(grid)]
    if uniform:
        return coverage, formula(array.folder, grid, state=int(uniform[0]))
    return coverage, formula(array.folder, grid, blocks=first)


def tree_entry(array: TreeArray, places: JsonObject, coverage: Coverage, writer: IndexWriter) -> ArrayEntry:
    """What is written of an array of a tree."""
    return ArrayEntry(
        asset=array.asset,
        array=array.array,
        scale=array.scale,
        path=array.path,
        format=array.description.format,
        shape=array.shape,
        axes=array.axes,
        layout=array.layout,
        chunks=places,
        origin=array.origin,
        bounds=array.bounds,
        measures=array.measures,
        translation_nm=array.translation_nm,
        role=array.role,
        attributes=array.attributes,
        coverage=coverage,
        sources=tuple(writer.files.add(path) for path in array.documents),
    )
