"""Plans that are only looked at: compiled into a ledger in a temporary folder, nothing is written below a root."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.manifest.manifest import Manifest
from emasync.model.clock import SystemClock
from emasync.model.events import OnEvent
from emasync.plan.layout import layout_for
from emasync.plan.tools import Documents, PlanTools
from emasync.settings import Settings
from emasync.sources.interface import SourceContext
from emasync.transport.interface import Fetcher


def scratch_ledger(folder: Path) -> LedgerThread:
    """A ledger that nobody will need again."""
    return LedgerThread(lambda: SqliteLedger.open(folder, root=folder, clock=SystemClock()))


def scratch_tools(
    manifest: Manifest,
    settings: Settings,
    on_event: OnEvent,
    *,
    fetcher: Fetcher,
    ledger: LedgerThread,
    documents: Documents,
) -> PlanTools:
    """What a plan is compiled with that is only looked at."""
    return PlanTools(
        context=SourceContext(fetcher=fetcher, settings=settings, on_event=on_event, folder=manifest.folder),
        ledger=ledger,
        layout=layout_for(manifest.layout),
        documents=documents,
        wake=lambda: None,
    )


def dry_copy(tools: PlanTools, *, ledger: LedgerThread, documents: Documents) -> PlanTools:
    """The same tools for a plan beside the root."""
    return replace(tools, ledger=ledger, documents=documents, guard=None, wake=lambda: None, refresh=False)
