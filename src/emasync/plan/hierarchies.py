"""Trees of arrays: taken level by level, or selected from."""

from __future__ import annotations

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import Format
from emasync.model.events import Event
from emasync.plan.choice import Choice
from emasync.plan.chunks import can_list
from emasync.plan.discovery import discover
from emasync.plan.flat import take_flat
from emasync.plan.intake import Intake
from emasync.plan.selected import take_selected
from emasync.plan.signs import FORMAT_SIGNS, zarr_at
from emasync.plan.tools import PlanTools
from emasync.plan.whole import take_levels
from emasync.registry import FORMATS
from emasync.sources.interface import Tree


async def take_hierarchy(intake: Intake, tree: Tree, choice: Choice, form: str, tools: PlanTools) -> None:
    """Bring a tree of arrays into the ledger.

    Parameters
    ----------
    intake : Intake
    tree : Tree
        A Zarr hierarchy, unless arrays are chosen.
    choice : Choice
    form : str
        Name of the format, or ``auto``.
    tools : PlanTools

    Raises
    ------
    SourceError
        As :func:`~emasync.plan.trees.take_tree`.
    """
    if choice.chooses:
        await take_selected(intake, tree, choice, await format_for(tree, form), tools)
    elif await can_list(tree):
        await take_ordered(intake, tree, choice, tools)
    else:
        await take_selected(intake, tree, choice, zarr(), tools)


async def take_ordered(intake: Intake, tree: Tree, choice: Choice, tools: PlanTools) -> None:
    """Take all of a Zarr hierarchy, coarse levels first; one that cannot be understood is taken as it is."""
    try:
        found = await discover(tree, zarr().walk(("",)))
    except SourceError as error:
        message = f"taken object by object, coarse levels not first: {error.message}"
        tools.context.on_event(Event("warning", {"dataset": intake.dataset, "message": message}))
        await take_flat(intake, tree, choice.wants)
        return
    await take_levels(intake, tree, found, choice.wants)


async def format_for(tree: Tree, name: str) -> Format:
    """The plug-in that arrays are chosen with.

    Raises
    ------
    SourceError
        ``not_built``: the format is known, and choosing from it is not built yet.
    """
    if name in ("auto", "zarr"):
        if name == "auto":
            await refuse_unbuilt(tree)
        return zarr()
    made: Format = FORMATS.load(name)()
    return made


async def refuse_unbuilt(tree: Tree) -> None:
    """Say clearly that a tree is in a format nobody can choose from yet."""
    if await zarr_at(tree):
        return
    for name, document in FORMAT_SIGNS.items():
        if await tree.read(document) is not None:
            raise SourceError(
                f"{tree.base} looks like {name} ({document} is there): choosing arrays, scales or a crop from it is "
                "not built yet in this version; format: raw takes all of it",
                kind=ErrorKind.NOT_BUILT,
                location=str(tree.base),
            )


def zarr() -> Format:
    """The Zarr plug-in."""
    made: Format = FORMATS.load("zarr")()
    return made
