"""What failed, and what was warned of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final
from xml.etree.ElementTree import Element

from emasync.hooks.report.markup import Child, cut, tag
from emasync.hooks.report.tables import table
from emasync.model.receipt import DatasetReceipt
from emasync.model.run_record import RunRecord

MOST_FAILURES: Final = 1_000
"""Named on the page; receipt.json names as many a dataset."""

MOST_NOTES: Final = 200
"""Of one hook."""

SHOWN_NOTES: Final = 20
"""Before somebody asks for all."""


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
    more = tag("p", f"and {count - len(rows):,} more failures") if count > len(rows) else None
    heads = ("Dataset", "Kind", "What happened", "Where", "Attempts")
    return tag(
        "section",
        tag("h2", "Failures"),
        tag("p", "Run the manifest again: it tries what failed once more, and leaves the rest as it is."),
        table(f"{count:,} failed", heads, rows, numbers=(4,)),
        more,
        id="failures",
    )


def notes_section(run: RunRecord | None, hooks: Mapping[str, Sequence[str]]) -> Element | None:
    """Warnings of the last run, and what hooks passed over; None where all was well."""
    warnings = () if run is None else run.warnings
    parts = [_notes("Warnings of the last run", warnings, 0 if run is None else run.more_warnings)]
    parts += [
        _notes(f"Passed over by the hook {cut(name, 100)}", notes[:MOST_NOTES], len(notes) - MOST_NOTES)
        for name, notes in hooks.items()
    ]
    if not any(parts):
        return None
    return tag("section", tag("h2", "Notes"), parts, id="notes")


def _notes(title: str, notes: Sequence[str], more: int) -> Child:
    if not notes:
        return None
    rest = tag("li", f"and {more:,} more") if more > 0 else None
    items = [*(tag("li", note) for note in notes), rest]
    first, others = items[:SHOWN_NOTES], items[SHOWN_NOTES:]
    hidden = (
        tag("details", tag("summary", "All"), tag("ul", others)) if any(item is not None for item in others) else None
    )
    return [tag("h3", title), tag("ul", first), hidden]
