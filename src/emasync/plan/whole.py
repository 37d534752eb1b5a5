"""A whole hierarchy: metadata first, then coarse levels before fine ones, then everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emasync.formats.interface import Found, LevelDescription, MultiscaleDescription
from emasync.model.task import ObjectEntry, Rank
from emasync.plan.choice import Wanted
from emasync.plan.flat import document_shelf
from emasync.plan.intake import Intake, Shelf
from emasync.plan.sweep import Sorting, sweep
from emasync.sources.interface import Tree

MAX_LEVEL_SETS = 512
"""Levels that get a set and a listing of their own; beyond (plates of many wells) the order is not worth them."""


@dataclass(frozen=True, slots=True)
class Level:
    """A folder of chunks and when it is fetched.

    Attributes
    ----------
    path : str
    rank : int
        See :class:`Rank`.
    """

    path: str
    rank: int


def rank_of(image: MultiscaleDescription, level: LevelDescription) -> int:
    """Rank of a level: the distance from its image's coarsest."""
    return min(Rank.LEVELS + len(image.levels) - 1 - image.levels.index(level), Rank.BULK - 1)


def levels_of(found: Iterable[Found]) -> list[Level]:
    """Levels of all images, coarsest first; a folder that several images share counts once."""
    ranks: dict[str, int] = {}
    for image in found:
        if isinstance(image, MultiscaleDescription):
            for level in image.levels:
                path = level.array.path
                ranks[path] = min(rank_of(image, level), ranks.get(path, Rank.BULK))
    return sorted((Level(path, rank) for path, rank in ranks.items() if path), key=lambda item: (item.rank, item.path))


def documents_of(found: Iterable[Found]) -> dict[str, bytes]:
    """All metadata documents that a walk has read, by key."""
    documents: dict[str, bytes] = {}
    for node in found:
        documents.update(node.documents)
        if isinstance(node, MultiscaleDescription):
            for level in node.levels:
                documents.update(level.documents)
    return documents


async def take_levels(intake: Intake, tree: Tree, found: Iterable[Found], wants: Wanted) -> None:
    """Take every object below `tree` once, in the order of its levels.

    Parameters
    ----------
    intake : Intake
    tree : Tree
        Must be listable.
    found : iterable of Found
        What a walk over the whole tree found.
    wants : Wanted
        Globs over paths.

    Raises
    ------
    TransportError
        As :meth:`Tree.list`.
    """
    nodes = tuple(found)
    documents = await document_shelf(intake, tree)
    await add_documents(intake, documents, documents_of(nodes), wants)
    levels = levels_of(nodes)
    if len(levels) > MAX_LEVEL_SETS:
        levels = []
    shelves = await level_shelves(intake, tree, levels)
    rest = await intake.shelf(str(tree.base), asset="", rank=Rank.BULK)
    inside = Sorting(documents=documents, rest=rest, levels=shelves, wants=wants)
    for path, shelf in shelves.items():
        await sweep(intake, tree, inside, folder=path, keeper=shelf)
    outside = Sorting(documents=documents, rest=rest, skipped=frozenset(shelves), wants=wants)
    await sweep(intake, tree, outside, folder="", keeper=rest, jump=tuple(shelves))
    await intake.finish(documents)


async def level_shelves(intake: Intake, tree: Tree, levels: Iterable[Level]) -> dict[str, Shelf]:
    """One set for each level."""
    return {level.path: await intake.shelf(str(tree.base), asset=level.path, rank=level.rank) for level in levels}


async def add_documents(
    intake: Intake, shelf: Shelf, documents: Mapping[str, bytes], wants: Wanted | None = None
) -> None:
    """Admit metadata documents that were read already: their sizes are known before any listing."""
    entries = [ObjectEntry(key=key, size_bytes=len(data)) for key, data in sorted(documents.items())]
    await intake.add(shelf, [entry for entry in entries if wants is None or wants(entry.key)])
