"""Standalone subsets: metadata on disk says exactly what is on disk, the original is kept beside it. Pure.

With ``subset: mirror`` nothing here is used: keys and metadata stay byte-identical, holes and all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emasync.formats.interface import ArrayDescription, Format, Found, GroupDescription, Part
from emasync.plan.select import Chosen


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A metadata document that changes.

    Attributes
    ----------
    key : str
        Relative to the tree's base; where `data` goes below the dataset's folder.
    data : bytes
        What to write there.
    original : bytes
        As received; goes to ``<dataset>.source-metadata/<key>``.
    """

    key: str
    data: bytes
    original: bytes


def wanted_documents(found: Iterable[Found], chosen: Iterable[Chosen]) -> dict[str, bytes]:
    """Metadata documents that belong on disk: of all groups, and of the arrays that are chosen.

    Parameters
    ----------
    found : iterable of Found
        What a walk found.
    chosen : iterable of Chosen

    Returns
    -------
    dict of str to bytes
        As received, by key relative to the tree's base.
    """
    paths = {choice.array.path for choice in chosen}
    documents: dict[str, bytes] = {}
    for item in found:
        if isinstance(item, GroupDescription):
            documents.update(item.documents)
        elif isinstance(item, ArrayDescription):
            documents.update(item.documents if item.path in paths else {})
        else:
            documents.update(item.documents)
            for level in item.levels:
                documents.update(level.documents if level.array.path in paths else {})
    return documents


def rewrite(documents: Mapping[str, bytes], chosen: Iterable[Chosen], form: Format) -> tuple[Rewritten, ...]:
    """Rewrite metadata for what is chosen.

    Images keep the levels that are chosen, under their names; arrays get the shape of their hull and levels the
    position of its first voxel; consolidated metadata and lists of groups lose what is not there. Arrays that are
    chosen whole stay as they are. This holds for a choice of arrays alone too: consolidated metadata would otherwise
    promise arrays whose chunks then read as fill value.

    Parameters
    ----------
    documents : mapping of str to bytes
        Everything that goes to disk (:func:`wanted_documents`), by key relative to the tree's base.
    chosen : iterable of Chosen
        All that is chosen of the tree: what is not here counts as not there.
    form : Format
        Whose documents they are.

    Returns
    -------
    tuple of Rewritten
        Documents that change, in key order; the others are written as received.

    Raises
    ------
    FormatError
        A document breaks a rule.
    SourceError
        Positions that cannot be rewritten (OME-NGFF later than 0.5; not built).
    """
    parts = {choice.array.path: Part(choice.array, choice.hull, choice.unsharded) for choice in chosen}
    rewriter = form.rewriter(parts, documents.keys())
    return tuple(
        Rewritten(key, data, documents[key])
        for key in sorted(documents)
        if (data := rewriter.rewrite(key, documents[key])) is not None
    )
