"""The index of one dataset: its folder is walked once, then the ledger is asked what became of the chunks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from emasync.errors import EmasyncError, MachineError, SourceError
from emasync.formats.interface import Format
from emasync.formats.paths import join
from emasync.hooks.index.chunk_states import LedgerView
from emasync.hooks.index.file_writer import write_file_array
from emasync.hooks.index.files import arrays_of, describe
from emasync.hooks.index.found_file import FoundArray
from emasync.hooks.index.listed_objects import Members
from emasync.hooks.index.recordings import recordings_in
from emasync.hooks.index.reuse import OlderIndex
from emasync.hooks.index.series import Series
from emasync.hooks.index.shard_writer import ShardRoom, write_sharded
from emasync.hooks.index.tree_writer import Memory, write_tree_array
from emasync.hooks.index.trees import TreeArray, TreeOnDisk, tree_arrays
from emasync.hooks.interface import SOURCE_METADATA, DatasetFacts, HookContext
from emasync.hooks.inventory import DataFile, Folder, Hierarchy, inventory
from emasync.hooks.local import LocalTree, Own
from emasync.ledger.interface import Row
from emasync.model.cut import BOXES, read_cuts
from emasync.model.task import State
from emasync.registry import FORMATS
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.index_writer import IndexWriter
from emasync.volume.states import ChunkState

Subject = TypeVar("Subject")

_log = logging.getLogger("emasync")

LOOK_EVERY = 1 << 10
"""Rows, or blocks of rows, of the ledger: then it is asked whether the run was told to stop."""


class DatasetIndexer:
    """Indexes one dataset.

    Parameters
    ----------
    context : HookContext
    facts : DatasetFacts
    writer : IndexWriter

    Attributes
    ----------
    counts : Counter
        Arrays, chunks and what became of these.
    notes : list of str
    """

    def __init__(self, context: HookContext, facts: DatasetFacts, writer: IndexWriter) -> None:
        self._context = context
        self._facts = facts
        self._writer = writer
        self._disk = LocalTree(context.root, context.sink, facts.folder, Own(facts.folder, facts.places))
        self._published = LocalTree(context.root, context.sink, facts.id + SOURCE_METADATA)
        self._cuts = read_cuts(self._published.document(BOXES))
        self._trees: list[TreeArray] = []
        self._series = None if facts.series is None else Series(facts.series, self._disk)
        self._older = OlderIndex.of(context, facts)
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []

    def run(self) -> bool:
        """Index everything; False when the run was asked to stop on the way."""
        for item in self._items():
            if self._context.hurry():
                return False
            self._guarded(self._take, item)
        if not self._chunks():
            return False
        if self._series is not None:
            self._guarded(self._volume, self._series)
        return not self._context.hurry()

    def _guarded(self, work: Callable[[Subject], None], subject: Subject) -> None:
        """Whatever a stranger's file brings about is a note, and the others are indexed."""
        try:
            work(subject)
        except (MachineError, OSError):
            raise
        except EmasyncError as error:
            self.notes.append(error.message)
        except Exception as error:  # noqa: BLE001 - see above
            _log.exception("index of %s: %.200s", self._facts.id, subject)
            self.notes.append(f"{str(subject)[:200]}: {type(error).__name__}: {error}; please report this")

    def _volume(self, series: Series) -> None:
        if self._older is not None:
            series.known = self._older.slices(series.facts.pattern)
        volume = series.volume(self.notes)
        if volume is not None:
            self._add(volume)

    def _take(self, item: object) -> None:
        if isinstance(item, Hierarchy):
            self._tree(item)
        elif isinstance(item, DataFile):
            if self._series is None or not self._series.wants(item.path):
                self._file(item)
        elif isinstance(item, Folder):
            self._folder(item)

    def _folder(self, item: Folder) -> None:
        for array in recordings_in(item, self._disk, self.notes):
            self._add(array)
        if self._series is not None:
            for path in (join(item.path, name) for name in item.objects):
                if self._series.wants(path):
                    self._writer.files.add(join(self._facts.folder, path))  # its checksum comes before the volume
                    self._series.there.append(path)

    def _items(self) -> Iterator[object]:
        try:
            yield from inventory(self._disk)
        except OverflowError as error:
            self.notes.append(str(error))

    def _tree(self, item: Hierarchy) -> None:
        form: Format = FORMATS.load(item.format)()
        place = TreeOnDisk.of(
            item.path, form, disk=self._disk, published=self._published, cuts=self._cuts, facts=self._facts
        )
        arrays, notes = tree_arrays(place, form)
        self._trees += arrays
        self.notes += notes

    def _file(self, item: DataFile) -> None:
        file = self._disk.file(item.path)
        if file is None:
            return
        if self._older is not None and (known := self._older.entries(item.path)):
            self._copy(self._older, known, file.name)
            return
        found, notes = describe(item, file)
        self.notes += notes
        for array in arrays_of(item.path, file.name, found) if found is not None else ():
            self._add(array)

    def _copy(self, older: OlderIndex, known: Sequence[ArrayEntry], name: str) -> None:
        for entry in known:
            older.copy(entry, name, self._writer)
            self._count(entry.coverage.chunks, entry.coverage.present)
        self.notes += older.notes(name)

    def _add(self, array: FoundArray) -> None:
        try:
            coverage = write_file_array(array, self._writer)
        except SourceError as error:
            self.notes.append(error.message)
        else:
            self._count(coverage.chunks, coverage.present)

    def _chunks(self) -> bool:
        """What became of the chunks of trees, and checksums of files: one pass over the rows of the ledger.

        False when the run was asked to stop on the way.
        """
        ledger, dataset = self._context.ledger, self._facts.id
        view = LedgerView.of(ledger, dataset)
        rows = Members({array.place: array for array in self._trees}, self._file_row)
        for number, members in enumerate(ledger.listed_blocks(dataset) if view.known else ()):
            rows.take(members)
            if not number % LOOK_EVERY and self._context.hurry():
                return False
        rows.flush()
        memory = Memory(facts=self._facts, ledger=ledger, view=view, objects=rows.objects, waiting=rows.waiting)
        for array in self._trees:
            if self._context.hurry():
                return False
            self._guarded(partial(self._write, memory=memory), array)
        return True

    def _file_row(self, row: Row) -> None:
        """What the ledger knows of a file: its checksum, or that it is not here."""
        path = row.destination.removeprefix(f"{self._facts.folder}/")
        if row.state is State.PLACED:
            if row.crc32c is not None:
                self._writer.files.know_crc32c(row.destination, row.crc32c)
        elif self._series is not None and self._series.wants(path):
            waits = row.state is not State.ABSENT
            self._series.elsewhere[path] = ChunkState.NOT_DOWNLOADED if waits else ChunkState.UNKNOWN

    def _write(self, array: TreeArray, memory: Memory) -> None:
        if array.grid is None or array.description.sharded:
            root = LocalTree(self._context.root, self._context.sink, "")
            coverage = write_sharded(ShardRoom(array, root, memory, self._writer, self.notes))
        else:
            coverage = write_tree_array(array, array.grid, memory, self._writer)
        self._count(coverage.chunks, coverage.present)

    def _count(self, chunks: int, present: int) -> None:
        self.counts.update(arrays=1, chunks=chunks, present=present)
