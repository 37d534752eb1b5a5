"""The hook ``report``: writes the page anew where there is something new to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from emasync.disk.interface import Sink
from emasync.hooks.interface import HookContext, HookReport
from emasync.hooks.metadata.writers import JSON as METADATA
from emasync.hooks.receipt import RECEIPT, older_datasets, placed_datasets
from emasync.hooks.report import plots
from emasync.hooks.report.cards import DatasetView
from emasync.hooks.report.described import MOST_READ_BYTES, described_assets
from emasync.hooks.report.gallery import gallery, generation_of, known_index
from emasync.hooks.report.kept import forget_others, keep_pictures, kept_pictures
from emasync.hooks.report.markup import inputs_of
from emasync.hooks.report.page import MOST_CARDS, PageFacts, render
from emasync.hooks.report.pictures import ArrayPictures
from emasync.hooks.report.troubles import MOST_FAILURES
from emasync.hooks.run_notes import known_hooks, known_runs
from emasync.model.receipt import DatasetReceipt
from emasync.model.run_record import RunRecord
from emasync.volume.index import DatasetIndex

PAGE: Final = "report.html"

MOST_PICTURED: Final = 24
"""Datasets with pictures: each takes a second, and some hundred kilobytes of the page."""

MOST_PICTURE_BYTES: Final = 8 << 20
"""Of pictures on a page, before they are written as text."""

_BEGINNING_BYTES: Final = 4096
"""Of the page: its digest stands there."""

_RECEIPT_BYTES: Final = 64 << 20

_PIECE_BYTES: Final = 1 << 20


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
        pictures = _pictures(context, facts) if facts.charts else {}
        if context.hurry():
            return HookReport(counts={"written": 0})
        forget_others(context.state_dir, {view.receipt.id for view in facts.datasets})
        context.sink.write_document(PAGE, render(facts, inputs, pictures))
        shown = sum(map(len, pictures.values()))
        return HookReport(counts={"written": 1, "datasets": len(facts.datasets), "arrays_shown": shown})


def _pictures(context: HookContext, facts: PageFacts) -> dict[str, tuple[ArrayPictures, ...]]:
    """Of the first datasets, as long as nobody waits and the page has room for them."""
    drawn: dict[str, tuple[ArrayPictures, ...]] = {}
    room_bytes = MOST_PICTURE_BYTES
    for dataset in facts.indexes:
        if context.hurry():
            break
        fitting: list[ArrayPictures] = []
        for array in _of_dataset(context, dataset):
            room_bytes -= array.size_bytes
            fitting += [array] if room_bytes >= 0 else []
        drawn[dataset] = tuple(fitting)
        if room_bytes < 0:
            break
    return drawn


def _of_dataset(context: HookContext, dataset: str) -> tuple[ArrayPictures, ...]:
    """Pictures that were kept, else new ones."""
    index = known_index(context.root, dataset)
    if index is None:
        return ()
    kept = kept_pictures(context.state_dir, dataset, generation_of(index))
    if kept is not None:
        return kept
    found = gallery(index, context.hurry)
    if not context.hurry():
        keep_pictures(context.state_dir, dataset, generation_of(index), found)
    return found


def page_facts(context: HookContext) -> PageFacts:
    """What the page has to say of a root."""
    runs = known_runs(context.state_dir)
    told = {facts.id: facts for facts in context.all_datasets}
    receipts = tuple(_fewer_failures(_receipts(context, runs[0] if runs else None)))
    assets = described_assets(_pieces(context.sink, METADATA, MOST_READ_BYTES), len(receipts))
    first = {asset.dataset: asset for asset in reversed(assets)}
    indexes = _indexes(context.root, receipts)
    return PageFacts(
        root=context.root.absolute().name or "root",
        datasets=tuple(DatasetView(receipt=one, facts=told.get(one.id), asset=first.get(one.id)) for one in receipts),
        runs=runs,
        assets=assets,
        indexes={index.dataset: generation_of(index) for index in indexes},
        notes=_notes(context, indexes),
        charts=plots.drawable(),
    )


def _indexes(root: Path, receipts: Sequence[DatasetReceipt]) -> list[DatasetIndex]:
    """Of the first datasets that have one with something in it: what is shown in pictures."""
    found = (known_index(root, receipt.id) for receipt in receipts[:MOST_CARDS])
    return list(islice((index for index in found if index is not None), MOST_PICTURED))


def _notes(context: HookContext, indexes: Iterable[DatasetIndex]) -> dict[str, tuple[str, ...]]:
    """What hooks passed over. An index keeps its own: the hook is silent about one that it leaves as it is."""
    notes = {name: report.notes for name, report in known_hooks(context.state_dir).items() if name != "index"}
    of_indexes = [f"{index.dataset}: {note}" for index in indexes for note in index.notes]
    return {name: said for name, said in (("index", tuple(of_indexes)), *notes.items()) if said}


def _receipts(context: HookContext, last: RunRecord | None) -> Iterator[DatasetReceipt]:
    """As the receipt will say: it is written after the hooks."""
    known = set()
    for receipt in placed_datasets(context.ledger, {} if last is None else last.unreachable):
        known.add(receipt.id)
        yield receipt
    older = older_datasets(_read(context.sink, RECEIPT, _RECEIPT_BYTES))
    yield from (receipt for receipt in older if receipt.id not in known)


def _fewer_failures(receipts: Iterable[DatasetReceipt]) -> Iterator[DatasetReceipt]:
    """Failures are named as long as the page has room for them: a thousand datasets may have a thousand each."""
    room = MOST_FAILURES
    for receipt in receipts:
        yield replace(receipt, failures=receipt.failures[:room])
        room -= len(receipt.failures[:room])


def _pieces(sink: Sink, name: str, most_bytes: int) -> Iterator[bytes]:
    facts = sink.stat(name)
    if facts is not None:
        pieces = sink.scan_final(name, 0, min(facts.size_bytes, most_bytes), memoryview(bytearray(_PIECE_BYTES)))
        yield from map(bytes, pieces)


def _read(sink: Sink, name: str, size_bytes: int) -> bytes:
    return b"" if sink.stat(name) is None else sink.read_final(name, 0, size_bytes)
