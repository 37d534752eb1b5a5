"""The hook ``report``: writes the page anew where there is something new to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emasync.disk.interface import Sink
from emasync.hooks.interface import HookContext, HookReport
from emasync.hooks.receipt import RECEIPT, older_datasets, placed_datasets
from emasync.hooks.report import plots
from emasync.hooks.report.cards import DatasetView
from emasync.hooks.report.markup import inputs_of
from emasync.hooks.report.page import PageFacts, render
from emasync.hooks.run_notes import known_hooks, known_runs
from emasync.model.receipt import DatasetReceipt
from emasync.model.run_record import RunRecord

PAGE: Final = "report.html"

_BEGINNING_BYTES: Final = 4096
"""Of the page: its digest stands there."""

_RECEIPT_BYTES: Final = 64 << 20


class ReportHook:
    """Writes ``report.html``; a :class:`~emasync.hooks.interface.Hook`."""

    def run(self, context: HookContext) -> HookReport:
        """Write the page, unless what it would say stands there already.

        Raises
        ------
        EmasyncError
            It cannot be written.
        """
        facts = page_facts(context)
        inputs = facts.digest()
        if inputs_of(_read(context.sink, PAGE, _BEGINNING_BYTES)) == inputs:
            return HookReport(counts={"written": 0})
        context.sink.write_document(PAGE, render(facts, inputs))
        return HookReport(counts={"written": 1, "datasets": len(facts.datasets)})


def page_facts(context: HookContext) -> PageFacts:
    """What the page has to say of a root."""
    runs = known_runs(context.state_dir)
    told = {facts.id: facts for facts in context.all_datasets}
    receipts = tuple(_receipts(context, runs[0] if runs else None))
    return PageFacts(
        root=context.root.absolute().name or "root",
        datasets=tuple(DatasetView(receipt=receipt, facts=told.get(receipt.id)) for receipt in receipts),
        runs=runs,
        hooks={name: report for name, report in known_hooks(context.state_dir).items() if name != "report"},
        charts=plots.drawable(),
    )


def _receipts(context: HookContext, last: RunRecord | None) -> Iterator[DatasetReceipt]:
    """As the receipt will say: it is written after the hooks."""
    known = set()
    for receipt in placed_datasets(context.ledger, {} if last is None else last.unreachable):
        known.add(receipt.id)
        yield receipt
    older = older_datasets(_read(context.sink, RECEIPT, _RECEIPT_BYTES))
    yield from (receipt for receipt in older if receipt.id not in known)


def _read(sink: Sink, name: str, size_bytes: int) -> bytes:
    return b"" if sink.stat(name) is None else sink.read_final(name, 0, size_bytes)
