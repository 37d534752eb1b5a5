"""``layout: flexiznam``: ``<data root>/<project>/<mouse>/<session or sample>/<recording>/<dataset>``.

Where an object goes depends on what its source tells of the recording before the transfer. What was named once is
written down (:mod:`emasync.layouts.flexiznam.register`) before an object of it is, and stays named so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from emasync.errors import DestinationError, SourceError, TransportError
from emasync.layouts.flexiznam.names import HOME, is_top, kind_by_name
from emasync.layouts.flexiznam.register import REGISTER, Register, mice_in, page_place
from emasync.manifest.layout import FlexiznamLayout as Asked
from emasync.plan.flexiznam_naming import Naming, Settled
from emasync.plan.layout import Keeper
from emasync.plan.signs import INFO, N5_DOCUMENT, ZARR_DOCUMENTS
from emasync.plan.verdict import decisive
from emasync.sources.interface import FilesFound, Recorded, TellRecorded, Tree, TreeFound

_OF_ONE: Final = (SourceError, TransportError, DestinationError)
"""Errors that concern one finding, and no other."""

LOOKS_AT_ONCE: Final = 16
"""Folders of an asset that the source is asked for side by side."""

_NODE: Final = frozenset((*ZARR_DOCUMENTS, N5_DOCUMENT, INFO))
"""Documents that make a folder one store, which is not to be taken apart."""


class FlexiznamLayout:
    """Plans the tree; a :class:`~emasync.plan.layout.Layout` that has places only once it is settled.

    Parameters
    ----------
    asked : FlexiznamLayout
        The manifest's.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._keeper: Keeper | None = None
        self._register = Register()
        self._turn = asyncio.Lock()
        self._ahead: dict[tuple[str, type, str], Settled] = {}
        self._looked_at: dict[str, Sequence[FilesFound | TreeFound]] = {}

    def folder(self, _dataset: str) -> str:
        """One for all: assets of one dataset may be of several mice, some raw, some derived."""
        return HOME

    def tree(self, path: str) -> str:
        """The folder of all data.

        Raises
        ------
        DestinationError
            Another one: nothing has a place before it is settled.
        """
        return self.place(path) if path else ""

    def place(self, path: str) -> str:
        """Nowhere.

        Raises
        ------
        DestinationError
            Nothing has a place before it is settled.
        """
        raise DestinationError(f"{path}: this layout has no place for what no finding named", location=path)

    async def settle(self, dataset: str, found: FilesFound | TreeFound, keeper: Keeper) -> Settled:
        """Name the folders of one finding, and write that down.

        Findings that came with it are named as well, in their order, so that all is written at once: durable writes of
        a thousand assets, one after the other on a disk that takes in data, are minutes.

        Raises
        ------
        SourceError
            Neither the manifest nor the source tells what a name is made of; the register is broken.
        """
        told = await _told(found) if found.neighbours is None else None
        naming_key = (dataset, type(found), found.path)
        async with self._turn:  # what is written later holds all that was written before
            await self._read(keeper)
            if (settled := self._ahead.pop(naming_key, None)) is not None:
                return settled
            naming = Naming(self._asked, self._register, dataset)
            if found.neighbours is not None and self._looked_at.get(dataset) is not (others := found.neighbours()):
                self._looked_at[dataset] = others
                await self._look_ahead(naming, dataset, others)
                await self._write_down(keeper)
            settled = self._ahead.pop(naming_key, None)
            if settled is None:
                settled = await self._settled(naming, found, await _told(found) if told is None else told)
            await self._write_down(keeper)
        return settled

    async def places(self, dataset: str, keeper: Keeper) -> tuple[str, ...]:
        """Folders of the dataset among those of all others.

        Raises
        ------
        SourceError
            The register is broken.
        """
        async with self._turn:
            await self._read(keeper)
            return self._register.places(dataset)

    async def _look_ahead(self, naming: Naming, dataset: str, neighbours: Sequence[FilesFound | TreeFound]) -> None:
        """Name what was found together; what cannot be named says so in its turn."""
        self._ahead = {key: settled for key, settled in self._ahead.items() if key[0] != dataset}
        told = await _told_together(neighbours)
        for one in neighbours:
            if one.path in told:
                with suppress(*_OF_ONE):
                    settled = await self._settled(naming, one, told)
                    self._ahead[dataset, type(one), one.path] = settled

    async def _write_down(self, keeper: Keeper) -> None:
        try:
            for place, data in self._register.changes():
                await keeper.write(place, data)
        except BaseException:
            self._ahead.clear()  # none of them is written
            raise
        self._register.written()

    async def _read(self, keeper: Keeper) -> None:
        if keeper is not self._keeper:
            self._ahead.clear()
            self._looked_at.clear()
            mice = mice_in(await keeper.read(REGISTER))
            pages = {mouse: await keeper.read(page_place(mouse)) for mouse in mice}
            self._register, self._keeper = Register.read(pages), keeper

    async def _settled(
        self, naming: Naming, found: FilesFound | TreeFound, told: dict[str, Recorded | None]
    ) -> Settled:
        if found.recorded is not None and not found.path:
            return naming.files(told)
        recorded = told.get(found.path)
        if recorded is None:
            return naming.unrecorded(found.path)
        if isinstance(found, FilesFound):
            return naming.sidecars(found.path, recorded)
        top = await found.tree.children("") if found.asset and recorded.derived is None else None
        if top is None or _NODE.intersection(top.objects):
            return naming.whole(found.path, recorded)
        deep = dict.fromkeys(top.folders, True)
        if not is_top(naming.entity(recorded).path):
            shallow = [name for name in top.folders if kind_by_name(name) is None]
            deep |= await _depths(found.tree, shallow)
        return naming.asset(found.path, recorded, deep)


async def _told(found: FilesFound | TreeFound) -> dict[str, Recorded | None]:
    """What the source tells, by path below the dataset."""
    if found.recorded is None:
        return {}
    if isinstance(found, FilesFound) and not found.path:
        paths = [entry.key if entry.path is None else entry.path for entry in found.entries]
        return {path: await found.recorded(path) for path in paths}
    return {found.path: await found.recorded(found.path)}


async def _told_together(found: Sequence[FilesFound | TreeFound]) -> dict[str, Recorded | None]:
    """What the source tells of several findings, each path asked about once; those that it fails for are left out."""
    told: dict[str, Recorded | None] = {}

    async def tell(path: str, recorded: TellRecorded) -> None:
        with suppress(*_OF_ONE):
            told[path] = await recorded(path)

    tellers = {one.path: one.recorded for one in found if one.recorded is not None and one.path}
    async with asyncio.TaskGroup() as group:
        for path, recorded in tellers.items():
            group.create_task(tell(path, recorded))
    return told


async def _depths(tree: Tree, folders: Sequence[str]) -> dict[str, bool]:
    """Whether each folder is deep, some looked at side by side: the source is asked for each."""
    depths: dict[str, bool] = {}
    for first in range(0, len(folders), LOOKS_AT_ONCE):
        names = folders[first : first + LOOKS_AT_ONCE]
        try:
            async with asyncio.TaskGroup() as group:
                looks = {name: group.create_task(_is_deep(tree, name)) for name in names}
        except ExceptionGroup as failures:
            raise decisive(failures) from failures
        depths |= {name: look.result() for name, look in looks.items()}
    return depths


async def _is_deep(tree: Tree, folder: str) -> bool:
    """Whether a folder holds folders, or is a store: the tool would take what is in it for samples."""
    inside = await tree.children(folder)
    return bool(inside.folders) or not _NODE.isdisjoint(inside.objects)
