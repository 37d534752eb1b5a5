"""Pages taken apart, and values that make one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser

from PIL import Image

from emasync.errors import ErrorKind
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.report.cards import DatasetView
from emasync.hooks.report.described import Conflict, DescribedAsset, Statement
from emasync.hooks.report.page import PageFacts, render
from emasync.hooks.report.pictures import ArrayPictures, Picture
from emasync.model.receipt import DatasetReceipt, Failure, Verified
from emasync.model.run_record import HostRecord, RunRecord, Sample

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\u202e\x00</style></title>{{7*7}}"

RUN = RunRecord(
    started="2026-11-21T12:00:00.000Z",
    wall_s=20.0,
    bytes_fetched=50_000_000,
    requests=120,
    retries=3,
    samples=tuple(Sample(at / 2, at * 1_250_000, at * 3) for at in range(1, 41)),
    hosts=(HostRecord(origin="https://h.example", requests=120, retries=3, stalls=2, connections=7, cap=16),),
)


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def links(self) -> list[str]:
        """To other pages."""
        return [place for place in self.all("href") if not place.startswith("#")]

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.attributes if found == name]


def page(facts: PageFacts, pictures: Mapping[str, Sequence[ArrayPictures]] | None = None) -> Page:
    return Page(render(facts, "0" * 64, pictures))


def receipt(name: str = "d", **changes: object) -> DatasetReceipt:
    empty = DatasetReceipt(id=name, status="complete", objects=3, bytes=30_000, verified=Verified(computed=3))
    return replace(empty, **changes)  # type: ignore[arg-type]  # names and types are those of DatasetReceipt


def view(name: str = "d", *, facts: DatasetFacts | None = None, **changes: object) -> DatasetView:
    return DatasetView(receipt=receipt(name, **changes), facts=facts)


def pictures(text: str) -> dict[str, tuple[ArrayPictures, ...]]:
    """Pictures of a dataset of that name, with that name below them."""
    out = io.BytesIO()
    Image.new("L", (30, 20)).save(out, format="PNG")
    one = Picture(data=out.getvalue(), alt=text, caption=text)
    return {text: (ArrayPictures(name=text, about=text, planes=(one,), coverage=one, note=text),)}


def everything(text: str) -> PageFacts:
    """A page that says `text` wherever it can."""
    failure = Failure(location=text, kind=ErrorKind.NOT_FOUND, message=text, attempts=1)
    facts = DatasetFacts(
        id=text, folder=text, source=text, location=text, metadata={"license": text, "citation": text, text: text}
    )
    statement = Statement(text, text, text, text, text)
    asset = DescribedAsset(
        dataset=text,
        asset=text,
        kind=text,
        format=text,
        arrays=2,
        fields=dict.fromkeys((text, "dtype", "license_spdx", "citation", "doi_data", "source_url"), statement),
        conflicts=(Conflict(text, statement, (statement,), text), Conflict("dtype", None, (statement,), text)),
    )
    run = replace(RUN, hosts=(HostRecord(origin=text, requests=1),), warnings=(text,), stopped=text, started=text)
    return PageFacts(
        root=text,
        datasets=(
            view(text, facts=facts, failures=(failure,), failed=1, status="failed"),
            replace(view(text), asset=asset),
        ),
        runs=(run, run),
        assets=(asset,),
        notes={text: (text,)},
        charts=True,
        tool=text,
    )
