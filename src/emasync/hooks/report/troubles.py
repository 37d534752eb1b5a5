"""What failed, and what was warned of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final
from xml.etree.ElementTree import Element

from emasync.hooks.report.markup import cut, fitting, tag
from emasync.hooks.report.tables import table
from emasync.model.amounts import counted
from emasync.model.receipt import DatasetReceipt
from emasync.model.run_record import RunRecord

MOST_FAILURES: Final = 1_000
"""Named on the page; receipt.json names as many a dataset."""

MOST_NOTES: Final = 200
"""Of one hook."""

MOST_NOTE_BYTES: Final = 64 << 10
"""Of the notes of one hook, as they are written."""


def failures_section(datasets: Sequence[DatasetReceipt]) -> Element | None:
    """Failures by name, up to a limit; None where there are none."""
    count = sum(dataset.failed for dataset in datasets)
    if not count:
        return None
    named = ((dataset.id, failure) for dataset in datasets for failure in dataset.failures)
    rows = [
        (cut(dataset, 200), str(failure.kind), failure.message, failure.location, failure.attempts)
        for dataset, failure in islice(named, MOST_FAILURES)
    ]
    heads = ("Dataset", "Kind", "What happened", "Where", "Attempts")
    return tag(
        "section",
        tag("h2", "Failures"),
        tag("p", "Run the manifest again: it tries what failed once more, and leaves the rest as it is."),
        table(f"{count:,} failed", heads, rows, numbers=(4,), more=count - len(rows)),
        id="failures",
    )


def notes_section(run: RunRecord | None, hooks: Mapping[str, Sequence[str]]) -> Element | None:
    """Warnings of the last run, and what hooks passed over; None where all was well."""
    warned = None if run is None else _notes("Warnings of the last run", run.warnings, run.more_warnings, open_=True)
    passed = [_notes(f"Passed over by the hook {cut(name, 100)}", notes) for name, notes in hooks.items()]
    parts = [part for part in (warned, *passed) if part is not None]
    return tag("section", tag("h2", "Notes"), parts, id="notes") if parts else None


def _notes(title: str, notes: Sequence[str], more: int = 0, *, open_: bool = False) -> Element | None:
    """A list that opens where somebody asks for it: hooks have much to say of odd files."""
    if not notes:
        return None
    shown, _ = fitting((tag("li", note) for note in notes[:MOST_NOTES]), MOST_NOTE_BYTES)
    left = len(notes) - len(shown) + more
    rest = tag("li", f"and {left:,} more") if left else None
    summary = tag("summary", f"{title}: {counted(len(notes) + more, 'note')}")
    return tag("details", summary, tag("ul", shown, rest), open="open" if open_ else None)
