"""Opens the chunk index of a dataset: arrays are read line by line, chunk maps are mapped when they are asked."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emasync.errors import InputError
from emasync.formats.json_document import Json
from emasync.volume.index_columns import Columns, stale
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.index_layout import HEAD, INDEX_FOLDER, LINES, SCHEMA, index_folder, sort_key
from emasync.volume.index_paths import FileTable
from emasync.volume.interface import IndexedArray

MAX_HEAD_BYTES: Final = 16 << 20
CHECKED_FILES: Final = 16
"""Files of an array that are looked at when it is opened; all of its documents, hardly ever all of its pages."""

_TRIES: Final = 3
"""An index may be replaced between the reading of its head and that of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetIndex:
    """The index of one dataset. Read-only; threads and forked processes share it, and it pickles as its paths.

    Made by :func:`open_index`.

    Attributes
    ----------
    root : Path
    dataset : str
    columns : Columns
    head : mapping of str to Json
        What ``index.json`` says.
    """

    root: Path
    dataset: str
    columns: Columns
    head: Mapping[str, Json] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns.get("rows"))

    def entries(self, asset: str | None = None) -> Iterator[ArrayEntry]:
        """Arrays as they are written, sorted by asset; those of one asset are found without reading the others.

        Raises
        ------
        SourceError
            ``stale_index``.
        """
        number = 0 if asset is None else self._first(asset)
        with self._lines() as lines:
            while number < len(self):
                entry = self._entry(lines, number)
                if asset is not None and entry.asset != asset:
                    return
                yield entry
                number += 1

    def arrays(self, asset: str | None = None) -> Iterator[IndexedArray]:
        """Arrays with their chunk maps; as :meth:`entries`, and the files they were read from are looked at.

        Raises
        ------
        SourceError
            ``stale_index``: a document or file changed since.
        """
        for entry in self.entries(asset):
            yield self.indexed(entry)

    def indexed(self, entry: ArrayEntry, *, check: bool = True) -> IndexedArray:
        """An array with its chunk map.

        Parameters
        ----------
        entry : ArrayEntry
        check : bool
            Whether the first :data:`CHECKED_FILES` files that it was read from must be what they were.

        Raises
        ------
        SourceError
            ``stale_index``.
        """
        for file in entry.sources[:CHECKED_FILES] if check else ():
            self.files.require_unchanged(self.root, file)
        return entry.indexed(self.dataset, self.root, self.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over when it was made, and why; the first 1,000."""
        notes = self.head.get("notes")
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    @property
    def files(self) -> FileTable:
        """Files that the index speaks of."""
        return FileTable(self.columns)

    def _lines(self) -> Any:  # the file object: typeshed has one type for each way of opening
        try:
            return (self.columns.folder / LINES).open("rb", buffering=1 << 16)
        except OSError as error:
            raise stale(f"{self.columns.folder}: this generation of the index is gone") from error

    def _entry(self, lines: Any, number: int) -> ArrayEntry:
        row = self.columns.get("rows")[number]
        lines.seek(int(row["start"]))
        return ArrayEntry.from_line(lines.read(int(row["size"])))

    def _first(self, asset: str) -> int:
        """Number of the first array of an asset, or where it would be."""
        with self._lines() as lines:
            return bisect_left(
                range(len(self)), sort_key(asset), key=lambda number: sort_key(self._entry(lines, number).asset)
            )


def open_index(root: Path, dataset: str) -> DatasetIndex:
    """Open the index of a dataset.

    Parameters
    ----------
    root : Path
    dataset : str
        Its id.

    Raises
    ------
    InputError
        There is none.
    SourceError
        ``stale_index``: of another version, or damaged.
    """
    for attempt in range(_TRIES):
        head = _read_head(root, dataset)
        columns = Columns(index_folder(root, dataset) / head["generation"])
        if columns.folder.is_dir() or attempt == _TRIES - 1:
            break
    return DatasetIndex(root=root, dataset=dataset, columns=columns, head=head)


def indexed_datasets(root: Path) -> list[str]:
    """Datasets of a root that have an index, by name."""
    return sorted(path.parent.name for path in root.glob(f"{INDEX_FOLDER}/*/{HEAD}"))


def _read_head(root: Path, dataset: str) -> dict[str, Any]:
    """The head of an index (Any: JSON, of which the members that are used are checked)."""
    path = index_folder(root, dataset) / HEAD
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(MAX_HEAD_BYTES))
        schema, generation = int(head["schema"]), head["generation"]
    except FileNotFoundError:
        raise _none(root, dataset) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise stale(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    if schema != SCHEMA or not isinstance(generation, str) or "/" in generation:
        made = "a newer version of emasync" if schema > SCHEMA else "an older version of emasync"
        raise stale(f"{path}: was made by {made} (schema {schema}, {SCHEMA} is read)")
    return dict(head)


def _none(root: Path, dataset: str) -> InputError:
    there = ", ".join(indexed_datasets(root)) or "none"
    return InputError(
        f"{root}: no index of dataset {dataset!r}; there are: {there}. `emasync index` makes one of what is on disk",
        location=dataset,
    )
