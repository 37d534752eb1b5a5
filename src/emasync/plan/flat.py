"""Trees taken as they are: every object below them, documents first."""

from __future__ import annotations

from emasync.model.task import Rank
from emasync.plan.choice import Wanted
from emasync.plan.intake import Intake, Shelf
from emasync.plan.order import DOCUMENTS_ASSET
from emasync.plan.sweep import Sorting, sweep
from emasync.sources.interface import Tree


async def take_flat(intake: Intake, tree: Tree, wants: Wanted) -> None:
    """List `tree`, into a set of documents and a set of the rest.

    Only folders that can hold wanted objects are listed, each once and with a cursor of its own.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    wants : Wanted
        Globs over paths.

    Raises
    ------
    TransportError
        As :meth:`Tree.list`; what was listed stays, and the next compile goes on behind it.
    """
    documents = await document_shelf(intake, tree)
    for name in wants.folders:
        rest = await intake.shelf(str(tree.base), asset=name, rank=Rank.BULK)
        sorting = Sorting(documents=documents, rest=rest, wants=wants)
        await sweep(intake, tree, sorting, folder=name, keeper=rest)
    await intake.finish(documents)


async def document_shelf(intake: Intake, tree: Tree) -> Shelf:
    """The set of a tree's documents."""
    return await intake.shelf(str(tree.base), asset=DOCUMENTS_ASSET, rank=Rank.DOCUMENT)
