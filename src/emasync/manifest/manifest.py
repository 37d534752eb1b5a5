"""The manifest as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emasync.errors import InputError
from emasync.manifest.entry import Entry
from emasync.manifest.layout import LayoutChoice
from emasync.settings import Settings

DEFAULT_ROOT: Final = Path("data")
"""Beside the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A checked manifest.

    Attributes
    ----------
    version : int
        Of the schema; 1.
    file : str
        As the user named it.
    folder : Path
        What relative folders are relative to.
    root : Path or None
        As written; see :meth:`root_for`.
    state_dir : Path or None
        As written; see :meth:`state_dir_for`.
    settings : Settings
        Policies, mirrors included.
    layout : LayoutChoice
        Of the layout's own kind.
    datasets : tuple of Entry
        In the order of the file.
    digest : str
        SHA-256 of the canonical form, hexadecimal.
    """

    version: int
    file: str
    folder: Path
    root: Path | None
    state_dir: Path | None
    settings: Settings
    layout: LayoutChoice
    datasets: tuple[Entry, ...]
    digest: str

    def root_for(self, override: Path | None = None) -> Path:
        """Folder that everything lands in.

        Parameters
        ----------
        override : Path, optional
            The command line's, relative to the working directory; wins over the manifest's, which is relative
            to the manifest. Default: ``data`` beside the manifest.
        """
        if override is not None:
            return override.expanduser()
        return self.folder / (self.root or DEFAULT_ROOT).expanduser()

    def state_dir_for(self) -> Path | None:
        """Folder of the ledger, relative to the manifest; None when it is the root's own."""
        return None if self.state_dir is None else self.folder / self.state_dir.expanduser()

    def entry(self, dataset_id: str) -> Entry:
        """Dataset of this id.

        Raises
        ------
        InputError
            There is none; the message lists the ids.
        """
        for entry in self.datasets:
            if entry.id == dataset_id:
                return entry
        known = ", ".join(entry.id for entry in self.datasets[:20])
        raise InputError(f"{self.file}: no dataset {dataset_id!r}; there are {known}")

    def only(self, ids: Iterable[str]) -> tuple[Entry, ...]:
        """Datasets of these ids, in the order of the manifest; no ids means all.

        Raises
        ------
        InputError
            An id that is none.
        """
        wanted = {self.entry(dataset_id).id for dataset_id in ids}
        return tuple(entry for entry in self.datasets if not wanted or entry.id in wanted)
