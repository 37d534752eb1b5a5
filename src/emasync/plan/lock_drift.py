"""Two locks of one dataset: what the source says now against what it said then. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from emasync.model.task import escape_for_log
from emasync.plan.lock_file import DatasetLock
from emasync.plan.lock_tree import Listing, Range

MAX_NAMED: Final = 10
"""Names of one kind of change; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a dataset differs from its lock.

    Attributes
    ----------
    dataset : str
    changes : tuple of str
        In words; not empty.
    """

    dataset: str
    changes: tuple[str, ...]

    @property
    def message(self) -> str:
        """All of it, and what to do."""
        return (
            f"dataset {self.dataset!r} is not what the lock describes: {'; '.join(self.changes)}. Nothing was fetched; "
            "`emasync plan --lock` accepts what is there now"
        )


def drift_between(dataset: str, then: DatasetLock, now: DatasetLock) -> Drift | None:
    """Compare; None when they agree."""
    changes = (
        *_facts(then.resolved, now.resolved),
        *_facts(_boxes(then), _boxes(now)),
        *_listings("document", then.documents, now.documents),
        *_listings("object", then.objects, now.objects),
    )
    return Drift(dataset=dataset, changes=changes) if changes else None


def _facts(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            yield f"{name} was {then.get(name, 'not told')}, is {now.get(name, 'not told')}"


def _boxes(lock: DatasetLock) -> dict[str, str]:
    return {
        f"box in {escape_for_log(image) or 'the base'}": (
            f"{list(chosen.box.start)} to {list(chosen.box.stop)} of scale {chosen.scale}"
        )
        for image, chosen in lock.boxes.items()
    }


def _listings(what: str, then: Listing, now: Listing) -> Iterator[str]:
    if then.digest == now.digest:
        return
    level = max(then.level, now.level)
    before, after = ({item.first: item for item in side.at(level).ranges} for side in (then, now))
    if level:
        yield _in_ranges(what, then, now, before, after)
        return
    changed = [name for name, item in after.items() if before.get(name, item) != item]
    yield from _named(what, "added", [_shown(after[name]) for name in after if name not in before])
    yield from _named(what, "gone", [_shown(before[name]) for name in before if name not in after])
    yield from _named(what, "changed", [_resized(before[name], after[name]) for name in changed])


def _named(what: str, became: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"{_count(names, what)} {became}: {_first(names)}"


def _count(names: list[str], what: str) -> str:
    plural = "" if len(names) == 1 else "es" if what.endswith("ch") else "s"
    return f"{len(names):,} {what}{plural}"


def _first(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def _shown(item: Range) -> str:
    return escape_for_log(item.first)


def _resized(before: Range, after: Range) -> str:
    if before.size_bytes == after.size_bytes:
        return _shown(after)
    return f"{_shown(after)} ({before.size_bytes:,} to {after.size_bytes:,} bytes)"


def _in_ranges(what: str, then: Listing, now: Listing, before: Mapping[str, Range], after: Mapping[str, Range]) -> str:
    """There are too many names to keep: say where to look."""
    places = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    shown = [f"from {escape_for_log(name)} on ({_held(before.get(name), after.get(name))})" for name in places]
    counts = f"{then.objects:,} {what}s of {then.size_bytes:,} bytes then, {now.objects:,} of {now.size_bytes:,} now"
    return f"{counts}; they differ in {_count(shown, 'stretch')}: {_first(shown)}"


def _held(before: Range | None, after: Range | None) -> str:
    if before is not None and after is not None:
        return f"{before.objects:,} of {before.size_bytes:,} bytes then, {after.objects:,} of {after.size_bytes:,} now"
    item, when = (after, "now") if after is not None else (before, "then")
    return "" if item is None else f"{item.objects:,} of {item.size_bytes:,} bytes, only {when}"
