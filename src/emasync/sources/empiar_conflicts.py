"""Where the documents of an EMPIAR entry contradict each other, or its listing. No I/O.

Nothing is decided here: who is right shows in the files (the image size of EMPIAR-11759 is typed in wrong, its DM3 tags
are right). What contradicts is kept beside the dataset, so that nobody has to find out twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from emasync.sources.empiar_census import Census
from emasync.sources.empiar_record import EmpiarRecord, size_range

MAX_CONFLICTS = 1_000
"""Most that are kept; an entry of many image sets repeats one mistake often."""

TOLERANCE = 0.1
"""Of sizes that people typed in."""

_FIELDS = ("directory", "data_format", "images", "width", "height", "pixel_width", "pixel_height")


@dataclass(frozen=True, slots=True)
class Conflict:
    """One contradiction.

    Attributes
    ----------
    subject : str
        What it is about, such as ``imagesets[0].width``.
    said : mapping of str to str
        By who says so: ``api``, ``xml``, ``listing``.
    """

    subject: str
    said: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.subject}: " + ", ".join(f"{who} says {what or 'nothing'}" for who, what in self.said.items())


def compare(api: EmpiarRecord, xml: EmpiarRecord) -> list[Conflict]:
    """Contradictions between the two documents of one entry, at most :data:`MAX_CONFLICTS`."""
    return [found for found, _ in zip(_compared(api, xml), range(MAX_CONFLICTS), strict=False)]


def _compared(api: EmpiarRecord, xml: EmpiarRecord) -> Iterator[Conflict]:
    for name in ("status", "entry_doi"):
        yield from _differ(name, getattr(api, name), getattr(xml, name))
    if not _overlap(api.dataset_size, xml.dataset_size):
        yield from _differ("dataset_size", api.dataset_size, xml.dataset_size)
    yield from _differ("imagesets", len(api.imagesets), len(xml.imagesets))
    for number, (one, other) in enumerate(zip(api.imagesets, xml.imagesets, strict=False)):
        for name in _FIELDS:
            yield from _differ(f"imagesets[{number}].{name}", getattr(one, name), getattr(other, name))


def _differ(subject: str, api: object, xml: object) -> Iterator[Conflict]:
    if api != xml:
        yield Conflict(subject, {"api": _shown(api), "xml": _shown(xml)})


def _overlap(one: str, other: str) -> bool:
    first, second = size_range(one), size_range(other)
    return first is not None and second is not None and first[0] <= second[1] and second[0] <= first[1]


def size_conflict(api: EmpiarRecord, census: Census) -> Iterator[Conflict]:
    """The contradiction between the size that is typed in and the sizes that listings show, if there is one."""
    claimed = size_range(api.dataset_size)
    if not census.complete or claimed is None:
        return
    if claimed[1] * (1 + TOLERANCE) < census.least_bytes or census.most_bytes < claimed[0] * (1 - TOLERANCE):
        listed = f"{census.least_bytes} to {census.most_bytes} bytes"
        yield Conflict("dataset_size", {"api": api.dataset_size, "listing": listed})


def to_json(conflicts: Iterable[Conflict]) -> bytes:
    """The document that is kept; an empty list says that nothing contradicts."""
    rows = [{"subject": item.subject, "said": dict(item.said)} for item in conflicts]
    return orjson.dumps({"conflicts": rows}, option=orjson.OPT_INDENT_2)


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)[:200]
