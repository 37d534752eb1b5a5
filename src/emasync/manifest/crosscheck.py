"""Checks over several datasets. They read the plain data, so that they also speak of entries that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emasync.manifest.problems import Fault, shown
from emasync.manifest.scalars import Plain


@dataclass(frozen=True, slots=True)
class Outline:
    """What other datasets may refer to.

    Attributes
    ----------
    number : int
        Index in ``datasets``.
    id : str or None
    has_crop : bool
    same_as : str or None
        Whose box this one takes.
    """

    number: int
    id: str | None
    has_crop: bool
    same_as: str | None


def _text(value: object) -> str | None:
    if isinstance(value, Plain):
        return value.written
    return value if isinstance(value, str) else None


def outlines(datasets: Sequence[object]) -> tuple[Outline, ...]:
    """Outline each entry that is a mapping."""
    found = []
    for number, data in enumerate(datasets):
        if isinstance(data, Mapping):
            crop = data.get("crop")
            same_as = _text(crop.get("same_as")) if isinstance(crop, Mapping) else None
            found.append(Outline(number, _text(data.get("id")), crop is not None, same_as))
    return tuple(found)


def duplicate_ids(entries: Sequence[Outline]) -> Iterator[Fault]:
    """Ids that are equal, also those that only case tells apart (file systems that fold case)."""
    seen: dict[str, Outline] = {}
    for entry in entries:
        if entry.id is None:
            continue
        first = seen.setdefault(entry.id.casefold(), entry)
        if first is not entry:
            case = "" if first.id == entry.id else ", but for case"
            yield Fault(("datasets", entry.number, "id"), f"is also the id of datasets[{first.number}]{case}")


def borrowed_boxes(entries: Sequence[Outline]) -> Iterator[Fault]:
    """``same_as`` that names nothing, something without a crop, or goes round in a circle."""
    by_id = {entry.id: entry for entry in reversed(entries) if entry.id is not None}
    for entry in entries:
        if entry.same_as is None:
            continue
        path = ("datasets", entry.number, "crop", "same_as")
        target = by_id.get(entry.same_as)
        if target is None:
            yield Fault(path, "names no dataset of this manifest", f"; got {shown(entry.same_as)}")
        elif not target.has_crop:
            yield Fault(path, f"datasets[{target.number}] has no crop whose box could be taken")
        elif _circular(entry, by_id):
            yield Fault(path, "leads back to this dataset; one of them must name a box")


def _circular(entry: Outline, by_id: Mapping[str, Outline]) -> bool:
    """Whether the chain from `entry` comes back to it; a circle further on is told where it is."""
    visited: set[int] = set()
    at: Outline | None = entry
    while at is not None and at.same_as is not None and at.number not in visited:
        visited.add(at.number)
        at = by_id.get(at.same_as)
    return at is not None and at.same_as is not None and at.number == entry.number
