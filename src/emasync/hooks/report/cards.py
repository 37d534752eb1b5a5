"""One card a dataset: what it is, how much of it is here and how it was checked, whose it is and how to cite it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element

from emasync.errors import InputError
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.public_urls import public_url
from emasync.hooks.report.described import DescribedAsset
from emasync.hooks.report.markup import Child, link, tag
from emasync.hooks.report.metadata_tables import mark
from emasync.hooks.report.tables import facts
from emasync.model.amounts import megabytes
from emasync.model.location import Location
from emasync.model.receipt import DatasetReceipt, Verified
from emasync.model.redaction import is_presigned, redact

WORDS: Final = {"complete": "\u2713 complete", "partial": "\u25d0 partial", "failed": "\u2717 failed"}


_DOI: Final = re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")
"""Crossref's advice for what DOIs look like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """What a card is about.

    Attributes
    ----------
    receipt : DatasetReceipt
    facts : DatasetFacts or None
        None where no run with hooks was made.
    asset : DescribedAsset or None
        Its first one, as metadata describe it.
    """

    receipt: DatasetReceipt
    facts: DatasetFacts | None = None
    asset: DescribedAsset | None = None


def card(view: DatasetView, pictures: Sequence[Element | None] = ()) -> Element:
    """The card of a dataset; one with pictures is as wide as the page."""
    receipt, shown = view.receipt, [picture for picture in pictures if picture is not None]
    return tag(
        "article",
        tag("h3", receipt.id, " ", tag("span", WORDS[receipt.status], class_=f"status {receipt.status}")),
        tag("div", shown, facts(_amounts(receipt) + _rights(view)), class_="parts"),
        id=f"dataset-{receipt.id}",
        class_="card pictured" if shown else "card",
    )


def _amounts(receipt: DatasetReceipt) -> list[tuple[str, Child]]:
    return [
        (
            "On disk",
            f"{receipt.objects:,} {'object' if receipt.objects == 1 else 'objects'}, {megabytes(receipt.bytes)}",
        ),
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


def _rights(view: DatasetView) -> list[tuple[str, Child]]:
    """As metadata tell it; else as the manifest does."""
    facts, asset = view.facts, view.asset
    location = facts.location if facts is not None else ""
    return [
        ("Source", source_link(location) if location else _told(asset, "access_url")),
        ("Page", _told(asset, "source_url")),
        ("Licence", _licence(facts, asset)),
        ("Cite as", _told(asset, "citation") or _manifest(facts, "citation")),
        ("DOI", _doi(asset)),
    ]


def _licence(facts: DatasetFacts | None, asset: DescribedAsset | None) -> Child:
    """That nobody says is worth knowing, too: without a licence the author's permission is needed."""
    said = _told(asset, "license_spdx") or _told(asset, "license_text") or _manifest(facts, "license")
    return said or "unknown: nobody says"


def _told(asset: DescribedAsset | None, name: str) -> Child:
    said = None if asset is None else asset.fields.get(name)
    if said is None or not said.value:
        return None
    return [link(said.value), " ", mark(said.source, said.where)]


def _doi(asset: DescribedAsset | None) -> Child:
    said = None if asset is None else asset.fields.get("doi_data") or asset.fields.get("doi_paper")
    if said is None:
        return None
    names = said.value.split("; ")
    links: list[Child] = [(link(f"https://doi.org/{quote(name)}", name), " ") for name in names]
    return [links if all(map(_DOI.fullmatch, names)) else said.value, " ", mark(said.source, said.where)]


def _manifest(facts: DatasetFacts | None, name: str) -> Child:
    value = None if facts is None else facts.metadata.get(name)
    return [link(value), " ", mark("manifest")] if isinstance(value, str) else None


def source_link(location: str) -> Child:
    """Where a dataset comes from, as a link where a browser can go there."""
    try:
        place = Location.parse(location)
    except InputError:
        return location  # "empiar:11759"
    if is_presigned(place.query):
        return redact(place)
    return link(public_url(place), location)
