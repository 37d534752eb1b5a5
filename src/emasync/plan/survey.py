"""``--metadata-only``: what describes a dataset, and no bulk.

The plan is one of its own in the ledger (:data:`~emasync.ledger.interface.METADATA_PLAN`): documents that are objects
of the source are objects of the ledger, so that a later full plan finds them; all else is kept beside the dataset.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from emasync.errors import SourceError
from emasync.model.events import Event
from emasync.model.globs import Selection
from emasync.plan.choice import Choice
from emasync.plan.files import FileShelves
from emasync.plan.headers import Headers
from emasync.plan.intake import Intake, path_of
from emasync.plan.kept import keep_document
from emasync.plan.layout import kept_place
from emasync.plan.order import is_document
from emasync.plan.setbacks import named, together
from emasync.plan.signs import ORDERED, format_at
from emasync.plan.survey_arrays import REQUESTS_AN_ASSET, AssetSurvey
from emasync.plan.sweep import as_entry
from emasync.plan.tools import PlanTools
from emasync.plan.written import keep_sources
from emasync.registry import SOURCES
from emasync.sources.interface import FilesFound, Finding, Kept, Setback, Source, Tree, TreeFound
from emasync.sources.walk import closing

TREES_AT_ONCE: Final = 16

MAX_PAGES: Final = 10
"""Pages of a listing that are looked through for documents and headers: some ten thousand objects."""

SURVEY: Final = "survey.json"
"""Name, inside the asset's folder of ``<id>.source-metadata/``, of the metadata of its arrays: as received, by key."""

SURVEY_VERSION: Final = 1


@dataclass(slots=True, kw_only=True)
class Survey:
    """Looks over one dataset (mutable: counts).

    Attributes
    ----------
    entry : manifest entry
        Any: each source has an entry model of its own.
    intake : Intake
    tools : PlanTools
    setbacks : list of SourceError
        What the source does not have.
    described : int
        Documents kept beside the dataset.
    left_out : int
        Documents that there are too many of.
    """

    entry: Any
    intake: Intake
    tools: PlanTools
    setbacks: list[SourceError] = field(default_factory=list)
    described: int = 0
    left_out: int = 0

    async def run(self) -> None:
        """Bring documents into the ledger, or to their place.

        Raises
        ------
        SourceError
            Nothing is there that describes anything; or what the source does not have, when all else is done.
        TransportError
            The source does not answer.
        """
        make = await asyncio.to_thread(SOURCES.load, self.entry.source)  # imports read files
        source: Source = make(self.tools.context)
        shelves = FileShelves(self.intake, self.entry, self.tools)
        series = self.entry.series
        headers = Headers(self.intake, self.tools, None if series is None else str(series.pattern))
        trees = asyncio.Semaphore(TREES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            async for finding in source.resolve(self.entry):
                if isinstance(finding, TreeFound):
                    await trees.acquire()
                    group.create_task(self._tree(finding, shelves, headers)).add_done_callback(
                        lambda _: trees.release()
                    )
                else:
                    await self._take(finding, shelves, headers)
        await shelves.finish()
        self._tell(headers)
        if self.setbacks:
            raise together(self.setbacks)
        if not self.left_out:
            await headers.tell_series()
        if not self.intake.count.objects and not self.described and not headers.kept:
            raise SourceError(f"dataset {self.entry.id!r}: nothing describes it; check its url and its globs")

    def _tell(self, headers: Headers) -> None:
        if left_out := self.left_out + headers.left_out:
            message = f"{left_out:,} descriptions are left out: they are like those that were taken, or too many"
            self.tools.context.on_event(Event("warning", {"dataset": self.entry.id, "message": message}))

    async def _take(self, finding: Finding, shelves: FileShelves, headers: Headers) -> None:
        if isinstance(finding, FilesFound):
            await self._files(finding, shelves, headers)
        elif isinstance(finding, Kept):
            await keep_document(self.intake, finding, self.tools.documents)
            self.described += 1
        elif isinstance(finding, Setback):
            self.setbacks.append(finding.error)

    async def _files(self, found: FilesFound, shelves: FileShelves, headers: Headers) -> None:
        """Documents are fetched like any object; of the others the headers are kept."""
        documents = tuple(item for item in found.entries if is_document(path_of(item), item.size_bytes))
        await shelves.take(replace(found, entries=documents))
        taken = {item.key for item in documents}
        selection: Selection = self.entry.selection
        others = [item for item in found.entries if item.key not in taken and selection.wants(path_of(item))]
        await headers.take(found, others)

    async def _tree(self, found: TreeFound, shelves: FileShelves, headers: Headers) -> None:
        try:
            if found.asset or found.part:
                await self._asset(found)
            else:
                await self._only(found, shelves, headers)
        except SourceError as error:
            if not (found.asset or found.part):
                raise
            self.setbacks.append(named(error, found.path))

    async def _asset(self, found: TreeFound) -> None:
        """One of many: within its budget, and only once."""
        place = kept_place(self.intake.dataset, f"{found.path}/{SURVEY}")
        if not self.tools.refresh and _surveyed(await self.tools.documents.read(place)) == self.entry.digest:
            self.described += 1
            return
        sidecars = len(getattr(found.tree, "sidecars", ()))
        survey = AssetSurvey(found.tree, max(0, REQUESTS_AN_ASSET - 1 - sidecars))
        await survey.run()
        await self.tools.documents.write(place, described(survey, self.entry.digest))
        self.described += 1
        self.left_out += survey.left_out

    async def _only(self, found: TreeFound, shelves: FileShelves, headers: Headers) -> None:
        """The one tree of a dataset: all of its metadata, or a look at its files."""
        choice = Choice.of(self.entry, found.path)
        form = await format_at(found.tree) if self.entry.format == "auto" else self.entry.format
        if choice.chooses or form in ORDERED:
            await self._arrays(await self.intake.taking(found), found.tree, choice, form or "zarr")
        else:
            await self._look_through(found.tree, found.path, shelves, headers)

    async def _arrays(self, intake: Intake, tree: Tree, choice: Choice, form: str) -> None:
        from emasync.plan.discovery import discover  # noqa: PLC0415 - the formats, where there are arrays
        from emasync.plan.hierarchies import format_called  # noqa: PLC0415 - as above
        from emasync.plan.whole import documents_of  # noqa: PLC0415 - as above

        walk = format_called(form, tree).walk(choice.arrays or ("",))
        read = documents_of(await discover(tree, walk, intake.dataset, self.tools.context.on_event))
        await keep_sources(intake, read, self.tools.documents)
        self.described += len(read)

    async def _look_through(self, tree: Tree, path: str, shelves: FileShelves, headers: Headers) -> None:
        """Documents and headers among the first pages of a listing."""
        pages = 0
        async with closing(tree.list("")) as listing:
            async for page in listing:
                pages += 1
                entries = tuple(as_entry(item) for item in page.objects)
                await self._files(FilesFound(base=str(tree.base), entries=entries, path=path), shelves, headers)
                if pages == MAX_PAGES and not page.last:
                    self.left_out += 1
                    break


def described(survey: AssetSurvey, digest: str) -> bytes:
    """What was found out about one asset, as one document: a thousand assets are not ten thousand files."""
    document = {
        "version": SURVEY_VERSION,
        "entry": digest,
        "images": survey.images,
        "left_out": survey.left_out,
        "documents": {key: data.decode("utf-8", "replace") for key, data in survey.documents.items()},
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _surveyed(data: bytes | None) -> str | None:
    """Digest of the entry that an asset was looked over for."""
    try:
        value: Any = orjson.loads(data or b"{}")  # Any: JSON of ours, or of whoever edited it
    except orjson.JSONDecodeError:
        return None
    return value.get("entry") if isinstance(value, dict) and value.get("version") == SURVEY_VERSION else None


async def survey(entry: Any, tools: PlanTools) -> None:
    """Look over one dataset (Any: each source has an entry model of its own); see :meth:`Survey.run`."""
    await Survey(entry=entry, intake=Intake(tools, entry.id), tools=tools).run()
