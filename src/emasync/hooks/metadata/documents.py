"""Documents about data: what is read of which, and what each says, collected by scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from emasync.errors import EmasyncError
from emasync.formats.json_document import MAX_DOCUMENT_BYTES, parse_object
from emasync.formats.paths import join, parent_and_name
from emasync.hooks.inventory import Folder
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.claims import Claims, Source
from emasync.hooks.metadata.extract_aind import AGGREGATE, AIND_DOCUMENTS, aggregate_claims
from emasync.hooks.metadata.extract_bids import bids_description, bids_sidecar, bids_table
from emasync.hooks.metadata.extract_dandi import asset_claims, dandiset_claims, read_assets
from emasync.hooks.metadata.extract_empiar import empiar_claims, empiar_xml_claims
from emasync.hooks.metadata.extract_idr import IdrRecords
from emasync.hooks.metadata.extract_registry import registry_claims
from emasync.hooks.metadata.scopes import Scopes

MAX_ANSWERS: Final = 100_000
"""Documents of a source that are read."""

DESCRIPTION: Final = "dataset_description.json"
_TABLES: Final = ("participants.tsv", "samples.tsv")

Extract = Callable[[Mapping[str, Any], Claims], None]


class Documents:
    """Reads documents into claims.

    Parameters
    ----------
    scopes : Scopes
        Grows.

    Attributes
    ----------
    notes : list of str
        What cannot be read.
    folders : list of str
        That documents about all in them lie in, below the dataset.
    """

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self.notes: list[str] = []
        self.folders: list[str] = []

    # --- of the source, beside the dataset -----------------------------------------------------------------------

    def take_answers(self, originals: LocalTree) -> None:
        """Read what sources keep: answers of APIs, records, entries of registries.

        Parameters
        ----------
        originals : LocalTree
        """
        for name in originals.names("empiar").objects[:MAX_ANSWERS]:
            place = join("empiar", name)
            if name.startswith("EMPIAR-") and name.endswith(".json"):
                self._json(originals, place, "api", "", empiar_claims)
            elif name.endswith(".xml"):
                self._bytes(originals, place, empiar_xml_claims)
        for name in originals.names("registry").objects[:MAX_ANSWERS]:
            self._bytes(originals, join("registry", name), registry_claims)
        self._take_idr(originals)
        self._take_dandi(originals)

    def _take_idr(self, originals: LocalTree) -> None:
        records = IdrRecords()
        for name in originals.names("idr").objects[:MAX_ANSWERS]:
            value = self._parsed(originals, join("idr", name))
            if value is not None:
                records.take(name, value)
        for claims in records.claims():
            self._keep(claims)

    def _take_dandi(self, originals: LocalTree) -> None:
        for name in originals.names("dandi").objects[:MAX_ANSWERS]:
            place = join("dandi", name)
            if name == "dandiset.json":
                self._json(originals, place, "api", "", dandiset_claims)
            elif name.startswith("assets-"):
                data = originals.document(place)
                for path, record in read_assets(data or b""):
                    self._scopes.add_record(path, record, asset_claims, place)

    # --- in the dataset ------------------------------------------------------------------------------------------

    def take_folder(self, folder: Folder, disk: LocalTree) -> None:
        """Read the sidecars that lie in a folder.

        Parameters
        ----------
        folder : Folder
        disk : LocalTree
            Of the dataset.
        """
        names = set(folder.documents)
        if names & {AGGREGATE, DESCRIPTION, *AIND_DOCUMENTS}:
            self.folders.append(folder.path)
        stems = {name.partition(".")[0]: name for name in folder.objects if not name.endswith((".json", ".tsv"))}
        for name in folder.documents:
            place = join(folder.path, name)
            if name in AIND_DOCUMENTS:
                self._json(disk, place, "sidecar", folder.path, AIND_DOCUMENTS[name])
            elif name == AGGREGATE:
                self._json(disk, place, "sidecar", folder.path, aggregate_claims(names))
            elif name == DESCRIPTION:
                self._json(disk, place, "sidecar", folder.path, bids_description)
            elif name in _TABLES:
                self._bytes(disk, place, bids_table, "sidecar", folder.path)
            elif name.endswith(".json") and name[: -len(".json")] in stems:
                scope = join(folder.path, stems[name[: -len(".json")]])
                self._json(disk, place, "sidecar", scope, bids_sidecar)

    def take_sidecar(self, place: str, disk: LocalTree) -> None:
        """Read a document among the folders of a hierarchy, where it is one that is known."""
        folder, name = parent_and_name(place)
        self.take_folder(Folder(folder, (name,), (name,)), disk)

    # --- one document --------------------------------------------------------------------------------------------

    def _json(self, tree: LocalTree, place: str, source: Source, scope: str, extract: Extract) -> None:
        value = self._parsed(tree, place)
        if value is None:
            return
        claims = Claims(source, place, scope)
        try:
            extract(value, claims)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            self.notes.append(
                f"{place} has a shape that is not known ({type(error).__name__}); what it says is left out"
            )
        self._keep(claims)

    def _bytes(
        self,
        tree: LocalTree,
        place: str,
        extract: Callable[[bytes, Claims], None],
        source: Source = "api",
        scope: str = "",
    ) -> None:
        data = tree.document(place, MAX_DOCUMENT_BYTES)
        claims = Claims(source, place, scope)
        if data is None:
            return
        try:
            extract(data, claims)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            self.notes.append(f"{place} cannot be read: {type(error).__name__}")
        self._keep(claims)

    def _parsed(self, tree: LocalTree, place: str) -> dict[str, Any] | None:
        """A JSON object (Any: JSON); what is none is noted."""
        data = tree.document(place, MAX_DOCUMENT_BYTES)
        if data is None:
            self.notes.append(f"{place} is longer than {MAX_DOCUMENT_BYTES:,} bytes, or gone; it is not read")
            return None
        try:
            return parse_object(place, data)
        except EmasyncError as error:
            self.notes.append(error.message)
            return None

    def _keep(self, claims: Claims) -> None:
        self._scopes.add(claims.found)
        self.notes.extend(claims.notes)
