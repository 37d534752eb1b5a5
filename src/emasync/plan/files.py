"""Files that a source names one by one."""

from __future__ import annotations

from typing import Any

from emasync.manifest.globs import Selection
from emasync.model.task import ObjectEntry
from emasync.plan.intake import Intake, Shelf
from emasync.sources.interface import FilesFound

MAY_BE_MISSING_ASSET = ":may-be-missing"
"""Asset of the set of files whose permanent 404 the manifest accepts (``allow_missing``)."""


class FileShelves:
    """Sets of named files: one a base, and one more for files that may be missing.

    Parameters
    ----------
    intake : Intake
    entry : manifest entry
        Any: each source has an entry model of its own; ``selection`` and ``allow_missing`` are in all of them.
    """

    def __init__(self, intake: Intake, entry: Any) -> None:
        self._intake = intake
        self._globs: Selection = entry.selection
        self._optional = Selection(entry.allow_missing) if entry.allow_missing else None
        self._open: dict[int, Shelf] = {}

    async def take(self, found: FilesFound) -> None:
        """Admit one page; what the globs leave out is left out.

        Raises
        ------
        MachineError
            A guard does not hold.
        """
        wanted = [item for item in found.entries if self._globs.wants(path_of(item))]
        optional = [item for item in wanted if self._optional is not None and self._optional.wants(path_of(item))]
        if optional:
            names = {item.key for item in optional}
            wanted = [item for item in wanted if item.key not in names]
            await self._admit(found, optional, absent_ok=True)
        await self._admit(found, wanted, absent_ok=False)

    async def _admit(self, found: FilesFound, entries: list[ObjectEntry], *, absent_ok: bool) -> None:
        if not entries:
            return
        asset = found.asset + (MAY_BE_MISSING_ASSET if absent_ok else "")
        shelf = await self._intake.below(found.path).shelf(
            found.base, asset=asset, rank=found.rank, encoded=found.encoded, absent_ok=absent_ok
        )
        self._open[shelf.set_id] = shelf
        await self._intake.add(shelf, entries)

    async def finish(self) -> None:
        """All files are named."""
        for shelf in self._open.values():
            await self._intake.finish(shelf)


def path_of(item: ObjectEntry) -> str:
    """Path below the dataset, as the source names it."""
    return item.path if item.path is not None else item.key
