"""Entries of the Electron Microscopy Public Image Archive (https://www.ebi.ac.uk/empiar).

The API says what an entry is, the XML beside the data says it again, and web listings name the files. None of the
three is complete or exact, so they are compared: what contradicts is kept as ``empiar/conflicts.json``, what a listing
seems to leave out is looked for in further ones, and a set of images that stays short fails by name. Checksums are not
published and listed sizes are rounded: the server is asked for them where files are few, else the first answer decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from emasync.errors import FormatError, NotFoundError, SourceError
from emasync.manifest.archives import EmpiarEntry
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.sources.empiar_conflicts import Conflict, compare, size_conflict, to_json
from emasync.sources.empiar_listing import EntryListing
from emasync.sources.empiar_record import EmpiarRecord, from_api, from_xml, unknown_entry
from emasync.sources.interface import FilesFound, Finding, Kept, SourceContext

API = "https://www.ebi.ac.uk/empiar/api/entry"
DATA = "https://ftp.ebi.ac.uk/empiar/world_availability"

DOCUMENT_BYTES = 64 << 20
"""Longest answer of the API and longest XML: an entry of thousands of image sets takes a few MiB."""


class EmpiarSource:
    """``source: empiar``."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def resolve(self, entry: EmpiarEntry) -> AsyncIterator[Finding]:
        """Documents of the entry as received, then its files, page by page of its listings.

        Parameters
        ----------
        entry : EmpiarEntry

        Raises
        ------
        SourceError
            There is no such entry, or the API answers something else. Image sets that are listed short are a setback.
        TransportError
            As :meth:`Fetcher.read`.
        """
        number = entry.entry
        base = Location.parse(f"{DATA}/{number}")
        api, record = await self._api(number)
        yield api
        conflicts: list[Conflict] = []
        if (xml := await self._xml(base, number)) is not None:
            yield xml
            conflicts += await compared(record, xml.data, number, f"{base}/{number}.xml")
        listing = EntryListing(self._context, base, entry, record.imagesets)
        async for found in self._found(listing, number):
            yield found
        conflicts += [*size_conflict(record, listing.census), *listing.conflicts()]
        yield Kept(name="empiar/conflicts.json", data=to_json(conflicts))
        self._tell(entry.id, conflicts)
        if (shortfall := listing.shortfall()) is not None:
            yield shortfall

    async def _api(self, number: int) -> tuple[Kept, EmpiarRecord]:
        url = f"{API}/EMPIAR-{number}/"
        try:
            data = (await self._context.fetcher.read(Location.parse(url), limit_bytes=DOCUMENT_BYTES)).data
        except NotFoundError as error:
            raise unknown_entry(number, url, "status 404") from error
        record = await asyncio.to_thread(from_api, data, number, url)
        return Kept(name=f"empiar/EMPIAR-{number}.json", data=data), record

    async def _xml(self, base: Location, number: int) -> Kept | None:
        """The entry's XML; None where there is none."""
        try:
            document = await self._context.fetcher.read(base.join(f"{number}.xml"), limit_bytes=DOCUMENT_BYTES)
        except NotFoundError:
            return None
        return Kept(name=f"empiar/{number}.xml", data=document.data)

    async def _found(self, listing: EntryListing, number: int) -> AsyncIterator[FilesFound]:
        try:
            async for found in listing.found():
                yield found
        except NotFoundError as error:
            message = f"{error.message}; the API knows EMPIAR-{number}, its data are not where they should be"
            raise SourceError(message, kind=error.kind, location=error.location) from error

    def _tell(self, dataset: str, conflicts: Iterable[Conflict]) -> None:
        for conflict in conflicts:
            self._context.on_event(Event("warning", {"dataset": dataset, "message": f"contradiction: {conflict}"}))


async def compared(record: EmpiarRecord, xml: bytes, number: int, url: str) -> list[Conflict]:
    """Contradictions between the API's record and the XML; an XML that cannot be read is one."""
    try:
        return compare(record, await asyncio.to_thread(from_xml, xml, number, url))
    except FormatError as error:
        return [Conflict("xml", {"xml": error.message})]
