"""Looking: state of a root, known datasets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emasync.errors import InputError
from emasync.ledger.snapshot import owner_of, read_snapshot

if TYPE_CHECKING:
    from emasync.sources.catalog_entry import CatalogEntry


def status(root: str | os.PathLike[str]) -> dict[str, Any]:
    """What is done, left and failed in a root, from the snapshot that a run writes every second (Any: JSON).

    Raises
    ------
    InputError
        There is no snapshot: no run was ever made there.
    """
    folder = Path(root).expanduser()
    found = read_snapshot(folder)
    if found is None:
        raise InputError(f"{root} holds no emasync state; is it the root of a run (`root:` in the manifest)?")
    if found.get("running") and (owner := owner_of(folder)) is not None and owner.gone():
        found["running"] = False  # killed, or the machine went down: nobody was left to say so
    return found


def catalog() -> tuple[CatalogEntry, ...]:
    """Known datasets, each with a manifest that is ready to run."""
    from emasync.sources.catalog import catalog_entries  # noqa: PLC0415 - looks where it is installed; status need not

    return catalog_entries()


def catalog_entry(name: str) -> CatalogEntry:
    """One known dataset.

    Raises
    ------
    InputError
        The catalog has no such name; the message lists them.
    """
    from emasync.sources import catalog  # noqa: PLC0415 - as above

    return catalog.catalog_entry(name)


def described(entry: CatalogEntry) -> str:
    """What is known of a dataset, as comments, and its manifest below: together a manifest."""
    from emasync.sources.catalog_text import commented  # noqa: PLC0415 - as above

    return f"{commented(entry)}\n{entry.text}"
