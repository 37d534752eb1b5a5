"""One card a dataset: what it is, how much of it is here and how it was checked, whose it is and how to cite it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from emasync.errors import InputError
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.public_urls import public_url
from emasync.hooks.report.markup import Child, link, tag
from emasync.hooks.report.tables import facts
from emasync.model.amounts import megabytes
from emasync.model.location import Location
from emasync.model.receipt import DatasetReceipt, Verified
from emasync.model.redaction import is_presigned, redact

WORDS: Final = {"complete": "\u2713 complete", "partial": "\u25d0 partial", "failed": "\u2717 failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """What a card is about.

    Attributes
    ----------
    receipt : DatasetReceipt
    facts : DatasetFacts or None
        None where no run with hooks was made.
    """

    receipt: DatasetReceipt
    facts: DatasetFacts | None


def card(view: DatasetView, pictures: Child = None) -> Element:
    """The card of a dataset."""
    receipt = view.receipt
    return tag(
        "article",
        tag("h3", receipt.id, " ", tag("span", WORDS[receipt.status], class_=f"status {receipt.status}")),
        pictures,
        facts(_amounts(receipt) + _rights(view.facts)),
        id=f"dataset-{receipt.id}",
        class_="card",
    )


def _amounts(receipt: DatasetReceipt) -> list[tuple[str, Child]]:
    return [
        ("On disk", f"{receipt.objects:,} objects, {megabytes(receipt.bytes)}"),
        ("Verified", _verified(receipt.verified)),
        ("Failed", tag("a", receipt.failed, href="#failures") if receipt.failed else None),
        ("Left out by the publisher", receipt.absent or None),
        ("Missing and accepted", len(receipt.missing) or None),
        ("Not wanted any more", receipt.unwanted or None),
        ("Asked for", "what describes it only" if receipt.metadata_only else None),
    ]


def _verified(verified: Verified) -> str:
    counts = (
        (verified.published, "against published digests"),
        (verified.computed, "with a checksum of our own"),
        (verified.size_only, "by size"),
    )
    return ", ".join(f"{count:,} {how}" for count, how in counts if count)


def _rights(known: DatasetFacts | None) -> list[tuple[str, Child]]:
    if known is None:
        return []
    said = known.metadata
    return [
        ("Source", source_link(known.location)),
        ("Licence", _text(said.get("license"))),
        ("Cite as", _text(said.get("citation"))),
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def source_link(location: str) -> Child:
    """Where a dataset comes from, as a link where a browser can go there."""
    try:
        place = Location.parse(location)
    except InputError:
        return location  # "empiar:11759"
    if is_presigned(place.query):
        return redact(place)
    return link(public_url(place), location)
