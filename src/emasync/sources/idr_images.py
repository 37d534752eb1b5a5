"""What there is to fetch for one IDR image: its originals, or a copy of it as OME-NGFF."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Literal

from emasync.errors import EmasyncError, ErrorKind, FormatError, SourceError, TransportError
from emasync.manifest.archives import IdrEntry
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.task import ObjectEntry, escape_for_log
from emasync.sources.apache_sizes import SizeProbe
from emasync.sources.idr_omero import SERVER, OmeroServer, image_number, single
from emasync.sources.idr_paths import IMPORTED_BELOW, TREE, Originals, originals
from emasync.sources.interface import FilesFound, Finding, Kept, Setback, SourceContext, TreeFound
from emasync.sources.walk import BucketTree

MOST_DESCRIBED = 64
"""Images whose annotations and display data are kept too: the latter start a rendering engine each."""

MOST_FAILING = 10
"""Images in a row that could not be asked about before the server is taken to be down."""

PAGE_ENTRIES = 1_000

ZARR_DOCUMENTS = (".zattrs", ".zgroup", "zarr.json", ".zarray")
"""One of them makes a folder a node (Zarr v2 and v3)."""


class ImageFinder:
    """Finds images, one by one; what several of them share is found once.

    Parameters
    ----------
    context : SourceContext
    omero : OmeroServer
    entry : IdrEntry
    """

    def __init__(self, context: SourceContext, omero: OmeroServer, entry: IdrEntry) -> None:
        self._context = context
        self._omero = omero
        self._entry = entry
        self._probe = SizeProbe(context.fetcher, entry.selection)
        self._seen: set[object] = set()
        self._described = 0
        self._failing = 0

    async def find(self, number: int, *, listed: bool) -> list[Finding]:
        """Findings of one image; a setback when it has none, so that the others come all the same.

        Parameters
        ----------
        number : int
        listed : bool
            Its dataset's listing has told it already.

        Raises
        ------
        TransportError
            The server is down: too many images in a row could not be asked about.
        """
        try:
            found = [] if listed else [await self._image(number)]
            found += await self._description(number)
            found += await (self._copy(number) if self._entry.ngff else self._originals(number))
        except (SourceError, TransportError) as error:
            self._failing = self._failing + 1 if isinstance(error, TransportError) else 0
            if self._failing > MOST_FAILING:
                raise
            return [setback(number, error)]
        self._failing = 0
        return found

    async def _image(self, number: int) -> Finding:
        path = f"api/v0/m/images/{number}/"
        answer = await self._omero.ask(path)
        if answer is None:
            raise unknown("image", number)
        if image_number(single(answer.value)) != number:
            raise FormatError(f"{SERVER}/{path}: the answer is not about image {number}", location=f"{SERVER}/{path}")
        return Kept(name=f"idr/image-{number}.json", data=answer.data)

    async def _description(self, number: int) -> list[Finding]:
        """Annotations and display data, for the first images; nothing that is fetched depends on them."""
        if self._described >= MOST_DESCRIBED:
            return []
        self._described += 1
        kept: list[Finding] = []
        for name, path, sign in (
            ("imgData", f"webclient/imgData/{number}/", "size"),
            ("annotations", f"webclient/api/annotations/?type=map&image={number}", "annotations"),
        ):
            try:
                answer = await self._omero.ask(path)
            except (SourceError, TransportError) as error:
                self._warn(f"image {number}: {name} left out: {error.message}")
                continue
            if answer is None or sign not in answer.value:  # pixels that are not ready come without their size
                self._warn(f"image {number}: {SERVER}/{path} has no {sign}; left out")
                continue
            kept.append(Kept(name=f"idr/{name}-{number}.json", data=answer.data))
        return kept

    async def _copy(self, number: int) -> list[Finding]:
        location = Location.parse((self._entry.ngff or "").replace("{image}", str(number)))
        return await self._tree(number, location)

    async def _tree(self, number: int, location: Location) -> list[Finding]:
        """The Zarr hierarchy at `location`, once for all images that share it."""
        if location in self._seen:
            return []
        self._seen.add(location)
        tree = BucketTree(self._context.fetcher, location, self._context.on_event)
        if not [document for document in ZARR_DOCUMENTS if await tree.read(document) is not None]:
            message = f"image {number}: there is no OME-NGFF copy at {location}; leave out ngff: to take the original"
            raise SourceError(message, kind=ErrorKind.NOT_FOUND, location=str(location))
        return [TreeFound(tree=tree, path=location.name or str(number), asset=True)]

    async def _originals(self, number: int) -> list[Finding]:
        path = f"webgateway/original_file_paths/{number}/"
        answer = await self._omero.ask(path)
        if answer is None:
            raise unknown("image", number, "paths of the original of ")
        found = originals(answer.value, f"{SERVER}/{path}")
        if found in self._seen:
            return []
        self._seen.add(found)
        findings: list[Finding] = [Kept(name=f"idr/original_file_paths-{number}.json", data=answer.data)]
        findings += [page async for page in self._files(number, found)]
        for location in found.copies:
            findings += await self._tree(number, location)
        if found.elsewhere or not (found.files or found.copies):
            findings.append(setback(number, elsewhere(found)))
        return findings

    async def _files(self, number: int, found: Originals) -> AsyncIterator[FilesFound]:
        if found.files and chooses_arrays(self._entry):
            message = (
                f"image {number}: its original is {found.files[0]}; arrays, scales and boxes are chosen from OME-NGFF "
                "copies only (ngff: URL with {image})"
            )
            raise SourceError(message, location=f"{TREE}/{found.files[0]}")
        remaining = iter(found.files)
        while paths := tuple(islice(remaining, PAGE_ENTRIES)):
            page = FilesFound(base=TREE, entries=tuple(ObjectEntry(key=path) for path in paths))
            yield await self._probe.fill(page)

    def _warn(self, message: str) -> None:
        self._context.on_event(Event("warning", {"dataset": self._entry.id, "message": message}))


def chooses_arrays(entry: IdrEntry) -> bool:
    """Whether the entry picks arrays, levels or a box among them."""
    return bool(entry.arrays or entry.scales or entry.select) or entry.crop is not None


def setback(number: int, error: EmasyncError) -> Setback:
    """One image that cannot be had."""
    message = error.message if f"image {number}" in error.message else f"image {number}: {error.message}"
    return Setback(error=SourceError(message, kind=error.kind, location=error.location))


def unknown(kind: Literal["image", "dataset"], number: int, what: str = "") -> SourceError:
    """The error for what OMERO does not show: it answers alike for unknown and for private."""
    location = f"{SERVER}/webclient/?show={kind}-{number}"
    message = f"the IDR has no public {what}{kind} {number}; check the number ({location})"
    return SourceError(message, kind=ErrorKind.NOT_FOUND, location=location)


def elsewhere(found: Originals) -> SourceError:
    """The error for originals that are not on the public tree."""
    names = ", ".join(escape_for_log(path[:200]) for path in shortened(found.elsewhere)) or "no path at all"
    message = (
        f"its original was imported from {names}, expected a path below {IMPORTED_BELOW} or a URL of a .zarr; look at "
        "the study's page for where its files are (source: web), or name an OME-NGFF copy (ngff:)"
    )
    return SourceError(message, kind=ErrorKind.NOT_FOUND)


def shortened(names: Iterable[str]) -> list[str]:
    """The first few."""
    return list(islice(names, 3))
