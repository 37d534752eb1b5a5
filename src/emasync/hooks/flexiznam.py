"""The hook ``flexiznam``: acquisition files for the sessions and samples of a root that are whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from emasync.disk.interface import Sink
from emasync.hooks.interface import HookContext, HookReport
from emasync.layouts.flexiznam.acquisition import (
    LEGACY_SUFFIXES,
    Registered,
    acquisition,
    legacy_acquisition,
)
from emasync.layouts.flexiznam.names import CREATED, HOME, is_top
from emasync.layouts.flexiznam.register import REGISTER, Entity, Item, Register, mice_in, page_place
from emasync.layouts.flexiznam.types import dataset_type
from emasync.layouts.record import RECORD, LayoutRecord
from emasync.ledger.interface import Ledger, Row, Tally
from emasync.model.redaction import redact
from emasync.model.task import State

ACQUISITIONS: Final = f"{HOME}/acquisitions"
"""Folder of the files, relative to the root: ``<project>/<mouse>/<session or sample>.yml`` below it."""

DERIVED_ONLY: Final = "only-derived-data.txt"
"""Lies in the raw folder of what only derived data are here of: flexiznam wants each folder to be there."""

MAX_LEGACY_FILES: Final = 10_000
"""Most files of one folder that are datasets each in a file of the older generation."""

MAX_NOTES: Final = 100

WITHDRAWN: Final = "withdrawn-acquisition"
"""Name that a file takes among the unfinished ones on its way out."""

REMEMBERED: Final = 1 << 16
"""Folders of objects of which it is known what they belong to; neighbours come together."""

_WHOLE: Final = (State.PLACED, State.ABSENT)


@dataclass(slots=True)
class Found:
    """What the ledger counts of one dataset of flexiznam (mutable: counts)."""

    item: Item
    location: str
    destination: str
    dataset: str
    checksum: tuple[str, str]
    objects: int = 0
    size_bytes: int = 0
    left: int = 0
    planned: bool = True
    files: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one object."""
        self.left += row.state not in _WHOLE
        if row.state is State.PLACED:
            self.objects += 1
            self.size_bytes += row.size_bytes or 0
            if row.destination.lower().endswith(LEGACY_SUFFIXES) and len(self.files) < MAX_LEGACY_FILES:
                self.files.append(row.destination)


class FlexiznamHook:
    """Writes one file a session or sample; a root of another layout is left alone."""

    def run(self, context: HookContext) -> HookReport:
        """See :class:`~emasync.hooks.interface.Hook`.

        Raises
        ------
        InputError, SourceError
            What was written down of the layout is broken.
        MachineError
            Disk full, no permission.
        """
        record = LayoutRecord.from_bytes(_document(context.sink, RECORD))
        if record.kind != "flexiznam":
            return HookReport()
        mice = mice_in(_document(context.sink, REGISTER))
        register = Register.read({mouse: _document(context.sink, page_place(mouse)) for mouse in mice})
        census = Census(register)
        for tally in context.ledger.tallies():
            unfinished = _unfinished_folders(context.ledger, tally)
            for row in context.ledger.rows(dataset=tally.dataset):
                if context.hurry():
                    return HookReport(notes=("stopped; older acquisition files stay",))
                census.add(tally.dataset, row, planned=not row.destination.startswith(unfinished))
        return _Writing(context, record, register).run(census)


def _unfinished_folders(ledger: Ledger, tally: Tally) -> tuple[str, ...]:
    """Folders of what is not named to its end, with a slash: a tree's documents are finished behind all of it."""
    if tally.metadata_only:
        return (f"{HOME}/",)
    if tally.planned:
        return ()
    open_sets = (found.spec for found in ledger.planned_sets(tally.dataset) if not found.finished)
    return tuple({f"{spec.destination}/" for spec in open_sets})


class Census:
    """Objects by the dataset of flexiznam that they are part of.

    Parameters
    ----------
    register : Register

    Attributes
    ----------
    found : dict of str to Found
        By place below :data:`~emasync.layouts.flexiznam.names.HOME`.
    notes : list of str
    """

    def __init__(self, register: Register) -> None:
        self.found: dict[str, Found] = {}
        self.notes: list[str] = []
        self._register = register
        self._folders: dict[str, Item | None] = {}
        self._strays = 0

    def note(self, text: str) -> None:
        """Tell something; no more than some."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    def add(self, dataset: str, row: Row, *, planned: bool) -> None:
        """Count one object; `planned`: all of its dataset is named."""
        if (item := self._item(dataset, row.destination.removeprefix(f"{HOME}/"))) is None:
            return
        found = self.found.get(item.place)
        if found is None:
            found = self.found[item.place] = _first(item, dataset, row)
        found.planned &= planned
        found.add(row)

    def _item(self, dataset: str, place: str) -> Item | None:
        folder, _, name = place.rpartition("/")
        if folder not in self._folders:
            if len(self._folders) >= REMEMBERED:
                self._folders.clear()
            self._folders[folder] = self._around(folder)
        if (item := self._folders[folder]) is not None:
            return item
        tree, _, path = folder.partition("/")
        entity = self._register.entities.get(path)
        if entity is None or tree not in ("raw", "processed"):
            if not self._strays:
                self.note(f"{HOME}/{place}: belongs to no session or sample, so no acquisition file names it")
            self._strays += 1
            return None
        return _of_file(place, name, entity, dataset)

    def _around(self, folder: str) -> Item | None:
        """The registered folder that a folder is or lies in."""
        while folder:
            if (item := self._register.items.get(folder)) is not None:
                return item
            folder = folder.rpartition("/")[0]
        return None


def _of_file(place: str, name: str, entity: Entity, dataset: str) -> Item:
    """A file right below an entity is a dataset of its own."""
    kind = dataset_type(name, ex_vivo=entity.kind == "sample", recorded=entity.recording_type)
    return Item(place=place, entity=entity.path, name=name, owner=dataset, dataset_type=kind, created=entity.started)


def _first(item: Item, dataset: str, row: Row) -> Found:
    location, inside = redact(row.spec.locate(row.key)), row.destination.removeprefix(f"{HOME}/{item.place}")
    is_file = not inside
    digests = [*row.published, *row.computed]
    checksum = (digests[0].kind, digests[0].value) if is_file and digests else ("", "")
    return Found(
        item=item,
        location=location if is_file or not location.endswith(inside) else location.removesuffix(inside),
        destination=row.destination,
        dataset=dataset,
        checksum=checksum,
    )


class _Writing:
    """Writes the files of one root."""

    def __init__(self, context: HookContext, record: LayoutRecord, register: Register) -> None:
        self._context = context
        self._record = record
        self._register = register
        self._licences = {facts.id: _licence(facts.metadata) for facts in context.all_datasets}

    def run(self, census: Census) -> HookReport:
        by_top: dict[str, list[Registered]] = {}
        unfinished = self._unfinished(census)
        for found in census.found.values():
            if found.objects and _top(found) not in unfinished:
                by_top.setdefault(_top(found), []).append(self._registered(found))
        self._remove_others({_top(found) for found in census.found.values()})
        written = sum(self._write(top, datasets, census) for top, datasets in sorted(by_top.items()))
        return HookReport(counts={"acquisitions": written, "datasets": len(census.found)}, notes=tuple(census.notes))

    def _remove_others(self, tops: Collection[str]) -> None:
        """Files of sessions and samples of which nothing is wanted any more."""
        for path in self._register.entities:
            place = f"{ACQUISITIONS}/{path}.yml"
            if is_top(path) and path not in tops and self._context.sink.stat(place) is not None:
                self._context.sink.retract(place, WITHDRAWN)
                self._context.sink.discard(WITHDRAWN)

    def _unfinished(self, census: Census) -> frozenset[str]:
        """Sessions and samples that lack something: what is not in their file the tool would take for an entity."""
        tops: dict[str, None] = {}
        for found in census.found.values():
            if found.left or not found.planned:
                why = (
                    f"{found.left:,} objects are missing"
                    if found.left
                    else f"{found.dataset} is not planned to its end"
                )
                if _top(found) not in tops:
                    census.note(f"{HOME}/{found.item.place}: {why}; {_top(found)} gets its file once it is whole")
                tops[_top(found)] = None
        return frozenset(tops)

    def _registered(self, found: Found) -> Registered:
        tree, _, path = found.item.place.partition("/")
        licence, (kind, value) = self._licences.get(found.dataset), found.checksum
        attributes: dict[str, str | int] = {"source_url": found.location, "source_dataset": found.dataset}
        _, _, asset = found.item.owner.partition("/")
        attributes |= {"source_asset": asset} if asset else {}
        attributes |= {"licence": licence} if licence else {}
        attributes |= {"n_objects": found.objects, "n_bytes": found.size_bytes}
        attributes |= {"checksum_kind": kind, "checksum": value} if kind else {}
        return Registered(
            entity=found.item.entity,
            name=found.item.name,
            tree="raw" if tree == "raw" else "processed",
            path=path,
            dataset_type=found.item.dataset_type,
            created=found.item.created or self._written_at(found.destination),
            attributes=attributes,
            files=[file.removeprefix(f"{HOME}/{tree}/") for file in found.files],
        )

    def _written_at(self, destination: str) -> str:
        """When nobody tells: the file's own time, as flexiznam's detectors have it."""
        facts = self._context.sink.stat(destination)
        return datetime.fromtimestamp(0 if facts is None else facts.mtime_ns / 1e9, UTC).strftime(CREATED)

    def _write(self, top: str, datasets: list[Registered], census: Census) -> int:
        datasets.sort(key=lambda dataset: (dataset.entity, dataset.name, dataset.tree))
        document: dict[str, Any] | None  # Any: YAML
        if self._record.options.get("flavour") == "legacy":
            document = legacy_acquisition(top, self._register.entities, datasets)
        else:
            document = acquisition(self._raw(), top, self._register.entities, datasets)
        if document is None:
            census.note(f"{top}: nothing here that versions up to 0.3.9 can find; use flavour: v0.4")
            return 0
        for entity in sorted({dataset.entity for dataset in datasets}):
            self._require_folder(entity)
        place = f"{ACQUISITIONS}/{top}.yml"
        data = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000).encode()
        if _document(self._context.sink, place) != data:
            self._context.sink.write_document(place, data)
        return 1

    def _raw(self) -> str:
        """Absolute, without a slash at its end: the tool compares texts."""
        return self._record.folders.get(f"{HOME}/raw") or str(self._context.root.resolve() / HOME / "raw")

    def _require_folder(self, entity: str) -> None:
        """Of derived data alone there is no folder among the raw ones."""
        sink, folder = self._context.sink, f"{HOME}/raw/{entity}"
        if not sink.has_folder(folder):
            sink.write_document(
                f"{folder}/{DERIVED_ONLY}", b"Data of this one lie elsewhere; see its acquisition file.\n"
            )


def _top(found: Found) -> str:
    """Path of the session or sample that it belongs to."""
    return "/".join(found.item.entity.split("/")[:3])


def _licence(metadata: Mapping[str, Any]) -> str | None:
    """As the manifest says (Any: JSON)."""
    found = metadata.get("license")
    return found if isinstance(found, str) else None


def _document(sink: Sink, place: str) -> bytes | None:
    facts = sink.stat(place)
    return None if facts is None else sink.read_final(place, 0, facts.size_bytes)
