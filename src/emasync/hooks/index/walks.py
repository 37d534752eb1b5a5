"""Drives a format's walk over a folder; what breaks a rule is passed over, and the rest is found all the same."""

from __future__ import annotations

from typing import Final

from emasync.errors import SourceError
from emasync.formats.interface import Answer, Format, Found, Need
from emasync.hooks.metadata.local import LocalTree

MAX_BROKEN: Final = 100
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
    broken: set[Need] = set()
    while True:
        walk, found = form.walk(("",)), list[Found]()
        failed: tuple[Need, str] | None = None
        while failed is None and (needs := walk.needs()):
            for need in needs:
                try:
                    walk.feed(need, None if need in broken else _answer(need, tree, published))
                except SourceError as error:
                    failed = need, error.message
                    break
            found.extend(walk.found())
        if failed is None:
            return found, [*notes, *walk.notes]
        need, problem = failed
        notes.append(problem)
        if need in broken or need.kind != "document" or len(broken) >= MAX_BROKEN:
            return found, notes
        broken.add(need)


def _answer(need: Need, tree: LocalTree, published: LocalTree | None) -> Answer:
    if need.kind == "children":
        return tree.names(need.key)
    kept = None if published is None else published.document(need.key)
    return tree.document(need.key) if kept is None else kept
