"""Names of the catalog: manifests that are ready to run."""

from __future__ import annotations

import re

from emasync.sources.catalog import catalog_entries
from emasync.sources.links.interface import Ready

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CatalogLinks:
    """Reads names of the catalog."""

    forms = ("a name that `emasync catalog` lists",)

    def read(self, text: str) -> Ready | None:
        """The manifest of an entry."""
        if not _NAME.fullmatch(text):
            return None
        return next(
            (Ready(name=entry.name, text=entry.text) for entry in catalog_entries() if entry.name == text), None
        )
