"""What becomes of a tree: taken as it is, or as the arrays that are in it."""

from __future__ import annotations

from typing import Any

from emasync.plan.choice import Choice
from emasync.plan.files import may_be_missing
from emasync.plan.flat import take_flat
from emasync.plan.intake import Intake
from emasync.plan.signs import ORDERED, format_at
from emasync.plan.tools import PlanTools
from emasync.plan.written import withdraw_subset
from emasync.sources.interface import TreeFound


async def take_tree(intake: Intake, found: TreeFound, entry: Any, tools: PlanTools) -> None:
    """Bring a tree into the ledger.

    Parameters
    ----------
    intake : Intake
    found : TreeFound
    entry : manifest entry
        Any: each source has an entry model of its own; format and choice are in all of them.
    tools : PlanTools

    Raises
    ------
    SourceError
        Arrays are chosen where there are none, or from a format that is not built yet.
    """
    choice = Choice.of(entry, "" if found.asset else found.path)
    tree, intake = found.tree, (await intake.taking(found)).accepting(may_be_missing(entry, choice.wants.lead))
    if not (choice.chooses and choice.standalone):
        await withdraw_subset(intake, choice.digest, tools.documents)
    auto = entry.format == "auto"
    name = await format_at(tree) if auto else entry.format
    if not choice.chooses and name not in ORDERED:
        await take_flat(intake, tree, choice.wants)
        return
    from emasync.plan.hierarchies import take_hierarchy  # noqa: PLC0415 - the formats, where there are arrays

    await take_hierarchy(intake, tree, choice, name or "zarr", tools)
