"""Headers of files that are not fetched: kept as the stretches that were read, and where they lie in the file.

``<id>.source-metadata/headers/<path>.ranges`` holds the bytes of all stretches, one behind the other;
``<path>.ranges.json`` beside it says which they are. Whoever parses the header reads through
:class:`~emasync.formats.known_stretches.KnownStretches`, which knows what was not read.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Final

import orjson

from emasync.errors import RangeNotSatisfiedError
from emasync.formats.known_stretches import SUFFIX, VERSION, KnownStretches
from emasync.model.digest import Span, Validator
from emasync.model.globs import translate
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.model.task import ObjectEntry, TaskSetSpec
from emasync.plan.header_ranges import FIRST, MORE_STRETCHES, PLACES, missing, suffix_of
from emasync.plan.intake import Intake, path_of
from emasync.plan.layout import kept_place
from emasync.plan.tools import PlanTools
from emasync.sources.interface import FilesFound
from emasync.transport.interface import Fetcher

FOLDER: Final = "headers"

SERIES: Final = "series.json"
"""Beside them: how many files the manifest's series has."""

HEADERS_A_FOLDER: Final = 8
"""Files of one kind in one folder whose headers are read: the images of a series are alike."""

MAX_HEADERS: Final = 1_000
"""Of one dataset."""

AT_ONCE: Final = 16


@dataclass(slots=True)
class Headers:
    """Reads and keeps the headers of one dataset's files (mutable: counts them).

    Attributes
    ----------
    intake : Intake
    tools : PlanTools
    kept : int
        Headers that lie beside the dataset now.
    left_out : int
        Files with a header that is like others.
    series : str or None
        Glob of files that are one volume.
    in_series : int
        Files of the series so far.
    """

    intake: Intake
    tools: PlanTools
    series: str | None = None
    in_series: int = 0
    kept: int = 0
    left_out: int = 0
    _of_folder: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def take(self, found: FilesFound, entries: Sequence[ObjectEntry]) -> None:
        """Read the headers of some of `entries`.

        Raises
        ------
        TransportError
            As :meth:`~emasync.transport.interface.Fetcher.read`.
        MachineError
            Disk full, no permission.
        """
        self._count(found, entries)
        chosen = [entry for entry in entries if self._choose(path_of(entry))]
        spec = TaskSetSpec(dataset=self.intake.dataset, base=found.base, destination="", encoded=found.encoded)
        waiting = iter(chosen)

        async def work() -> None:
            for entry in waiting:
                path = path_of(entry)
                await self._keep(f"{found.path}/{path}" if found.path else path, spec.locate(entry.key), entry)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(chosen))):
                group.create_task(work())

    def _count(self, found: FilesFound, entries: Sequence[ObjectEntry]) -> None:
        if self.series is not None:
            wanted = re.compile(translate(self.series), re.DOTALL)
            lead = f"{found.path}/" if found.path else ""
            self.in_series += sum(wanted.fullmatch(lead + path_of(entry)) is not None for entry in entries)

    async def tell_series(self) -> None:
        """Keep how many files the series has, once all were listed: the number of its slices.

        Raises
        ------
        MachineError
            Disk full, no permission.
        """
        if self.in_series:
            place = kept_place(self.intake.dataset, f"{FOLDER}/{SERIES}")
            counted = {"version": VERSION, "pattern": self.series, "files": self.in_series}
            await self.tools.documents.write(place, orjson.dumps(counted, option=orjson.OPT_INDENT_2))

    def _choose(self, path: str) -> bool:
        suffix = suffix_of(path)
        if suffix is None:
            return False
        place = (path.rpartition("/")[0], suffix)
        if self.kept >= MAX_HEADERS or self._of_folder[place] >= HEADERS_A_FOLDER:
            self.left_out += 1
            return False
        self._of_folder[place] += 1
        self.kept += 1
        return True

    async def _keep(self, path: str, location: Location, entry: ObjectEntry) -> None:
        place = kept_place(self.intake.dataset, f"{FOLDER}/{path}") + SUFFIX
        facts = (str(location), entry.size_bytes, entry.listed, entry.digests)
        listed = blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if not self.tools.refresh and _listed(await self.tools.documents.read(f"{place}.json")) == listed:
            return
        spans, data, size_bytes, validator = await self._read(location, entry.size_bytes, suffix_of(path) or "")
        at, rows = 0, []
        for span in spans:
            rows.append({"start": span.start, "stop": span.stop, "at": at})
            at += span.size_bytes
        description = {
            "version": VERSION,
            "location": redact(location),
            "size_bytes": size_bytes,
            "validator": asdict(validator),
            "ranges": rows,
            "listed": listed,
        }
        await self.tools.documents.write(place, data)
        await self.tools.documents.write(f"{place}.json", orjson.dumps(description, option=orjson.OPT_INDENT_2))

    async def _read(
        self, location: Location, size_bytes: int | None, suffix: str
    ) -> tuple[list[Span], bytes, int | None, Validator]:
        """The first stretch, and those that it names; of one and the same object."""
        fetcher = self.tools.context.fetcher
        if size_bytes == 0:
            return [], b"", 0, Validator()
        first = FIRST if size_bytes is None else Span(0, min(FIRST.stop, size_bytes))
        try:
            answer = await fetcher.read(location, span=first)
        except RangeNotSatisfiedError:
            return [], b"", 0, Validator()
        validator, size_bytes = answer.head.validator, answer.head.total_bytes
        kept = _Kept([Span(0, len(answer.data))], answer.data)
        for span in PLACES[suffix](answer.data, size_bytes):
            if not await kept.add(fetcher, location, span, validator):
                return kept.spans, kept.data, size_bytes, validator
        for _ in range(MORE_STRETCHES if size_bytes is not None else 0):
            more = await asyncio.to_thread(missing, suffix, kept.known(f"{location}", size_bytes or 0))
            if more is None or not await kept.add(fetcher, location, more, validator):
                break
        return kept.spans, kept.data, size_bytes, validator


@dataclass(slots=True)
class _Kept:
    """Stretches of one file (mutable: grows)."""

    spans: list[Span]
    data: bytes

    async def add(self, fetcher: Fetcher, location: Location, span: Span, validator: Validator) -> bool:
        """Read one more; False where it is of another object by now."""
        more = await fetcher.read(location, span=span)
        if not more.head.validator.same_object(validator):
            return False
        self.spans.append(Span(span.start, span.start + len(more.data)))
        self.data += more.data
        return True

    def known(self, name: str, size_bytes: int) -> KnownStretches:
        """The file, as far as it is known."""
        ends = accumulate(span.size_bytes for span in self.spans)
        ranges = tuple(
            (span.start, span.stop, end - span.size_bytes) for span, end in zip(self.spans, ends, strict=True)
        )
        return KnownStretches(name, size_bytes, ranges, self.data)


def _listed(description: bytes | None) -> str | None:
    """What the listing said when a header was read."""
    try:
        value: Any = orjson.loads(description or b"{}")  # Any: JSON of ours, or of whoever edited it
    except orjson.JSONDecodeError:
        return None
    return value.get("listed") if isinstance(value, dict) and value.get("version") == VERSION else None
