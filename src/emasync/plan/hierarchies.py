"""Trees of arrays: taken level by level, or selected from."""

from __future__ import annotations

from emasync.errors import ErrorKind, RefusedError, SourceError
from emasync.formats.interface import Format
from emasync.model.events import Event
from emasync.plan.choice import Choice
from emasync.plan.chunks import listing_denied
from emasync.plan.discovery import discover
from emasync.plan.flat import take_flat
from emasync.plan.intake import Intake
from emasync.plan.selected import take_selected
from emasync.plan.tools import PlanTools
from emasync.plan.whole import take_levels
from emasync.registry import FORMATS
from emasync.sources.interface import Tree


async def take_hierarchy(intake: Intake, tree: Tree, choice: Choice, name: str, tools: PlanTools) -> None:
    """Bring a tree of arrays into the ledger.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    choice : Choice
    name : str
        Of the format.
    tools : PlanTools

    Raises
    ------
    SourceError
        As :func:`~emasync.plan.trees.take_tree`.
    RefusedError
        Something else than a listing came from a bucket.
    """
    form = format_called(name, tree)
    if not choice.chooses:
        if (denied := await listing_denied(tree)) is None:
            await take_ordered(intake, tree, choice, form, tools)
            return
        if isinstance(denied, RefusedError) and tree.base.as_bucket() is not None:
            raise denied  # a bucket lists or denies: a page in place of a listing is a bad day
        message = f"{tree.base} cannot be listed, what its metadata do not name stays behind: {denied.message}"
        tools.context.on_event(Event("warning", {"dataset": intake.dataset, "message": message}))
    await take_selected(intake, tree, choice, form, tools)


async def take_ordered(intake: Intake, tree: Tree, choice: Choice, form: Format, tools: PlanTools) -> None:
    """Take all of a tree, coarse levels first; one that cannot be understood is taken as it is."""
    try:
        found = await discover(tree, form.walk(("",)), intake.dataset, tools.context.on_event)
    except SourceError as error:
        message = f"taken object by object, coarse levels not first: {error.message}"
        tools.context.on_event(Event("warning", {"dataset": intake.dataset, "message": message}))
        await take_flat(intake, tree, choice.wants)
        return
    await take_levels(intake, tree, found, choice.wants)


def format_called(name: str, tree: Tree) -> Format:
    """The plug-in that arrays are found with.

    Raises
    ------
    SourceError
        ``not_built``: the format is one of files, and choosing from it is not built yet.
    """
    made = FORMATS.load(name)()
    if not isinstance(made, Format):
        raise SourceError(
            f"{tree.base} is in the format {name}: choosing arrays, scales or a crop from it is not built yet in this "
            "version; format: raw takes all of it",
            kind=ErrorKind.NOT_BUILT,
            location=str(tree.base),
        )
    return made
