"""What a refresh did not find any more: it is told, and stays."""

from __future__ import annotations

from itertools import islice
from typing import Final

from emasync.ledger.interface import Tally
from emasync.ledger.store import SqliteLedger
from emasync.model.events import Event
from emasync.model.task import escape_for_log
from emasync.plan.tools import PlanTools

MAX_NAMED: Final = 10


async def tell_vanished(dataset: str, tools: PlanTools) -> None:
    """Warn of files on disk that the plan of `dataset`, made anew, does not name.

    Parameters
    ----------
    dataset : str
        Whose plan is complete.
    tools : PlanTools
    """
    tallies: list[Tally] = await tools.ledger.call("tallies")
    count = sum(tally.unwanted for tally in tallies if tally.dataset == dataset)
    if not count:
        return

    def first(ledger: SqliteLedger) -> list[str]:
        return [row.destination for row in islice(ledger.unwanted(dataset), MAX_NAMED)]

    named = ", ".join(map(escape_for_log, await tools.ledger.call(first)))
    more = f" and {count - MAX_NAMED:,} more" if count > MAX_NAMED else ""
    message = f"{count:,} files on disk are not at the source any more, or not wanted; they stay: {named}{more}"
    tools.context.on_event(Event("warning", {"dataset": dataset, "message": message, "objects": count}))
