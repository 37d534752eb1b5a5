"""Which record reads a dataset, by its ``source``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from emasync.errors import EmasyncError
from emasync.manifest.entry import Entry
from emasync.manifest.problems import Fault, KeyPath, shown
from emasync.registry import SOURCES

BUILT_IN: Final = {
    "web": "emasync.manifest.web:WebEntry",
    "bucket": "emasync.manifest.bucket:BucketEntry",
    "empiar": "emasync.manifest.archives:EmpiarEntry",
    "idr": "emasync.manifest.archives:IdrEntry",
    "dandi": "emasync.manifest.archives:DandiEntry",
    "aind": "emasync.manifest.archives:AindEntry",
    "open_data": "emasync.manifest.archives:OpenDataEntry",
}
"""Built-in sources, imported when a manifest names them; those that are not built yet parse all the same."""


@cache
def built_in_model(source: str) -> type[Entry]:
    """Record of a built-in source.

    Parameters
    ----------
    source : str
        A key of :data:`BUILT_IN`.
    """
    module, _, name = BUILT_IN[source].partition(":")
    model: type[Entry] = getattr(import_module(module), name)
    return model


def entry_model(source: object, path: KeyPath, faults: list[Fault]) -> type[Entry] | None:
    """Record of a source, built in or a plug-in's ``entry_model``.

    Parameters
    ----------
    source : object
        As the manifest says.
    path : tuple of str or int
        Of the dataset.
    faults : list of Fault
        Takes what is wrong.
    """
    if isinstance(source, str) and source in BUILT_IN:
        return built_in_model(source)
    if isinstance(source, str) and source in known_sources():
        return _plugged(source, path, faults)
    names = ", ".join(known_sources())
    if source is None:
        faults.append(Fault((*path, "source"), f"is missing; one of {names}"))
    else:
        faults.append(Fault((*path, "source"), f"expected one of {names}", f"; got {shown(source)}"))
    return None


@cache
def known_sources() -> tuple[str, ...]:
    """Names that ``source`` may have, plug-ins included (looked for once: that reads all installed packages)."""
    return SOURCES.names()


def _plugged(source: str, path: KeyPath, faults: list[Fault]) -> type[Entry] | None:
    try:
        model = getattr(SOURCES.load(source), "entry_model", None)
    except (EmasyncError, ImportError, AttributeError) as error:
        faults.append(Fault((*path, "source"), f"this plug-in cannot be loaded: {error}"))
        return None
    if isinstance(model, type) and issubclass(model, Entry):
        return model
    faults.append(Fault((*path, "source"), "this plug-in has no entry_model, so it cannot stand in a manifest"))
    return None
