"""Our own documents after files went: rewritten metadata, checksums, receipt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import orjson

from emasync.disk.interface import Sink
from emasync.hooks.checksums import write_checksums
from emasync.hooks.interface import FACTS
from emasync.hooks.receipt import RECEIPT
from emasync.ledger.interface import Ledger, LedgerCalls, Tally
from emasync.model.task import State
from emasync.plan.layout import source_metadata
from emasync.plan.tools import SinkDocuments
from emasync.plan.written import WrittenRecord, record_path


class Papers:
    """Documents of one root.

    Parameters
    ----------
    ledger : LedgerCalls
    sink : Sink
    dry_run : bool
        Look, and change nothing.
    """

    def __init__(self, ledger: LedgerCalls, sink: Sink, *, dry_run: bool) -> None:
        self._ledger = ledger
        self._sink = sink
        self._documents = SinkDocuments(sink)
        self._dry_run = dry_run

    async def withdraw(self, dataset: str, folder: str, *, dropped: bool) -> list[str]:
        """Remove metadata that we rewrote for an earlier plan (`dropped`: for any), where nobody changed it.

        Parameters
        ----------
        dataset : str
        folder : str
            Of its data, relative to the root.
        dropped : bool

        Returns
        -------
        list of str
            What went, or would go, relative to the root.
        """
        place = record_path(dataset)
        record = WrittenRecord.from_bytes(await self._documents.read(place))
        going = record.ours if dropped else record.former
        names = [name for path, text in going.items() if await self._is_ours(name := f"{folder}/{path}", text)]
        if self._dry_run or not going:
            return names
        for name in names:
            await self._documents.remove(name)
        if dropped:
            await self._documents.remove(place)
        else:
            await self._documents.write(place, replace(record, former={}).to_bytes())
        return names

    async def _is_ours(self, name: str, text: str) -> bool:
        same = await self._documents.read(name) == text.encode()
        return same and not await self._ledger.call("stands", name)

    async def update_checksums(self, dataset: str, *, dropped: bool) -> None:
        """Write the table of a dataset again, or take it away."""
        table = f"checksums/{dataset}.tsv"
        if dropped:
            if await self._documents.read(table) is not None:
                await self._documents.remove(table)
            return

        def write(ledger: Ledger) -> None:
            write_checksums(self._sink, dataset, ledger.rows(dataset=dataset, state=State.PLACED))

        await self._ledger.call(write)

    async def forget_facts(self, folder: str) -> None:
        """Take away what hooks are told of a dataset of which nothing is left: they would go on to describe it."""
        place = f"{source_metadata(folder)}/{FACTS}"
        if await self._documents.read(place) is not None:
            await self._documents.remove(place)

    async def update_receipt(self, gone: Collection[str]) -> None:
        """Say in the receipt what is there now, without the datasets that are `gone`; the rest of it stays."""
        tallies: list[Tally] = await self._ledger.call("tallies")
        counts = {tally.dataset: tally for tally in tallies}
        document = _parsed(await self._documents.read(RECEIPT))
        if document is None:
            return
        items = [item for item in document["datasets"] if item.get("id") not in gone]
        document["datasets"] = [_updated(item, counts.get(item.get("id"))) for item in items]
        pretty = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        await self._documents.write(RECEIPT, orjson.dumps(document, option=pretty))


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    """A receipt (Any: JSON); None where there is none that can be read."""
    try:
        document = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError:
        return None
    items = document.get("datasets") if isinstance(document, dict) else None
    return document if isinstance(items, list) and all(isinstance(item, dict) for item in items) else None


def _updated(item: dict[str, Any], tally: Tally | None) -> dict[str, Any]:
    """One dataset of a receipt (Any: JSON) with the counts of the ledger."""
    if tally is None:
        return item
    placed, size_bytes = tally.objects.get(State.PLACED, 0), tally.bytes.get(State.PLACED, 0)
    return {**item, "objects": placed, "bytes": size_bytes, "unwanted": tally.unwanted}
