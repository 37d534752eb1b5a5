"""One dataset: what lies in its folder, what is said of it, and what the ledger counted."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from emasync.disk.names import map_segment
from emasync.errors import EmasyncError, MachineError
from emasync.formats.known_stretches import KnownStretches
from emasync.formats.paths import ancestors
from emasync.formats.stored import ByteSource
from emasync.hooks.interface import SOURCE_METADATA, DatasetFacts, HookContext
from emasync.hooks.inventory import DataFile, Folder, Hierarchy, inventory
from emasync.hooks.local import LocalFile, LocalTree, Own
from emasync.hooks.metadata.claims import Claim
from emasync.hooks.metadata.counting import Counts, count_objects
from emasync.hooks.metadata.coverage import Coverage, coverage_of
from emasync.hooks.metadata.description import VERSION, DescribedAsset, conflicts_list, describe, fields_dict
from emasync.hooks.metadata.documents import Documents
from emasync.hooks.metadata.extract_manifest import manifest_claims, overridden, unknown_keys
from emasync.hooks.metadata.extract_names import name_claims
from emasync.hooks.metadata.extract_nwb import describe_hdf5
from emasync.hooks.metadata.extract_open_ephys import describe_open_ephys, is_open_ephys
from emasync.hooks.metadata.extract_recording import describe_recording, is_recording
from emasync.hooks.metadata.extract_video import describe_video
from emasync.hooks.metadata.files import describe_file
from emasync.hooks.metadata.former import former_coverage, key_of
from emasync.hooks.metadata.hdf5_reader import Hdf5Reader
from emasync.hooks.metadata.hierarchies import describe_hierarchy
from emasync.hooks.metadata.indexed import indexed_coverage
from emasync.hooks.metadata.kept_headers import KeptHeaders
from emasync.hooks.metadata.merging import Chosen, merge
from emasync.hooks.metadata.origin import origin_claims
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.scopes import Scopes
from emasync.hooks.metadata.series import describe_series
from emasync.hooks.metadata.surveyed import surveyed
from emasync.model.cut import BOXES, read_cuts
from emasync.model.globs import translate
from emasync.volume.index_entry import Coverage as IndexedChunks

_log = logging.getLogger("emasync")

T = TypeVar("T")

MAX_NOTES: Final = 1_000
"""Of a dataset, in its document."""

FOLDER: Final = "metadata"
"""Of the documents of assets, below the root."""


def document_of(dataset: str, asset: str) -> str:
    """Where an asset's document lies, relative to the root: under its path, in legal names."""
    return f"{FOLDER}/{dataset}/{'/'.join(map_segment(segment) for segment in asset.split('/'))}.json"


def dataset_document(dataset: str) -> str:
    """Where the document of a dataset lies, relative to the root: all of it but its assets."""
    return f"{FOLDER}/{dataset}.json"


class DatasetDescriber:
    """Describes one dataset.

    Parameters
    ----------
    context : HookContext
    facts : DatasetFacts
    hdf5 : Hdf5Reader

    Attributes
    ----------
    dataset : str
        Its id.
    notes : list of str
    """

    def __init__(self, context: HookContext, facts: DatasetFacts, hdf5: Hdf5Reader) -> None:
        self._context = context
        self._facts = facts
        self._hdf5 = hdf5
        self._disk = LocalTree(context.root, context.sink, facts.folder, Own(facts.folder, facts.places))
        self._originals = LocalTree(context.root, context.sink, facts.id + SOURCE_METADATA)
        self._headers = KeptHeaders(self._originals)
        self._scopes = Scopes()
        self._documents = Documents(self._scopes)
        self._override = overridden(facts)
        self._found: list[AssetRecord] = []
        self._files: list[DataFile] = []
        self._series: list[DataFile] = []
        self._in_series = _matcher(facts)
        self.dataset = facts.id
        self._counts = Counts()
        self._names: set[str] = set()
        self._cuts = read_cuts(self._originals.document(BOXES))
        self._indexed: Mapping[str, IndexedChunks] = {}
        self.notes: list[str] = []

    def look(self) -> None:
        """Look at the folder and at everything that is said of it; files are described later, one by one."""
        self._scopes.add(manifest_claims(self._facts).found)
        self._documents.take_answers(self._originals)
        try:
            for item in inventory(self._disk):
                self._guarded(item, self._take)
            if not any(record.volume is not None for record in self._found):
                for hierarchy, tree in surveyed(self._originals):
                    self._guarded(hierarchy, partial(self._take_hierarchy, disk=tree))
            for item in self._only_headers():
                self._guarded(item, self._take)
        except OverflowError as error:
            self.notes.append(str(error))
        folders = [array.grid.folder for asset in self._found for array in asset.arrays if array.grid is not None]
        files = [f"{self._facts.folder}/{file.path}" for file in self._files]
        files += [f"{self._facts.folder}/{path}" for asset in self._found for path in asset.files]
        self._counts = count_objects(self._context.ledger, self._facts.id, folders, files)
        self._indexed = indexed_coverage(self._context, self._facts)
        if self._scopes.left_out:
            self.notes.append(f"{self._scopes.left_out:,} statements of documents are more than is kept")
        self.notes.extend(self._documents.notes)

    def _only_headers(self) -> Iterator[DataFile]:
        """Files that were looked over and are not here; none once all that is wanted is: nobody wants the others."""
        if not count_objects(self._context.ledger, self._facts.id, (), ()).done:
            yield from (item for item in self._headers.files() if self._disk.file(item.path) is None)

    def _take(self, item: Hierarchy | DataFile | Folder) -> None:
        match item:
            case Hierarchy():
                self._take_hierarchy(item, self._disk)
            case DataFile():
                (self._series if self._in_series(item.path) else self._files).append(item)
            case Folder():
                self._documents.take_folder(item, self._disk)
                if is_recording(item):
                    self._found.append(describe_recording(item, self._disk))
                if is_open_ephys(item):
                    self._found.append(describe_open_ephys(item, self._disk))

    def _take_hierarchy(self, item: Hierarchy, disk: LocalTree) -> None:
        tree = describe_hierarchy(item, disk, self._originals)
        self._found.extend(tree.assets)
        self.notes.extend(tree.notes)
        for place in tree.documents:
            self._documents.take_sidecar(place, disk)

    def _guarded(self, item: T, take: Callable[[T], None]) -> None:
        """Whatever a stranger's document brings about, the others are described."""
        try:
            take(item)
        except MachineError:
            raise
        except EmasyncError as error:
            self.notes.append(error.message)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - as the docstring says
            _log.exception("metadata of %s: %s", self.dataset, item)
            self.notes.append(f"{item}: {type(error).__name__}: {error}; please report this")

    def to_dict(self) -> dict[str, Any]:
        """The dataset without its assets, as JSON (Any)."""
        fields = self._own_fields()
        known = self._counts.known
        return {
            "version": VERSION,
            "dataset": self._facts.id,
            "id": self._facts.id,
            "folder": self._facts.folder,
            "source": self._facts.source,
            "location": self._facts.location,
            "role": self._facts.role,
            "subset": self._facts.subset,
            "objects": self._counts.objects if known else None,
            "bytes": self._counts.size_bytes if known else None,
            "complete": self._counts.done if known else None,
            "fields": fields_dict(fields),
            "conflicts": conflicts_list(fields),
            "unrecognised": unknown_keys(self._facts),
            "notes": self._bounded_notes(),
        }

    def _bounded_notes(self) -> list[str]:
        more = len(self.notes) - MAX_NOTES
        return [*self.notes[:MAX_NOTES], *((f"and {more:,} more notes",) if more > 0 else ())]

    def _own_fields(self) -> Mapping[str, Chosen]:
        return merge(self._scopes.whole(), self._override)

    def assets(self) -> Iterator[DescribedAsset]:
        """All assets; a dataset of which nothing is known but what is said of it counts as one."""
        paths: list[str] = []
        for record in self._records():
            paths.append(record.path)
            yield self._describe(record)
        taken = {folder for path in paths for folder in (*ancestors(path), path)}
        for folder in self._documents.folders:
            if folder and folder not in taken:
                paths.append(folder)
                yield self._describe(AssetRecord(path=folder, kind="sidecars"))
        if not paths:
            yield self._describe(AssetRecord(path="", kind="sidecars"))

    def _records(self) -> Iterator[AssetRecord]:
        yield from self._found
        if self._series and self._facts.series is not None:
            yield from self._series_of(self._facts.series.pattern)
        for item in self._files:
            file = self._opened(item.path)
            if file is not None:
                yield self._noted(item, partial(self._file, item, file))

    def _series_of(self, pattern: str) -> Iterator[AssetRecord]:
        """The files that the manifest calls one volume."""
        here = all(self._disk.file(item.path) is not None for item in self._series)
        count = len(self._series) if here else self._headers.series_files(pattern)
        yield self._noted(self._series[0], partial(describe_series, pattern, self._series, self._opened, count))

    def _opened(self, path: str) -> LocalFile | KnownStretches | None:
        """A file, or what a run for metadata alone kept of it."""
        return self._disk.file(path) or self._headers.file(path)

    def _noted(self, item: DataFile, make: Callable[[], AssetRecord]) -> AssetRecord:
        """What is made of a file; whatever a stranger's file brings about, it is a note."""
        try:
            return make()
        except MachineError:
            raise
        except EmasyncError as error:
            note = error.message
        except Exception as error:  # noqa: BLE001 - as the docstring says
            _log.exception("metadata of %s: %s", self.dataset, item.path)
            note = f"{type(error).__name__}: {error}; please report this"
        return AssetRecord(path=item.path, kind="file", format=item.kind, files=(item.path,), notes=(note,))

    def _file(self, item: DataFile, file: ByteSource) -> AssetRecord:
        if item.kind == "video":
            return describe_video(item.path, file)
        if item.kind == "hdf5":
            return describe_hdf5(item.path, self._hdf5.facts(file))
        return describe_file(item, file)

    def _describe(self, record: AssetRecord) -> DescribedAsset:
        name = self._name(record)
        former = {} if self._counts.known else former_coverage(self._context.sink, document_of(self.dataset, name))
        return describe(
            record,
            dataset=self._facts.id,
            name=name,
            around=[*self._scopes.about(record.path), *name_claims(record.path).found],
            own=self._origin(record),
            override=self._override,
            coverages=[self._coverage(array, former) for array in record.arrays],
        )

    def _origin(self, record: AssetRecord) -> list[Claim]:
        """Where an asset is from; of a file that was not fetched its own place, and not the dataset's."""
        found = origin_claims(record, self._disk, self._facts, self._counts)
        kept = self._headers.file(record.files[0]) if len(record.files) == 1 else None
        if kept is None or self._disk.file(record.files[0]) is not None:
            return found
        place = Claim(field="access_url", value=kept.location, source="computed", where="header", scope=record.path)
        return [place, *(claim for claim in found if claim.field != "access_url")]

    def _name(self, record: AssetRecord) -> str:
        """Unique in the dataset."""
        name = (record.path or self._facts.id) + (f"#{record.index}" if record.index else "")
        while name in self._names:
            name += "~"
        self._names.add(name)
        return name

    def _coverage(self, array: ArrayRecord, former: Mapping[str, Any]) -> Coverage | None:
        """What is there of an array; without a ledger, what an earlier run wrote of it (Any: JSON)."""
        grid = array.grid
        if grid is None:
            return None
        if (kept := Coverage.from_dict(former.get(key_of(array.path, array.scale)))) is not None:
            return kept
        path = grid.folder[len(self._facts.folder) :].lstrip("/")
        count = self._counts.arrays.get(grid.folder) if self._counts.known else None
        return coverage_of(
            grid,
            count,
            self._cuts.get(path),
            done=self._counts.done,
            globs=bool(self._facts.include or self._facts.exclude),
            indexed=self._indexed.get(grid.folder),
        )


def _matcher(facts: DatasetFacts) -> Any:
    """Whether a path is of the manifest's series (Any: a predicate)."""
    if facts.series is None:
        return lambda _path: False
    return re.compile(translate(facts.series.pattern), re.DOTALL).fullmatch
