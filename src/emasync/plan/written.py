"""Documents that we write ourselves: metadata of subsets, and the originals beside them.

They are no objects of the ledger, because nothing of theirs is fetched: so a record beside the originals says what
was written, and a later run restores what is missing from it, without a request.

The order of writing makes every crash harmless: originals, then the record, then the documents; the plan is complete
only after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from emasync.errors import DestinationError, ErrorKind
from emasync.plan.intake import Intake
from emasync.plan.layout import kept_place
from emasync.plan.tools import Documents, RemovesDocuments

if TYPE_CHECKING:
    from emasync.plan.subset import Rewritten

RECORD = "subset.json"
"""Name of the record inside ``<dataset>.source-metadata/``; no metadata document of any format has it."""

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRecord:
    """What was written for a dataset.

    Attributes
    ----------
    digest : str
        Of the manifest entry it was written for.
    documents : mapping of str to str
        Text by path below the dataset's folder.
    former : mapping of str to str
        What an earlier plan wrote and this one does not; it may lie there still, and may be replaced.
    """

    digest: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As JSON."""
        data: dict[str, object] = {"version": VERSION, "digest": self.digest, "documents": dict(self.documents)}
        data["former"] = dict(self.former)
        return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, data: bytes | None) -> WrittenRecord:
        """Read a record; one that cannot be read counts as none, and is written again."""
        try:
            value: Any = orjson.loads(data or b"{}")  # Any: JSON, checked below
        except orjson.JSONDecodeError:
            return cls()
        if not isinstance(value, dict) or value.get("version") != VERSION:
            return cls()
        return cls(
            digest=str(value.get("digest")),
            documents=_texts(value.get("documents")),
            former=_texts(value.get("former")),
        )

    @property
    def ours(self) -> dict[str, str]:
        """All that we wrote and that may lie there."""
        return {**self.former, **self.documents}


def _texts(value: object) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {path: text for path, text in items if isinstance(path, str) and isinstance(text, str)}


def record_path(dataset: str) -> str:
    """Where the record of a dataset lies, relative to the root."""
    return kept_place(dataset, RECORD)


async def keep_sources(intake: Intake, originals: Mapping[str, bytes], documents: Documents) -> None:
    """Keep metadata documents as the source gave them, beside the dataset.

    Parameters
    ----------
    intake : Intake
    originals : mapping of str to bytes
        By key.
    documents : Documents
    """
    for key, data in sorted(originals.items()):
        destination = intake.kept(key)
        if await documents.read(destination) != data:
            await documents.write(destination, data)


async def write_subset(intake: Intake, rewritten: Iterable[Rewritten], digest: str, documents: Documents) -> None:
    """Write the metadata of a subset, and the record even where nothing changes: a later run looks for it.

    Parameters
    ----------
    intake : Intake
    rewritten : iterable of Rewritten
    digest : str
        Of the manifest entry.
    documents : Documents

    Raises
    ------
    DestinationError
        ``destination_exists``: a file that is not ours lies in the place of one of the documents.
    """
    items = {within(intake, item.key): item for item in rewritten}
    before = WrittenRecord.from_bytes(await documents.read(record_path(intake.dataset)))
    for path, item in items.items():
        if path not in before.ours:
            await require_replaceable(f"{intake.home}/{path}", item, documents)
    # trees of one dataset share the record
    kept = before.documents if before.digest == digest else {}
    texts = {**kept, **{path: item.data.decode() for path, item in items.items()}}
    former = {path: text for path, text in before.ours.items() if path not in texts}
    record = WrittenRecord(digest=digest, documents=texts, former=former)
    await documents.write(record_path(intake.dataset), record.to_bytes())
    # before the file changes: an earlier plan may have fetched the original to this very place
    await intake.forget([f"{intake.home}/{path}" for path in items])
    for path, item in items.items():
        await documents.write(f"{intake.home}/{path}", item.data)
    intake.count_written(len(items))


async def make_way(intake: Intake, wanted: Mapping[str, bytes], documents: Documents) -> None:
    """Take back what an earlier plan wrote where this one fetches the source's own documents.

    Parameters
    ----------
    intake : Intake
    wanted : mapping of str to bytes
        Documents that are fetched, by key.
    documents : Documents
        One that cannot remove leaves all of it; the transfer then says what lies in its way.
    """
    former = WrittenRecord.from_bytes(await documents.read(record_path(intake.dataset))).former
    if not former or not isinstance(documents, RemovesDocuments):
        return
    for key, data in wanted.items():
        path = within(intake, key)
        text = former.get(path, "").encode()
        if text and text != data and await documents.read(f"{intake.home}/{path}") == text:
            await documents.remove(f"{intake.home}/{path}")


def within(intake: Intake, key: str) -> str:
    """Path of a tree's key below the dataset's folder."""
    place = intake.place(key)
    return f"{intake.path}/{place}" if intake.path else place


async def require_replaceable(destination: str, item: Rewritten, documents: Documents) -> None:
    """Refuse to replace what somebody else put there; the original itself is kept elsewhere and may go.

    Raises
    ------
    DestinationError
        ``destination_exists``.
    """
    there = await documents.read(destination)
    if there is not None and there not in (item.data, item.original):
        raise DestinationError(
            f"{destination} is there and not ours; metadata of the subset belongs there: move it away, then run again",
            kind=ErrorKind.DESTINATION_EXISTS,
            location=destination,
        )


async def restore_subset(dataset: str, folder: str, digest: str, documents: Documents) -> bool:
    """Write again what is missing of a subset's metadata, from the record: no request.

    Parameters
    ----------
    dataset : str
    folder : str
        Of its data, relative to the root.
    digest : str
        Of the manifest entry.
    documents : Documents

    Returns
    -------
    bool
        Whether there is a record of this plan; without one only a new plan can tell.
    """
    record = WrittenRecord.from_bytes(await documents.read(record_path(dataset)))
    if record.digest != digest:
        return False
    for path, text in record.documents.items():
        if await documents.read(f"{folder}/{path}") is None:
            await documents.write(f"{folder}/{path}", text.encode())
    return True


async def withdraw_subset(intake: Intake, digest: str, documents: Documents) -> None:
    """Take back what an earlier plan wrote: this one wants the source's own metadata in its place.

    What somebody changed since stays, and lies in the way.

    Parameters
    ----------
    intake : Intake
    digest : str
        Of the manifest entry.
    documents : Documents
        One that cannot remove leaves all of it; the transfer then says what lies in its way.
    """
    record = WrittenRecord.from_bytes(await documents.read(record_path(intake.dataset)))
    if not record.ours or record.digest == digest or not isinstance(documents, RemovesDocuments):
        return
    destinations = {f"{intake.home}/{path}": text for path, text in record.ours.items()}
    await intake.forget(list(destinations))
    for destination, text in destinations.items():
        if await documents.read(destination) == text.encode():
            await documents.remove(destination)
    await documents.write(record_path(intake.dataset), WrittenRecord(digest=digest).to_bytes())


class MemoryDocuments:
    """Documents that go nowhere: for a plan that writes nothing."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}

    async def read(self, destination: str) -> bytes | None:
        """What was written before."""
        return self._documents.get(destination)

    async def write(self, destination: str, data: bytes) -> None:
        """Remember it."""
        self._documents[destination] = data

    async def remove(self, destination: str) -> None:
        """Forget it."""
        del self._documents[destination]
