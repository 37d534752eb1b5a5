"""Takes note of the documents that a plan is made from, while it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from emasync.model.cut import BOXES
from emasync.plan.layout import SOURCE_METADATA
from emasync.plan.lock_tree import DIGEST_BYTES
from emasync.plan.tools import Documents, RemovesDocuments
from emasync.plan.written import RECORD

_INSIDE = f"{SOURCE_METADATA}/"


@dataclass(slots=True)
class PlanNotes:
    """What was noted of one dataset (mutable).

    Attributes
    ----------
    documents : dict of str to (int, bytes)
        Size in bytes and digest, by name below ``<id>.source-metadata``: about 200 bytes a document.
    resolved : dict of str to str
    boxes : bytes or None
        The document of its boxes.
    """

    documents: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)
    boxes: bytes | None = None


class NotedDocuments:
    """Documents that remember what was read or written beside datasets: what a plan leaves there.

    Parameters
    ----------
    documents : Documents
        Where they go.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._notes: dict[str, PlanNotes] = {}

    def notes(self, dataset: str) -> PlanNotes:
        """What was noted of a dataset."""
        return self._notes.setdefault(dataset, PlanNotes())

    async def read(self, destination: str) -> bytes | None:
        """See :class:`~emasync.plan.tools.Documents`."""
        data = await self._documents.read(destination)
        if data is not None:
            self._note(destination, data)
        return data

    async def write(self, destination: str, data: bytes) -> None:
        """See :class:`~emasync.plan.tools.Documents`."""
        self._note(destination, data)
        await self._documents.write(destination, data)

    async def remove(self, destination: str) -> None:
        """See :class:`~emasync.plan.tools.RemovesDocuments`."""
        if isinstance(self._documents, RemovesDocuments):
            await self._documents.remove(destination)

    def resolve(self, dataset: str, facts: Mapping[str, str]) -> None:
        """Note what a source made of its entry."""
        self.notes(dataset).resolved.update(facts)

    def leave_out(self, destination: str) -> None:
        """Forget a document that says more than what was asked for."""
        dataset, _, name = destination.partition(_INSIDE)
        self.notes(dataset).documents.pop(name, None)

    def _note(self, destination: str, data: bytes) -> None:
        dataset, inside, name = destination.partition(_INSIDE)
        if not inside or name == RECORD:
            return
        if name == BOXES:
            self.notes(dataset).boxes = data
        else:
            self.notes(dataset).documents[name] = (len(data), blake2b(data, digest_size=DIGEST_BYTES).digest())
