"""Known datasets: what is known of each, and a manifest that fetches it, or a part of it.

The rows are data: ``catalog.toml`` beside this module, and the manifests that ship with the package.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from emasync.errors import InputError
from emasync.sources.catalog_entry import CatalogEntry
from emasync.sources.catalog_text import manifest_of

_ROWS = Path(__file__).with_name("catalog.toml")
_PACKAGED = Path(__file__).resolve().parents[1] / "manifests"
_CHECKOUT = Path(__file__).resolve().parents[3] / "manifests"


@cache
def catalog_entries() -> tuple[CatalogEntry, ...]:
    """All known datasets, in the order of the catalog."""
    rows = tomllib.loads(_ROWS.read_text(encoding="utf-8"))["dataset"]
    return tuple(_entry(row) for row in rows)


def catalog_entry(name: str) -> CatalogEntry:
    """One known dataset.

    Raises
    ------
    InputError
        The catalog has no such name; the message lists them.
    """
    for entry in catalog_entries():
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in catalog_entries())
    raise InputError(f"the catalog has no entry {name!r}; it has {known}")


def manifest_text(name: str) -> str:
    """Text of the manifest of a known dataset.

    Raises
    ------
    InputError
        The catalog has no such name; the message lists them.
    """
    return catalog_entry(name).text


def shipped_manifests() -> tuple[CatalogEntry, ...]:
    """Entries whose manifest is a file that ships with the package: written by hand, and run by ``emasync demo``."""
    names = {path.stem for path in _folder().glob("*.yaml")}
    return tuple(entry for entry in catalog_entries() if entry.name in names)


def _folder() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def _entry(row: Mapping[str, Any]) -> CatalogEntry:
    """Any: TOML values."""
    known = {item.name for item in fields(CatalogEntry)}
    facts: dict[str, Any] = {name: row[name] for name in row.keys() & known}
    facts |= {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    entry = CatalogEntry(summary=row["title"], text="", **facts)
    return replace(entry, text=_text(entry, row))


def _text(entry: CatalogEntry, row: Mapping[str, Any]) -> str:
    """The shipped manifest, or one made of the row (Any: TOML values)."""
    if "manifest" in row:
        return (_folder() / f"{row['manifest']}.yaml").read_text(encoding="utf-8")
    return manifest_of(entry, row["entry"], row.get("max_total"))
