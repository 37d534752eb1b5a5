"""Files that an older index describes, and that did not change: headers are not read twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from emasync.errors import EmasyncError
from emasync.formats.json_document import JsonObject
from emasync.hooks.index.freshness import TOLD, told_digest
from emasync.hooks.interface import DatasetFacts, HookContext
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.index_writer import IndexWriter

Places = tuple[tuple[int, ...], tuple[int, ...]]
"""First bytes and lengths of the chunks of one slice."""

_ROWS_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class OlderIndex:
    """An index of the same dataset, made by the same program of the same facts.

    Attributes
    ----------
    index : DatasetIndex
    """

    index: DatasetIndex

    @classmethod
    def of(cls, context: HookContext, facts: DatasetFacts) -> OlderIndex | None:
        """The one that is there; None where there is none, or the hook was asked for by name."""
        if context.anew:
            return None
        try:
            index = open_index(context.root, facts.id)
        except EmasyncError:
            return None
        return cls(index) if index.head.get(TOLD) == told_digest(facts) else None

    def entries(self, asset: str) -> list[ArrayEntry]:
        """Arrays of a file that did not change; none where it did, or it was not known."""
        try:
            found = list(self.index.entries(asset))
        except EmasyncError:
            return []
        return found if all(self._is_unchanged(file) for entry in found for file in entry.sources) else []

    def slices(self, pattern: str) -> dict[str, Places]:
        """Starts and sizes of the chunks of each file of a series that did not change, by path from the root."""
        try:
            entry = next((entry for entry in self.index.entries() if entry.attributes.get("series") == pattern), None)
            records = self.index.columns.get("records")
        except EmasyncError:
            return {}
        if entry is None or not isinstance(first := entry.chunks.get("first"), int):
            return {}
        rows = records[first : first + entry.coverage.chunks].reshape(entry.shape[0], -1)
        found: dict[str, Places] = {}
        for row in rows:
            file = int(row["file"][0])
            if file >= 0 and self._is_unchanged(file):
                found[self.index.files.path(file)] = tuple(row["start"].tolist()), tuple(row["size"].tolist())
        return found

    def _is_unchanged(self, file: int) -> bool:
        try:
            self.index.files.require_unchanged(self.index.root, file, same_time=True)
        except EmasyncError:
            return False
        return True

    def notes(self, name: str) -> list[str]:
        """What was said of a file."""
        return [note for note in self.index.notes if note.startswith(f"{name}: ")]

    def copy(self, entry: ArrayEntry, name: str, writer: IndexWriter) -> None:
        """Write an array of the file called `name` as it was written before."""
        file = writer.files.add(name)
        chunks: JsonObject = dict(entry.chunks)
        if chunks["kind"] == "affine":
            chunks["file"] = file
        else:
            self._copy_rows(entry, file, chunks, writer)
        writer.add(replace(entry, chunks=chunks, sources=(file,)))

    def _copy_rows(self, entry: ArrayEntry, file: int, chunks: JsonObject, writer: IndexWriter) -> None:
        """Rows of all columns that the array has a part of; they follow each other in the new ones, too."""
        count = entry.chunks.get("count", entry.coverage.chunks)
        for member, name in (("first", "records"), ("keys", "keys"), ("skipped", "skipped"), ("crc32c", "crc32c")):
            first = entry.chunks.get(member)
            if not isinstance(first, int) or not isinstance(count, int):
                continue
            column = writer.column(name)
            chunks[member] = column.rows
            for part in self._parts(name, first, count):
                if name == "records":
                    part["file"] = np.where(part["file"] >= 0, file, part["file"])
                column.append(part)

    def _parts(self, name: str, first: int, count: int) -> Iterator[np.ndarray[tuple[int], np.dtype[np.void]]]:
        column = self.index.columns.get(name)
        for start in range(first, first + count, _ROWS_AT_ONCE):
            yield column[start : min(start + _ROWS_AT_ONCE, first + count)].copy()
