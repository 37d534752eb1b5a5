"""Writes the index of one dataset: all of it under a new name, then one file that names it.

Readers that have an older generation open keep it: its files are unlinked, not changed.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import numpy as np
import numpy.typing as npt

from emasync.disk.faults import translate
from emasync.formats.json_document import Json
from emasync.model.version import VERSION
from emasync.volume.index_columns import COLUMNS, RECORD, ROW, ColumnWriter
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.index_layout import HEAD, LINES, SCHEMA, index_folder, sort_key
from emasync.volume.index_paths import PathColumns
from emasync.volume.states import StateColumns, States

MAX_NOTES: Final = 1_000


class IndexWriter:
    """Collects arrays of one dataset. Use it in a ``with`` statement; nothing is seen before :meth:`finish`.

    Parameters
    ----------
    root : Path
    dataset : str
    complete : callable, optional
        What is done to each entry before it is written.

    Raises
    ------
    MachineError
        Disk full, no permission.
    """

    def __init__(
        self, root: Path, dataset: str, complete: Callable[[ArrayEntry], ArrayEntry] = lambda entry: entry
    ) -> None:
        self._folder = index_folder(root, dataset)
        self._dataset = dataset
        self._complete = complete
        self._name = f"g{secrets.token_hex(6)}"
        self._stack = ExitStack()
        self._columns: dict[str, ColumnWriter] = {}
        self._order: list[tuple[tuple[str, ...], int, int]] = []
        self._written_bytes = 0
        self._finished = False
        self.files = PathColumns(root)
        try:
            (self._folder / self._name).mkdir(parents=True)
            self._lines: IO[bytes] = self._stack.enter_context((self._folder / self._name / LINES).open("xb"))
        except OSError as error:
            raise translate(error, "write", str(self._folder)) from error
        self.states = StateColumns(self.column("blocks"), self.column("bits"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if not self._finished:
            shutil.rmtree(self._folder / self._name, ignore_errors=True)
        if isinstance(error, OSError):
            raise translate(error, "write", str(self._folder)) from error

    def column(self, name: str) -> ColumnWriter:
        """The writer of a column, made when it is first asked for."""
        found = self._columns.get(name)
        if found is None:
            path = self._folder / self._name / f"{name}.npy"
            found = self._columns[name] = ColumnWriter(path, COLUMNS[name])
            self._stack.callback(found.abandon)
        return found

    def add_records(self, files: npt.ArrayLike, starts: npt.ArrayLike, sizes: npt.ArrayLike) -> int:
        """Write places of chunks; gives the number of the first record.

        Parameters
        ----------
        files : array of int
            Numbers, or marks below zero; one for all, or one a chunk.
        starts, sizes : array of int
            Bytes, one a chunk; sizes below 4 GiB.
        """
        starts = np.asarray(starts)
        records = np.empty(starts.size, RECORD)
        records["file"], records["start"], records["size"] = files, starts.reshape(-1), np.reshape(sizes, -1)
        return self.column("records").append(records)

    def add_states(self, states: Iterable[States]) -> tuple[int, npt.NDArray[np.int64]]:
        """As :meth:`~emasync.volume.states.StateColumns.append`."""
        return self.states.append(states)

    def add(self, entry: ArrayEntry) -> None:
        """Write an array; its records and states were written before."""
        line = self._complete(entry).to_line()
        self._lines.write(line)
        self._order.append((sort_key(entry.asset), self._written_bytes, len(line)))
        self._written_bytes += len(line)

    def finish(self, notes: Iterable[str], about: Mapping[str, Json]) -> None:
        """Make the index durable, and the one that counts; older ones go.

        Parameters
        ----------
        notes : iterable of str
            What was passed over; the first 1,000 are kept.
        about : mapping
            More for the head of the index.
        """
        self._order.sort(key=lambda row: row[0])
        rows = np.array([(start, size) for _, start, size in self._order], ROW)
        self.column("rows").append(rows)
        self.files.write(self.column("path_text"), self.column("path_ends"), self.column("files"))
        self._lines.flush()
        os.fsync(self._lines.fileno())
        for name, column in self._columns.items():
            column.close()
            if not column.rows:  # nothing can be mapped of nothing
                (self._folder / self._name / f"{name}.npy").unlink()
        head = {
            "schema": SCHEMA,
            "tool": f"emasync {VERSION}",
            "dataset": self._dataset,
            "generation": self._name,
            "arrays": len(self._order),
            "files": len(self.files),
            "columns": {name: column.rows for name, column in self._columns.items()},
            "notes": list(notes)[:MAX_NOTES],
            **about,
        }
        self._replace_head(json.dumps(head, indent=1).encode())
        self._finished = True
        self._sweep()

    def _replace_head(self, data: bytes) -> None:
        _sync_folder(self._folder / self._name)
        temporary = self._folder / f".{HEAD}.{self._name}"
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / HEAD)
        _sync_folder(self._folder)

    def _sweep(self) -> None:
        """Remove what no head names: older generations, and what was left by a crash."""
        for path in self._folder.iterdir():
            if path.name.startswith("g") and path.name != self._name:
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(f".{HEAD}."):
                path.unlink(missing_ok=True)


def remove_index(root: Path, dataset: str) -> None:
    """Take away the index of a dataset of which nothing is left; its head first, so that none is ever found in part.

    Raises
    ------
    MachineError
        No permission.
    """
    folder = index_folder(root, dataset)
    try:
        (folder / HEAD).unlink(missing_ok=True)
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise translate(error, "remove", str(folder)) from error


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
