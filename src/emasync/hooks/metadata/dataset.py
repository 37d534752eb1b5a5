"""One dataset: what lies in its folder, what is said of it, and what the ledger counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from emasync.hooks.interface import DatasetFacts, HookContext
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.counting import Counts, count_objects
from emasync.hooks.metadata.coverage import BOXES, Coverage, coverage_of, cut_of, read_boxes
from emasync.hooks.metadata.description import DescribedAsset, conflicts_list, describe, fields_dict
from emasync.hooks.metadata.extract_manifest import manifest_claims, overridden, unknown_keys
from emasync.hooks.metadata.files import describe_file
from emasync.hooks.metadata.hierarchies import describe_hierarchy
from emasync.hooks.metadata.inventory import DataFile, Folder, Hierarchy, inventory
from emasync.hooks.metadata.local import LocalTree
from emasync.hooks.metadata.merging import merge
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.scopes import Scopes
from emasync.model.redaction import redact

SOURCE_METADATA: Final = ".source-metadata"
"""Ends the name of the folder beside a dataset that keeps documents as the source gave them."""


class DatasetDescriber:
    """Describes one dataset.

    Parameters
    ----------
    context : HookContext
    facts : DatasetFacts

    Attributes
    ----------
    notes : list of str
    """

    def __init__(self, context: HookContext, facts: DatasetFacts) -> None:
        self._context = context
        self._facts = facts
        self._disk = LocalTree(context.root, context.sink, facts.folder)
        self._originals = LocalTree(context.root, context.sink, facts.folder + SOURCE_METADATA)
        self._scopes = Scopes()
        self._override = overridden(facts)
        self._hierarchies: list[AssetRecord] = []
        self._files: list[DataFile] = []
        self._counts = Counts()
        self._names: set[str] = set()
        self.notes: list[str] = []

    def look(self) -> None:
        """Look at the folder and at everything that is said of it; files are described later, one by one."""
        self._scopes.add(manifest_claims(self._facts).found)
        try:
            for item in inventory(self._disk):
                self._take(item)
        except OverflowError as error:
            self.notes.append(str(error))
        folders = [array.grid.folder for asset in self._hierarchies for array in asset.arrays if array.grid is not None]
        files = [f"{self._facts.folder}/{file.path}" for file in self._files]
        self._counts = count_objects(self._context.ledger, self._facts.id, folders, files)
        self._boxes = read_boxes(self._originals.document(BOXES))

    def _take(self, item: Hierarchy | DataFile | Folder) -> None:
        match item:
            case Hierarchy():
                tree = describe_hierarchy(item, self._disk, self._originals)
                self._hierarchies.extend(tree.assets)
                self.notes.extend(tree.notes)
            case DataFile():
                self._files.append(item)
            case Folder():
                pass

    def to_dict(self) -> dict[str, Any]:
        """The dataset without its assets, as JSON (Any)."""
        fields = merge(self._scopes.whole(), self._override)
        return {
            "id": self._facts.id,
            "folder": self._facts.folder,
            "source": self._facts.source,
            "location": self._facts.location,
            "role": self._facts.role,
            "subset": self._facts.subset,
            "objects": self._counts.objects if self._counts.known else None,
            "bytes": self._counts.size_bytes if self._counts.known else None,
            "complete": self._counts.done if self._counts.known else None,
            "fields": fields_dict(fields),
            "conflicts": conflicts_list(fields),
            "unrecognised": unknown_keys(self._facts),
            "notes": list(self.notes),
        }

    def assets(self) -> Iterator[DescribedAsset]:
        """All assets, in the order they were found."""
        for record in self._records():
            yield self._describe(record)

    def _records(self) -> Iterator[AssetRecord]:
        yield from self._hierarchies
        for item in self._files:
            file = self._disk.file(item.path)
            record = None if file is None or item.kind in ("hdf5", "video") else describe_file(item, file)
            if record is not None:
                yield record

    def _describe(self, record: AssetRecord) -> DescribedAsset:
        return describe(
            record,
            dataset=self._facts.id,
            name=self._name(record),
            around=self._scopes.about(record.path),
            own=self._own(record).found,
            override=self._override,
            coverages=[self._coverage(array) for array in record.arrays],
        )

    def _name(self, record: AssetRecord) -> str:
        """Unique in the dataset."""
        name = (record.path or self._facts.id) + (f"#{record.index}" if record.index else "")
        while name in self._names:
            name += "~"
        self._names.add(name)
        return name

    def _coverage(self, array: ArrayRecord) -> Coverage | None:
        grid = array.grid
        if grid is None:
            return None
        path = grid.folder[len(self._facts.folder) :].lstrip("/")
        count = self._counts.arrays.get(grid.folder) if self._counts.known else None
        return coverage_of(grid, count, cut_of(path, len(grid.axes), self._boxes), done=self._counts.done)

    def _own(self, record: AssetRecord) -> Claims:
        """What is known of an asset from here: where it came from, when, its digests."""
        claims = Claims("computed", "ledger", scope=record.path)
        claims.text("source_portal", self._facts.source, "")
        if record.files:
            _say_files(record, self._disk, self._facts.folder, self._counts, claims)
        if not any(claim.field == "access_url" for claim in claims.found):
            claims.text("access_url", self._facts.location, "")
        return claims


def _say_files(record: AssetRecord, disk: LocalTree, folder: str, counts: Counts, claims: Claims) -> None:
    found = [file for path in record.files if (file := disk.file(path)) is not None]
    claims.claim("n_files", len(found), "")
    claims.claim("bytes_on_disk", sum(file.size_bytes for file in found), "")
    if found:
        first = min(file.mtime_ns for file in found) // 1_000_000_000
        claims.claim("retrieved_at", datetime.fromtimestamp(first, UTC).isoformat().replace("+00:00", "Z"), "mtime")
    row = counts.files.get(f"{folder}/{record.files[0]}") if len(record.files) == 1 else None
    if row is not None:
        _say_digests(row, claims)


def _say_digests(row: Any, claims: Claims) -> None:
    """Digests of one file (Any: a row of the ledger)."""
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
