"""Drives a format's walk over a folder; what breaks a rule is passed over, and the rest is found all the same."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from emasync.errors import SourceError
from emasync.formats.interface import Answer, Format, Found, Need, Walk
from emasync.hooks.local import LocalTree

MAX_BROKEN: Final = 20
"""Documents of one tree that may be broken; a tree of more is not looked at any further."""


def found_in(form: Format, tree: LocalTree, published: LocalTree | None = None) -> tuple[list[Found], list[str]]:
    """What a walk finds.

    A walk is over where a document breaks a rule: it begins again then, and is told that there is no such document.

    Parameters
    ----------
    form : Format
    tree : LocalTree
    published : LocalTree, optional
        Asked first for documents: originals of those that were rewritten in `tree`.

    Returns
    -------
    list of Found
    list of str
        What was passed over, and why.
    """
    notes: list[str] = []
    broken: set[str] = set()
    while True:
        walk = form.walk(("",))
        found, failed = _walked(walk, broken, tree, published)
        if failed is None:
            return found, [*notes, *walk.notes]
        key, problem = failed
        notes.append(problem)
        if key in broken or len(broken) >= MAX_BROKEN:
            return found, notes
        broken.add(key)


def _walked(
    walk: Walk, broken: Collection[str], tree: LocalTree, published: LocalTree | None
) -> tuple[list[Found], tuple[str, str] | None]:
    """What a walk found, and the document that ended it and why; None where it came to its end."""
    found: list[Found] = []
    while needs := walk.needs():
        for need in needs:
            try:
                walk.feed(need, None if need.key in broken else _answer(need, tree, published))
            except SourceError as error:
                # a folder's documents are looked at when the last of them has come
                return found, (error.location or need.key, error.message)
        found.extend(walk.found())
    return [*found, *walk.found()], None


def _answer(need: Need, tree: LocalTree, published: LocalTree | None) -> Answer:
    if need.kind == "children":
        return tree.names(need.key)
    kept = None if published is None else published.document(need.key)
    return tree.document(need.key) if kept is None else kept
