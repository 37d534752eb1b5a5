"""Progress events twice a second; hosts, the snapshot for ``status`` and a due copy of the ledger once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count
from typing import Final

from emasync.assembly import Resources
from emasync.errors import MachineError
from emasync.executors.interface import Executor
from emasync.ledger.backup import Backups
from emasync.ledger.interface import Tally
from emasync.ledger.snapshot import write_snapshot
from emasync.ledger.store import SqliteLedger
from emasync.model.events import Event, EventValue, OnEvent
from emasync.model.task import State
from emasync.transport.interface import OriginStatistics

_log = logging.getLogger("emasync")

TICK_S: Final = 0.5
TICKS_A_NOTE: Final = 2

MOST_HOSTS: Final = 100
"""Origins in a snapshot; events name all."""

WANTED = (State.PENDING, State.SEALED, State.PLACED, State.FAILED)


class Ticker:
    """Tells how far a run is.

    Parameters
    ----------
    resources : Resources
    executor : Executor
        Whose counts are told.
    on_event : callable
    """

    def __init__(self, resources: Resources, executor: Executor, on_event: OnEvent) -> None:
        self._resources = resources
        self._executor = executor
        self._on_event = on_event
        self._received = 0
        self._told: dict[str, tuple[int, int]] = {}
        self._backups = Backups(resources.state_dir, resources.clock)

    async def run(self) -> None:
        """Tick until cancelled."""
        for number in count():
            await self._resources.clock.sleep(TICK_S)
            tallies: list[Tally] = await self._resources.ledger.call("tallies")
            outcome = self._executor.outcome
            received = outcome.bytes_received
            of_this_run: dict[str, EventValue] = {
                "received_bytes": received,
                "placed_objects": outcome.placed,
                "races": outcome.races,
                "races_won": outcome.races_won,
                "raced_bytes": outcome.raced_bytes,
            }
            progress = {**progress_of(tallies, (received - self._received) / TICK_S), **of_this_run}
            self._received = received
            self._on_event(Event("progress", progress))
            if number % TICKS_A_NOTE:
                continue
            hosts = self._tell_hosts()
            await _write(self._resources, tallies, {"running": True, **progress, "hosts": hosts})
            await _copy(self._resources, self._backups.at_epoch)

    def _tell_hosts(self) -> list[EventValue]:
        """An event for each origin that was asked something since the last one, or whose limit moved; gives all."""
        rows: list[EventValue] = []
        for origin, seen in self._executor.statistics().items():
            fields = _host_fields(seen)
            if (seen.requests, seen.limit) != self._told.get(origin, (0, seen.limit)):
                self._told[origin] = (seen.requests, seen.limit)
                self._on_event(Event("host", fields))
            if len(rows) < MOST_HOSTS:
                rows.append(fields)
        return rows


def _host_fields(seen: OriginStatistics) -> dict[str, EventValue]:
    return {
        "origin": seen.origin,
        "in_flight": seen.in_flight,
        "limit": seen.limit,
        "cap": seen.cap,
        "phase": seen.phase,
        "goodput_bytes_per_s": round(seen.goodput_bytes_per_s),
        "waiting": seen.waiting,
        "requests": seen.requests,
        "retries": seen.retries,
        "received_bytes": seen.bytes_received,
    }


async def last_backup(resources: Resources) -> None:
    """The copy of a ledger outside the root that a run leaves in the root."""
    await _copy(resources, Backups(resources.state_dir, resources.clock).now)


async def _copy(resources: Resources, copy: Callable[[SqliteLedger], bool]) -> None:
    try:
        await resources.ledger.call(copy)
    except MachineError as error:  # the ledger itself is well; the next run copies it
        _log.warning("the root got no new copy of its ledger: %s", error)


async def last_snapshot(resources: Resources) -> None:
    """The snapshot that a run leaves behind."""
    tallies: list[Tally] = await resources.ledger.call("tallies")
    await _write(resources, tallies, {"running": False, **progress_of(tallies, 0.0)})


async def _write(resources: Resources, tallies: list[Tally], extra: dict[str, EventValue]) -> None:
    try:
        await resources.threads.submit(write_snapshot, resources.state_dir, tallies, extra)
    except OSError as error:
        _log.warning("no snapshot for `status` could be written: %s", error)


def progress_of(tallies: list[Tally], bytes_per_s: float) -> dict[str, EventValue]:
    """Sums over all datasets.

    Parameters
    ----------
    bytes_per_s : float
        Received lately.
    """
    return {
        "objects_done": sum(tally.objects.get(State.PLACED, 0) for tally in tallies),
        "objects_total": sum(tally.objects.get(state, 0) for tally in tallies for state in WANTED),
        "bytes_done": sum(tally.bytes.get(State.PLACED, 0) for tally in tallies),
        "bytes_total": sum(tally.bytes.get(state, 0) for tally in tallies for state in WANTED),
        "failed": sum(tally.objects.get(State.FAILED, 0) for tally in tallies),
        "planned": all(tally.planned for tally in tallies),
        "bytes_per_s": bytes_per_s,
    }
