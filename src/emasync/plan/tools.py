"""What a compile is given: everything it may touch comes in here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Protocol, runtime_checkable

from emasync.disk.interface import Sink
from emasync.ledger.interface import LedgerCalls
from emasync.model.geometry import Box
from emasync.plan.guards import Guard
from emasync.plan.layout import Layout
from emasync.sources.interface import SourceContext

REMOVED = "withdrawn"
"""Begins the name that a file takes among the unfinished ones on its way out."""


class Documents(Protocol):
    """Small files of our own below the root."""

    async def read(self, destination: str) -> bytes | None:
        """Read a final file; None when there is none."""
        ...

    async def write(self, destination: str, data: bytes) -> None:
        """Write atomically and durably, replacing an older one."""
        ...


@runtime_checkable
class RemovesDocuments(Documents, Protocol):
    """Documents that can be taken away again."""

    async def remove(self, destination: str) -> None:
        """Remove a final file of ours."""
        ...


@runtime_checkable
class NotesDocuments(Documents, Protocol):
    """Documents that are taken note of, for a lock."""

    def resolve(self, dataset: str, facts: Mapping[str, str]) -> None:
        """Note what the source made of a dataset's entry."""
        ...

    def leave_out(self, destination: str) -> None:
        """Of this document it means nothing that it changes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTools:
    """Everything a compile works with.

    Attributes
    ----------
    context : SourceContext
        Network, policies, listener.
    ledger : LedgerCalls
    layout : Layout
    documents : Documents
    guard : Guard or None
        Checked after every page; None checks nothing (a preview reports instead).
    wake : callable
        Called when there may be new work: transfers start while listing goes on.
    refresh : bool
        List again what was planned to the end before, where it can change.
    metadata_only : bool
        Plan what describes datasets, and no bulk.
    boxes : mapping of str to mapping
        By dataset and image: box and scale that a lock has recorded, in place of those that would be drawn.
    """

    context: SourceContext
    ledger: LedgerCalls
    layout: Layout
    documents: Documents
    guard: Guard | None = None
    wake: Callable[[], None]
    refresh: bool = False
    metadata_only: bool = False
    boxes: Mapping[str, Mapping[str, tuple[Box, int]]] = field(default_factory=dict)


class SinkDocuments:
    """Documents in a sink; each call runs in a thread.

    Parameters
    ----------
    sink : Sink
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def read(self, destination: str) -> bytes | None:
        """Read a final file; None when there is none."""
        return await asyncio.to_thread(self._read, destination)

    def _read(self, destination: str) -> bytes | None:
        facts = self._sink.stat(destination)
        return None if facts is None else self._sink.read_final(destination, 0, facts.size_bytes)

    async def write(self, destination: str, data: bytes) -> None:
        """Write atomically and durably.

        Raises
        ------
        MachineError
            Disk full, no permission.
        DestinationError
            A folder or link lies there.
        """
        await asyncio.to_thread(self._sink.write_document, destination, data)

    async def remove(self, destination: str) -> None:
        """Remove a final file of ours.

        Raises
        ------
        MachineError
            No permission, I/O error.
        """
        await asyncio.to_thread(self._remove, destination)

    def _remove(self, destination: str) -> None:
        name = f"{REMOVED}-{token_hex(4)}"
        self._sink.retract(destination, name)
        self._sink.discard(name)
