"""Locks as files beside their manifests, and as descriptions of plans."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from emasync.disk.documents import read_document, write_document
from emasync.errors import InputError
from emasync.ledger.interface import PlanFacts
from emasync.manifest.manifest import Manifest
from emasync.model.geometry import Box
from emasync.model.version import VERSION
from emasync.plan.lock import Hurry, lock_of
from emasync.plan.lock_drift import Drift, drift_between
from emasync.plan.lock_file import DatasetLock, Lock, read_lock
from emasync.plan.lock_record import NotedDocuments
from emasync.plan.tools import PlanTools

SUFFIX = ".lock"


def lock_path(manifest: Manifest, named: Path | None) -> Path:
    """Where the lock of a manifest lies: ``manifest.lock`` beside ``manifest.yaml``.

    Raises
    ------
    InputError
        The manifest is no file, and no lock is named.
    """
    if named is not None:
        return named.expanduser()
    if manifest.file.startswith("<"):
        raise InputError(f"{manifest.file} lies in no folder that its lock could lie in; name a file for the lock")
    return Path(manifest.file).with_suffix(SUFFIX)


async def load_lock(manifest: Manifest, named: Path | None, wanted: Collection[str]) -> Lock:
    """Read the lock of a manifest, and make sure that it is its lock.

    Raises
    ------
    InputError
        It is not there, broken, of a newer schema, or another manifest's.
    """
    path = lock_path(manifest, named)
    try:
        text = await read_document(path)
    except InputError as error:
        raise InputError(
            f"{error.message}: no lock to hold to; `emasync plan --lock` makes one", location=str(path)
        ) from error
    lock = await asyncio.to_thread(read_lock, text, str(path))
    digests = {entry.id: entry.digest for entry in manifest.datasets if entry.id in wanted}
    lock.require(digests, [entry.id for entry in manifest.datasets], str(path))
    return lock


async def save_lock(manifest: Manifest, named: Path | None, datasets: Mapping[str, DatasetLock]) -> Path:
    """Write the lock of a manifest. Datasets that are not given are kept from the lock that is there.

    Raises
    ------
    InputError
        Some are not given, and the lock that is there is no use for them.
    MachineError
        No permission, disk full, no such folder.
    """
    path = lock_path(manifest, named)
    missing = [entry.id for entry in manifest.datasets if entry.id not in datasets]
    kept = (await load_lock(manifest, named, missing)).datasets if missing else {}
    lock = Lock(manifest=manifest.digest, tool=f"emasync {VERSION}", datasets={**kept, **datasets})
    await write_document(path, await asyncio.to_thread(lock.to_text))
    return path


async def describe(
    entries: Iterable[Any], tools: PlanTools, documents: NotedDocuments, hurry: Hurry
) -> dict[str, DatasetLock]:
    """Describe those of the plans that are complete (Any: each source has its own entry model)."""
    found = {}
    for entry in entries:
        facts: PlanFacts | None = await tools.ledger.call("plan_facts", entry.id)
        if facts is not None and facts.complete:
            found[entry.id] = await lock_of(entry, tools, documents, hurry)
    return found


def drifts(lock: Lock, found: Mapping[str, DatasetLock]) -> list[Drift]:
    """What differs from the lock."""
    compared = (drift_between(name, lock.datasets[name], now) for name, now in found.items())
    return [drift for drift in compared if drift is not None]


def boxes_of(lock: Lock) -> dict[str, dict[str, tuple[Box, int]]]:
    """Recorded boxes, by dataset and image."""
    return {
        name: {image: (chosen.box, chosen.scale) for image, chosen in dataset.boxes.items()}
        for name, dataset in lock.datasets.items()
    }
