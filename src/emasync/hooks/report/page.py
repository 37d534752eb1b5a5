"""The page, put together out of values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element

import msgspec

from emasync.hooks.report import plots
from emasync.hooks.report.boxes import box_pictures
from emasync.hooks.report.cards import DatasetView, card
from emasync.hooks.report.described import DescribedAsset
from emasync.hooks.report.markup import Child, cut, document, fitting, tag
from emasync.hooks.report.metadata_tables import metadata_section
from emasync.hooks.report.pictures import ArrayPictures
from emasync.hooks.report.showing import show, show_boxes
from emasync.hooks.report.speed import moment, speed_section
from emasync.hooks.report.troubles import failures_section, notes_section
from emasync.model.amounts import counted, megabytes
from emasync.model.run_record import RunRecord
from emasync.model.version import VERSION

MOST_CARDS: Final = 300
"""Datasets with a card; all are in receipt.json."""

MOST_CARD_BYTES: Final = 12 << 20
"""Of all cards and their pictures, as they are written: base64 takes a third more than PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What the page says. Bounded, whatever the root holds.

    Attributes
    ----------
    root : str
        Name of its folder.
    datasets : tuple of DatasetView
    runs : tuple of RunRecord
        The newest first.
    assets : tuple of DescribedAsset
    indexes : mapping of str to str
        Generation of what pictures are made from, by dataset, for those that have pictures.
    notes : mapping of str to tuple of str
        By hook.
    charts : bool
        Whether charts can be drawn here.
    tool : str
    """

    root: str
    datasets: tuple[DatasetView, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    assets: tuple[DescribedAsset, ...] = ()
    indexes: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    charts: bool = False
    tool: str = f"emasync {VERSION}"

    def digest(self) -> str:
        """SHA-256 of all of it and of the style: the page needs no writing again while it stays the same."""
        said = json.dumps([msgspec.to_builtins(self), _style()], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


def render(facts: PageFacts, inputs: str, pictures: Mapping[str, Sequence[ArrayPictures]] | None = None) -> bytes:
    """The page as bytes.

    Parameters
    ----------
    facts : PageFacts
    inputs : str
        Their digest.
    pictures : mapping of str to sequence of ArrayPictures, optional
        By dataset.
    """
    drawn = pictures or {}
    cards, left = fitting((_card(view, facts, drawn) for view in facts.datasets[:MOST_CARDS]), MOST_CARD_BYTES)
    more = _more(left + max(0, len(facts.datasets) - MOST_CARDS))
    sections = (
        tag("section", tag("h2", "Datasets"), tag("div", cards, class_="cards"), more, id="datasets"),
        failures_section([view.receipt for view in facts.datasets]),
        speed_section(facts.runs, charts=facts.charts),
        metadata_section(facts.assets),
        notes_section(facts.runs[0] if facts.runs else None, facts.notes),
    )
    there = [section for section in sections if section is not None]
    body: list[Child] = [_header(facts), _contents(there), tag("main", there), _footer(facts)]
    return document(f"{facts.root}: what is here", _style(), body, inputs=inputs)


def _card(view: DatasetView, facts: PageFacts, drawn: Mapping[str, Sequence[ArrayPictures]]) -> Element:
    boxes = box_pictures(view.asset) if facts.charts and view.asset is not None else ()
    return card(view, [*show(drawn.get(view.receipt.id, ())), show_boxes(boxes)])


def _more(count: int) -> Child:
    return tag("p", f"and {count:,} more datasets: see receipt.json") if count > 0 else None


def _contents(sections: Sequence[Element]) -> Element:
    """Links to the sections: a page of many datasets is long."""
    links = [tag("li", tag("a", section[0].text, href=f"#{section.get('id')}")) for section in sections]
    return tag("nav", tag("ul", links), aria_label="Contents")


def _header(facts: PageFacts) -> Element:
    receipts = [view.receipt for view in facts.datasets]
    states = [(word, sum(receipt.status == word for receipt in receipts)) for word in ("complete", "partial", "failed")]
    told = ", ".join(f"{count:,} {word}" for word, count in states if count)
    datasets, objects = counted(len(receipts), "dataset"), counted(sum(item.objects for item in receipts), "object")
    size = megabytes(sum(item.bytes for item in receipts))
    failed = f"; {count:,} failed" if (count := sum(item.failed for item in receipts)) else ""
    return tag(
        "header",
        tag("h1", cut(facts.root, 200)),
        tag("p", f"{datasets} ({told or 'none'}), {objects}, {size}{failed}", class_="sum"),
    )


def _footer(facts: PageFacts) -> Element:
    hint = None if facts.charts else f"Charts and pictures need pip install 'emasync[{plots.EXTRA}]'. "
    last = f"Last transfer: {moment(facts.runs[0].started)}. " if facts.runs else ""
    return tag("footer", tag("p", hint, last, f"Written by {facts.tool}; loads nothing, runs nothing, asks nobody."))


@cache
def _style() -> str:
    return files(__package__).joinpath("style.css").read_text(encoding="utf-8")
