"""The end of a run: what was found is judged, written down and told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import orjson

from emasync.api.progress import last_backup, last_snapshot
from emasync.assembly import Resources
from emasync.disk.interface import Sink
from emasync.errors import EmasyncError, ErrorKind, InterruptedRunError, MachineError
from emasync.hooks.checksums import write_checksums
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.receipt import RECEIPT, RunFacts, build_receipt
from emasync.ledger.absences import doubt_absences
from emasync.ledger.interface import Ledger, Row, Tally
from emasync.ledger.store import SqliteLedger
from emasync.model.events import Event, OnEvent
from emasync.model.receipt import Receipt
from emasync.model.task import State
from emasync.plan.tools import SinkDocuments

_log = logging.getLogger("emasync")


async def require_something(resources: Resources, wanted: Iterable[str], on_event: OnEvent) -> None:
    """Fail the datasets of which some grid is absent as a whole (law 9)."""
    for dataset in wanted:

        def doubt(ledger: SqliteLedger, dataset: str = dataset) -> str | None:
            return doubt_absences(ledger, dataset)

        message = await resources.ledger.call(doubt)
        if message is not None:
            on_event(Event("failed", {"dataset": dataset, "kind": str(ErrorKind.SOURCE), "message": message}))


async def close_books(
    resources: Resources,
    facts: RunFacts,
    on_event: OnEvent,
    hurry: Callable[[], bool],
    datasets: Sequence[DatasetFacts] = (),
) -> Receipt:
    """Checksums and hooks (unless time presses), receipt, last snapshot and copy of the ledger; then tell of the end.

    Parameters
    ----------
    resources : Resources
    facts : RunFacts
    on_event : callable
    hurry : callable
        Whether the run was asked to stop; read from any thread.
    datasets : sequence of DatasetFacts
        To run hooks over.

    Returns
    -------
    Receipt
        Also where the disk does not take it any more: that is in ``stopped`` then.
    """
    if facts.stopped is None:
        facts = replace(facts, stopped=await _checksums(resources, facts.wanted, on_event, hurry))
    if facts.stopped is None and datasets:
        facts = replace(facts, stopped=await _hooks(resources, datasets, on_event, hurry))
    receipt = await _receipt(resources, facts)
    await last_backup(resources)
    await last_snapshot(resources)
    for dataset in receipt.datasets:
        if dataset.id in facts.wanted:
            counts = {"objects": dataset.objects, "bytes": dataset.bytes, "failed": dataset.failed}
            on_event(Event("dataset_done", {"dataset": dataset.id, "status": dataset.status, **counts}))
    on_event(Event("receipt", receipt.to_dict()))
    return receipt


async def _hooks(
    resources: Resources, datasets: Sequence[DatasetFacts], on_event: OnEvent, hurry: Callable[[], bool]
) -> EmasyncError | None:
    """Run them; gives what stopped the run. A hook that failed was told of, and can be run again."""
    from emasync.api.hooking import remember_facts, run_hooks  # noqa: PLC0415 - after the transfer

    try:
        await remember_facts(resources, datasets)
    except MachineError as error:
        return error
    _, failed = await run_hooks(resources, datasets, on_event, hurry)
    return failed if isinstance(failed, MachineError | InterruptedRunError) else None


async def _checksums(
    resources: Resources, wanted: Iterable[str], on_event: OnEvent, hurry: Callable[[], bool]
) -> EmasyncError | None:
    """Write the tables of the datasets of this run; gives what stopped that."""
    names = frozenset(wanted)
    tallies: list[Tally] = await resources.ledger.call("tallies")
    for dataset in (tally.dataset for tally in tallies if tally.dataset in names):
        try:
            await resources.ledger.call(partial(_write_table, resources.sink, dataset, hurry))
        except (MachineError, InterruptedRunError) as error:
            return error
        except EmasyncError as error:  # somebody's folder of that name; the data is not less complete
            on_event(Event("warning", {"message": f"no checksums of {dataset}: {error.message}"}))
        else:
            on_event(Event("hook", {"hook": "checksums", "dataset": dataset}))
    return None


def _write_table(sink: Sink, dataset: str, hurry: Callable[[], bool], ledger: Ledger) -> None:
    rows: Iterator[Row] = ledger.rows(dataset=dataset, state=State.PLACED)
    write_checksums(sink, dataset, _until(rows, hurry))


def _until(rows: Iterable[Row], hurry: Callable[[], bool]) -> Iterator[Row]:
    """The rows, as long as nobody asks to stop: a table of millions takes longer than a stop may (law 16)."""
    for row in rows:
        if hurry():
            raise InterruptedRunError("interrupted while checksums were written; run again to write them")
        yield row


async def _receipt(resources: Resources, facts: RunFacts) -> Receipt:
    documents = SinkDocuments(resources.sink)
    previous = await documents.read(RECEIPT)

    def build(ledger: Ledger) -> Receipt:
        return build_receipt(ledger, facts, previous)

    receipt = await resources.ledger.call(build)
    pretty = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    try:
        await documents.write(RECEIPT, orjson.dumps(receipt.to_dict(), option=pretty))
    except EmasyncError as error:
        _log.warning("the receipt could not be written: %s", error)
        if facts.stopped is None:
            stopped = error if isinstance(error, MachineError) else MachineError(error.message, kind=error.kind)
            return await resources.ledger.call(
                lambda ledger: build_receipt(ledger, replace(facts, stopped=stopped), previous)
            )
    return receipt
