"""One root, one layout: what was laid out otherwise before is refused, and not moved, fetched again or mixed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from emasync.assembly import Resources
from emasync.errors import InputError
from emasync.hooks.receipt import RECEIPT
from emasync.layouts.record import MIRROR, RECORD, LaidOut, LayoutRecord
from emasync.manifest.manifest import Manifest
from emasync.plan.layout import Keeper, layout_for
from emasync.plan.tools import Documents, SinkDocuments
from emasync.plan.written import MemoryDocuments


async def hold_layout(resources: Resources, manifest: Manifest, wanted: Collection[str]) -> None:
    """Refuse a manifest whose layout is not the root's; write down what the root has none of yet.

    Parameters
    ----------
    resources : Resources
    manifest : Manifest
    wanted : collection of str
        Ids of the datasets that are to be planned.

    Raises
    ------
    InputError
        The root, or one of its datasets, is laid out otherwise.
    MachineError
        Disk full, no permission.
    """
    documents = SinkDocuments(resources.sink)
    data = await documents.read(RECORD)
    record = LayoutRecord.from_bytes(data)
    if data is None and manifest.layout.kind != MIRROR and await _is_used(resources, documents):
        raise _other(resources.root, "kind: mirror", f"kind: {manifest.layout.kind}")
    if data is not None:
        await _require_same(resources.root, record, manifest, wanted, documents)
    if manifest.layout.kind == MIRROR:
        return
    new = LayoutRecord(
        kind=manifest.layout.kind,
        folders=dict(resources.outlying.folders),
        token=resources.outlying.token,
        options=manifest.layout.free_options,
        datasets={**record.datasets, **{name: _laid_out(name, manifest) for name in wanted}},
    )
    if new.to_bytes() != data:
        await documents.write(RECORD, new.to_bytes())


def _laid_out(dataset: str, manifest: Manifest) -> LaidOut:
    return LaidOut(folder=layout_for(manifest.layout).folder(dataset), naming=manifest.layout.naming)


async def _is_used(resources: Resources, documents: SinkDocuments) -> bool:
    """Whether a run was here before; files outlive ledgers."""
    return bool(await resources.ledger.call("tallies")) or await documents.read(RECEIPT) is not None


def outside(manifest: Manifest) -> dict[str, str]:
    """Folders outside the root that a manifest lays data into; reads links, so in a thread."""
    return {place: str(path) for place, path in manifest.layout.folders(manifest.folder).items()}


async def _require_same(
    root: Path, record: LayoutRecord, manifest: Manifest, wanted: Collection[str], keeper: Keeper
) -> None:
    """A dataset of which nothing has a place yet may be laid out otherwise: what a first run lacked is named now."""
    if record.kind != manifest.layout.kind:
        raise _other(root, f"kind: {record.kind}", f"kind: {manifest.layout.kind}")
    layout = layout_for(manifest.layout)
    for name in wanted:
        known = record.datasets.get(name)
        if known is None or dict(known.naming) == manifest.layout.naming:
            continue
        if await layout.places(name, keeper) != ():
            raise _other(root, f"{name}: {_words(known.naming)}", f"{name}: {_words(manifest.layout.naming)}")


def _words(options: Mapping[str, Any]) -> str:
    """Options in a message (Any: each layout has its own)."""
    return ", ".join(f"{key}: {value}" for key, value in options.items())


def _other(root: Path, there: str, asked: str) -> InputError:
    return InputError(
        f"{root} is laid out with {there}, and the manifest asks for {asked}: nothing is moved. Use the layout that "
        "the root has, name another root (--root), or remove the dataset first (emasync prune --drop)"
    )


async def look_at_layout(root: Path, manifest: Manifest, wanted: Collection[str]) -> None:
    """As :func:`hold_layout`, as far as can be told without opening the root; nothing is written.

    Raises
    ------
    InputError
    """
    there, names = FolderDocuments(root), MemoryDocuments()
    data = await there.read(RECORD)
    if data is not None:
        await take_names_from(there, names)
        await _require_same(root, LayoutRecord.from_bytes(data), manifest, wanted, names)
    elif manifest.layout.kind != MIRROR and await there.read(RECEIPT) is not None:
        raise _other(root, "kind: mirror", f"kind: {manifest.layout.kind}")


async def take_names_from(known: Reads, documents: Documents) -> None:
    """Let a plan beside a root begin with the names that were given in it."""
    from emasync.layouts.flexiznam.register import REGISTER, mice_in, page_place  # noqa: PLC0415 - a run begins without

    listed = await known.read(REGISTER)
    for place in (REGISTER, *map(page_place, mice_in(listed))):
        data = await known.read(place)
        if data is not None:
            await documents.write(place, data)


class Reads(Protocol):
    """Documents that can be read."""

    async def read(self, destination: str) -> bytes | None:
        """Read a final file; None when there is none."""
        ...


class FolderDocuments:
    """Documents of a root that is not opened.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def read(self, destination: str) -> bytes | None:
        """Read a final file; None when there is none that can be read."""
        try:
            return await asyncio.to_thread((self._root / destination).read_bytes)
        except OSError:
            return None


async def forget_layout(documents: SinkDocuments, datasets: Collection[str]) -> None:
    """Drop datasets of which nothing is left: they may be laid out otherwise next time.

    Raises
    ------
    MachineError
        Disk full, no permission.
    """
    data = await documents.read(RECORD)
    if data is None or not datasets:
        return
    record = LayoutRecord.from_bytes(data)
    left = {name: naming for name, naming in record.datasets.items() if name not in datasets}
    if left != record.datasets:
        await documents.write(RECORD, replace(record, datasets=left).to_bytes())
