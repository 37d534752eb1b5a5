"""Documents of a source, as received, beside the dataset: hooks and later tools read them."""

from __future__ import annotations

from emasync.plan.intake import Intake
from emasync.plan.tools import Documents, NotesDocuments
from emasync.sources.interface import Kept


async def keep_document(intake: Intake, kept: Kept, documents: Documents) -> None:
    """Keep a document below ``<dataset>.source-metadata/``; one that lies there unchanged is not written again.

    Parameters
    ----------
    intake : Intake
        Of the dataset.
    kept : Kept
    documents : Documents

    Raises
    ------
    DestinationError
        The layout has no place for its name.
    MachineError
        Disk full, no permission.
    """
    destination = intake.kept(kept.name)
    if await documents.read(destination) != kept.data:
        await documents.write(destination, kept.data)
    if isinstance(documents, NotesDocuments):
        documents.resolve(intake.dataset, kept.resolved)
        if kept.aside:
            documents.leave_out(destination)
