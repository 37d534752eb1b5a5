"""Listens to a run, so that its report can say afterwards how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from emasync.assembly import Resources
from emasync.executors.interface import Executor
from emasync.hooks.receipt import RunFacts, rfc3339
from emasync.model.clock import Clock
from emasync.model.events import Event, EventValue, OnEvent
from emasync.model.run_record import MOST_HOSTS, MOST_WARNINGS, HostRecord, RunRecord, Sample, Series
from emasync.model.version import VERSION
from emasync.transport.interface import OriginStatistics

_LONGEST_WARNING: Final = 2_000
"""Characters that are kept of one."""


class Recorder:
    """An :data:`~emasync.model.events.OnEvent` that counts, and passes on what it hears.

    Parameters
    ----------
    on_event : callable
        Who listens besides.
    clock : Clock
    """

    def __init__(self, on_event: OnEvent, clock: Clock) -> None:
        self._on_event = on_event
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._series = Series()
        self._stalls: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()
        self._warnings: list[str] = []
        self._warned = 0

    def __repr__(self) -> str:
        return f"<Recorder {self._series!r}>"

    def begin(self) -> None:
        """The run begins now: what came before was reading manifests."""
        self._began_s = self._clock.monotonic_s()

    def __call__(self, event: Event) -> None:
        """Hear and pass on."""
        match event.event:
            case "progress":
                self._sample(event.fields)
            case "host":
                origin = str(event.fields["origin"])
                self._peaks[origin] = max(self._peaks[origin], _count(event.fields["in_flight"]))
            case "stalled":
                self._stalls[str(event.fields.get("origin", ""))] += 1
            case "warning" if "hook" not in event.fields:  # what hooks say is theirs to keep
                self._warn(str(event.fields.get("message", "")))
            case _:
                pass
        self._on_event(event)

    def _sample(self, fields: Mapping[str, EventValue]) -> None:
        received, placed = _count(fields["received_bytes"]), _count(fields["placed_objects"])
        self._series.add(Sample(self._after_s(), received, placed))

    def _after_s(self) -> float:
        return round(self._clock.monotonic_s() - self._began_s, 3)

    def _warn(self, message: str) -> None:
        self._warned += 1
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(message[:_LONGEST_WARNING])

    def record(self, facts: RunFacts, origins: Iterable[OriginStatistics], placed_objects: int) -> RunRecord:
        """What is left of the run, now that it is over.

        Parameters
        ----------
        facts : RunFacts
        origins : iterable of OriginStatistics
        placed_objects : int
            By this run.
        """
        self._series.add(Sample(self._after_s(), facts.totals.bytes_fetched, placed_objects))
        hosts = sorted((self._host(seen) for seen in origins), key=lambda host: -host.requests)
        return RunRecord(
            started=rfc3339(facts.started_s),
            wall_s=round(facts.finished_s - facts.started_s, 3),
            tool=f"emasync {VERSION}",
            manifest=facts.manifest,
            bytes_fetched=facts.totals.bytes_fetched,
            requests=facts.totals.requests,
            retries=facts.totals.retries,
            placed_bytes=facts.placed_bytes,
            samples=self._series.samples(),
            hosts=tuple(hosts[:MOST_HOSTS]),
            more_hosts=max(0, len(hosts) - MOST_HOSTS),
            warnings=tuple(self._warnings),
            more_warnings=self._warned - len(self._warnings),
            stopped=None if facts.stopped is None else facts.stopped.message,
            unreachable=facts.unreachable,
        )

    def _host(self, seen: OriginStatistics) -> HostRecord:
        return HostRecord(
            origin=seen.origin,
            requests=seen.requests,
            retries=seen.retries,
            stalls=self._stalls[seen.origin],
            received_bytes=seen.bytes_received,
            connections=self._peaks[seen.origin],
            cap=seen.cap,
        )


async def remember_run(resources: Resources, recorder: Recorder, facts: RunFacts, executor: Executor) -> None:
    """Leave a note of a run that did more than find everything in its place."""
    record = recorder.record(facts, executor.statistics().values(), executor.outcome.placed)
    if record.requests or record.placed_bytes or record.stopped:
        from emasync.hooks.run_notes import write_run  # noqa: PLC0415 - after the transfer

        await resources.threads.submit(write_run, resources.state_dir, record)


def _count(value: EventValue) -> int:
    return value if isinstance(value, int) else 0
