"""Hierarchies of which only the metadata were fetched (``--metadata-only``): described without a chunk on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from emasync.formats.paths import join
from emasync.hooks.inventory import Folder, Hierarchy, inventory
from emasync.hooks.local import LocalTree, Names
from emasync.hooks.metadata.claims import member

SURVEY: Final = "survey.json"
"""In an asset's folder of ``<dataset>.source-metadata/``: documents of its arrays as received, by key."""


def surveyed(originals: LocalTree) -> Iterator[tuple[Hierarchy, LocalTree]]:
    """Each hierarchy, and the tree that its documents are read from.

    Parameters
    ----------
    originals : LocalTree
        What is kept beside a dataset.

    Raises
    ------
    OverflowError
        More folders than are looked at.
    """
    for item in inventory(originals):
        if isinstance(item, Hierarchy):
            yield item, originals
        elif isinstance(item, Folder) and SURVEY in item.documents:
            yield from _of_survey(item.path, originals)


def _of_survey(folder: str, originals: LocalTree) -> Iterator[tuple[Hierarchy, LocalTree]]:
    try:
        documents = member(orjson.loads(originals.document(join(folder, SURVEY)) or b"{}"), "documents")
    except orjson.JSONDecodeError:
        return
    texts = documents.items() if isinstance(documents, dict) else ()
    kept = {join(folder, key): text.encode() for key, text in texts if isinstance(text, str)}
    tree = KeptTree(originals, kept)
    for item in inventory(tree):
        if isinstance(item, Hierarchy):
            yield item, tree


class KeptTree(LocalTree):
    """Documents in memory, by path; names follow from these.

    Parameters
    ----------
    home : LocalTree
        That they are kept in.
    documents : mapping of str to bytes
        By path below `home`.
    """

    def __init__(self, home: LocalTree, documents: Mapping[str, bytes], base: str = "") -> None:
        self.folder = join(home.folder, base)
        self._home = home
        self._base = base
        self._documents = documents

    def below(self, path: str) -> KeptTree:
        """The tree at `path`."""
        return KeptTree(self._home, self._documents, join(self._base, path))

    def document(self, path: str, limit_bytes: int = 0) -> bytes | None:
        """One of them."""
        del limit_bytes  # they are in memory
        return self._documents.get(join(self._base, path))

    def names(self, path: str = "") -> Names:
        """Names right below a folder."""
        place = join(self._base, path)
        lead = f"{place}/" if place else ""
        rest = [key[len(lead) :] for key in self._documents if key.startswith(lead)]
        folders = {name.partition("/")[0] for name in rest if "/" in name}
        return Names(tuple(sorted(folders)), tuple(sorted(name for name in rest if "/" not in name)))

    def file(self, path: str) -> None:
        """None of them is a file."""
        del path
