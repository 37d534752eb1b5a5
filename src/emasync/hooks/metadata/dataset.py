"""One dataset: what lies in its folder, what is said of it, and what the ledger counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from emasync.disk.names import map_segment
from emasync.errors import EmasyncError, InputError
from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.paths import join
from emasync.formats.precomputed.info import INFO
from emasync.formats.zarr.keys import METADATA_NAMES
from emasync.hooks.interface import DatasetFacts, HookContext
from emasync.hooks.metadata.claims import Claim, Claims
from emasync.hooks.metadata.counting import Counts, count_objects
from emasync.hooks.metadata.coverage import BOXES, Coverage, coverage_of, cut_of, read_boxes
from emasync.hooks.metadata.description import VERSION, DescribedAsset, conflicts_list, describe, fields_dict
from emasync.hooks.metadata.documents import Documents
from emasync.hooks.metadata.extract_manifest import manifest_claims, overridden, unknown_keys
from emasync.hooks.metadata.extract_names import name_claims
from emasync.hooks.metadata.extract_nwb import describe_hdf5
from emasync.hooks.metadata.extract_recording import describe_recording, is_recording
from emasync.hooks.metadata.extract_video import describe_video
from emasync.hooks.metadata.files import describe_file
from emasync.hooks.metadata.former import former_coverage, key_of
from emasync.hooks.metadata.hdf5_reader import Hdf5Reader
from emasync.hooks.metadata.hierarchies import describe_hierarchy
from emasync.hooks.metadata.inventory import DataFile, Folder, Hierarchy, inventory
from emasync.hooks.metadata.local import LocalFile, LocalTree, Own
from emasync.hooks.metadata.merging import Chosen, merge
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.scopes import Scopes
from emasync.hooks.metadata.series import describe_series
from emasync.ledger.interface import Row
from emasync.model.globs import translate
from emasync.model.redaction import redact

FOLDER: Final = "metadata"
"""Of the documents of assets, below the root."""

SOURCE_METADATA: Final = ".source-metadata"
"""Ends the name of the folder beside a dataset that keeps documents as the source gave them."""


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
        self._boxes = read_boxes(self._originals.document(BOXES))
        self.notes: list[str] = []

    def look(self) -> None:
        """Look at the folder and at everything that is said of it; files are described later, one by one."""
        self._scopes.add(manifest_claims(self._facts).found)
        self._documents.take_answers(self._originals)
        try:
            for item in inventory(self._disk):
                self._take(item)
        except OverflowError as error:
            self.notes.append(str(error))
        folders = [array.grid.folder for asset in self._found for array in asset.arrays if array.grid is not None]
        files = [f"{self._facts.folder}/{file.path}" for file in self._files]
        files += [f"{self._facts.folder}/{path}" for asset in self._found for path in asset.files]
        self._counts = count_objects(self._context.ledger, self._facts.id, folders, files)
        if self._scopes.left_out:
            self.notes.append(f"{self._scopes.left_out:,} statements of documents are more than is kept")
        self.notes.extend(self._documents.notes)

    def _take(self, item: Hierarchy | DataFile | Folder) -> None:
        match item:
            case Hierarchy():
                tree = describe_hierarchy(item, self._disk, self._originals)
                self._found.extend(tree.assets)
                self.notes.extend(tree.notes)
                for place in tree.documents:
                    self._documents.take_sidecar(place, self._disk)
            case DataFile():
                (self._series if self._in_series(item.path) else self._files).append(item)
            case Folder():
                self._documents.take_folder(item, self._disk)
                if is_recording(item):
                    self._found.append(describe_recording(item, self._disk))

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
            "notes": list(self.notes),
        }

    def _own_fields(self) -> Mapping[str, Chosen]:
        return merge(self._scopes.whole(), self._override)

    def assets(self) -> Iterator[DescribedAsset]:
        """All assets; a dataset of which nothing is known but what is said of it counts as one."""
        paths: list[str] = []
        for record in self._records():
            paths.append(record.path)
            yield self._describe(record)
        for folder in self._documents.folders:
            if not any(path == folder or path.startswith(f"{folder}/") or not folder for path in paths):
                paths.append(folder)
                yield self._describe(AssetRecord(path=folder, kind="sidecars"))
        if not paths:
            yield self._describe(AssetRecord(path="", kind="sidecars"))

    def _records(self) -> Iterator[AssetRecord]:
        yield from self._found
        if self._series and self._facts.series is not None:
            record = describe_series(self._facts.series.pattern, self._series, self._disk)
            if record is not None:
                yield record
        for item in self._files:
            file = self._disk.file(item.path)
            if file is not None:
                yield self._file(item, file)

    def _file(self, item: DataFile, file: LocalFile) -> AssetRecord:
        if item.kind == "video":
            return describe_video(item.path, file)
        if item.kind != "hdf5":
            return describe_file(item, file)
        try:
            return describe_hdf5(item.path, self._hdf5.facts(file))
        except (EmasyncError, InputError) as error:
            return AssetRecord(path=item.path, kind="file", format="hdf5", files=(item.path,), notes=(error.message,))

    def _describe(self, record: AssetRecord) -> DescribedAsset:
        name = self._name(record)
        former = {} if self._counts.known else former_coverage(self._context.sink, document_of(self.dataset, name))
        return describe(
            record,
            dataset=self._facts.id,
            name=name,
            around=[*self._scopes.about(record.path), *name_claims(record.path).found],
            own=self._own(record),
            override=self._override,
            coverages=[self._coverage(array, former) for array in record.arrays],
        )

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
        return coverage_of(grid, count, cut_of(path, len(grid.axes), self._boxes), done=self._counts.done)

    def _own(self, record: AssetRecord) -> list[Claim]:
        """What is known of an asset from here: where it came from, when, its digests."""
        claims = Claims("computed", "ledger", scope=record.path)
        claims.text("source_portal", self._facts.source, "")
        if record.volume is not None:
            claims.claim("volume_asset", record.volume[0], "")
            claims.claim("volume_array", record.volume[1], "")
        if record.files:
            self._say_files(record, claims)
        elif record.path or record.volume is not None:
            self._say_folder(record, claims)
        if not any(claim.field == "access_url" for claim in claims.found):
            claims.text("access_url", self._facts.location, "")
        return claims.found

    def _say_folder(self, record: AssetRecord, claims: Claims) -> None:
        """Of a hierarchy: when its first metadata came, and where it is in the bucket."""
        names = (*sorted(METADATA_NAMES), ATTRIBUTES, INFO)
        found = [file for name in names if (file := self._disk.file(join(record.path, name))) is not None]
        if found:
            claims.claim("retrieved_at", _moment(min(file.mtime_ns for file in found)), "mtime of its metadata")
        if self._facts.source == "bucket" and record.volume is not None:
            claims.text("access_url", join(self._facts.location, record.path), "")

    def _say_files(self, record: AssetRecord, claims: Claims) -> None:
        found = [file for path in record.files if (file := self._disk.file(path)) is not None]
        claims.claim("n_files", len(found), "")
        claims.claim("bytes_on_disk", sum(file.size_bytes for file in found), "")
        if found:
            claims.claim("retrieved_at", _moment(min(file.mtime_ns for file in found)), "mtime")
        row = self._counts.files.get(f"{self._facts.folder}/{record.files[0]}") if len(record.files) == 1 else None
        if row is not None:
            _say_digests(row, claims)


def _moment(time_ns: int) -> str:
    """RFC 3339, whole seconds."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def _matcher(facts: DatasetFacts) -> Any:
    """Whether a path is of the manifest's series (Any: a predicate)."""
    if facts.series is None:
        return lambda _path: False
    return re.compile(translate(facts.series.pattern), re.DOTALL).fullmatch


def _say_digests(row: Row, claims: Claims) -> None:
    """Digests of one file."""
    claims.text("access_url", redact(row.spec.locate(row.key)), "")
    if row.crc32c is not None:
        claims.claim("crc32c", f"{row.crc32c:08x}", "")
    others = []
    for digest in (*row.published, *row.computed):
        if digest.kind in ("sha256", "md5"):
            claims.claim(digest.kind, digest.value, "")
        else:
            others.append(f"{digest.kind}:{digest.value}")
    claims.claim("other_digests", ",".join(dict.fromkeys(others)), "")
    claims.claim("checksum_source", "publisher, computed" if row.published else "computed", "")
