"""Throughput against a source, within its policy and a budget, and the settings that came out best."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from typing import Any, Final

from emasync.api.bench_ladder import Ladder, Measured, first_part
from emasync.api.bench_load import Load, Purse
from emasync.api.bench_report import BenchReport, HostBench, host_key, part_size
from emasync.api.bench_sample import Found, Sample, Sampler
from emasync.api.blocking import blocking
from emasync.api.options import ManifestLike, RunOptions, load
from emasync.errors import InputError
from emasync.manifest.manifest import Manifest
from emasync.model.clock import Clock, SystemClock
from emasync.model.events import OnEvent, ignore_event
from emasync.model.location import Location
from emasync.settings import MIB, Settings
from emasync.transport.governed import GovernedFetcher

BUDGET_BYTES: Final = 512 * MIB
TIME_S: Final = 60.0

LEAST_STEP_S: Final = 1.0
"""Shorter windows measure how connections are made."""

PLANNING: Final = 0.25
"""Most of the time that planning may take."""

OnMeasured = Callable[["Sample", Measured], None]


def bench(
    source: ManifestLike,
    *,
    budget_bytes: int = BUDGET_BYTES,
    time_s: float = TIME_S,
    on_event: OnEvent = ignore_event,
    on_measured: OnMeasured | None = None,
    options: RunOptions | None = None,
) -> BenchReport:
    """Measure how fast a source gives data, with more and more connections; blocks.

    Connections double from one up to the policy's ``max_connections`` as long as that brings 5 % more; then parts
    of other sizes are tried for large objects. All policies hold as in a run: limits, Retry-After, back-off. Nothing
    is written but a temporary ledger of the plan.

    Parameters
    ----------
    source : path, mapping, Manifest or URL
        A URL (``s3://``, ``gs://``, ``http(s)://``, ``file://``) of an object or of a prefix.
    budget_bytes : int
        Most bytes of data that are asked for.
    time_s : float
        Seconds for everything, planning included.
    on_event : callable
        Told of retries, warnings and failures.
    on_measured : callable, optional
        Told each sample and setting as soon as it is measured.
    options : RunOptions, optional
        ``only``, ``mirrors`` and ``max_bandwidth`` count.

    Returns
    -------
    BenchReport
        ``report.problem`` tells why nothing could be measured.

    Raises
    ------
    InputError
        The URL, manifest or budget is wrong; nothing was contacted.
    """
    return blocking(
        lambda: abench(
            source,
            budget_bytes=budget_bytes,
            time_s=time_s,
            on_event=on_event,
            on_measured=on_measured,
            options=options,
        )
    )


async def abench(
    source: ManifestLike,
    *,
    budget_bytes: int = BUDGET_BYTES,
    time_s: float = TIME_S,
    on_event: OnEvent = ignore_event,
    on_measured: OnMeasured | None = None,
    options: RunOptions | None = None,
    clock: Clock | None = None,
) -> BenchReport:
    """As :func:`bench`, for the loop of the caller.

    Parameters
    ----------
    clock : Clock, optional
        What windows, budgets and the transport are timed with.
    """
    if budget_bytes <= 0 or time_s <= 0:
        raise InputError("a bench needs a budget of bytes and of time; both are more than zero")
    options = options if options is not None else RunOptions()
    manifests = await asyncio.to_thread(lambda: tuple(manifests_of(source)))
    bench = _Bench(
        budget_bytes=budget_bytes,
        time_s=time_s,
        on_event=on_event,
        on_measured=on_measured,
        options=options,
        clock=clock if clock is not None else SystemClock(),
    )
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else manifests[0].file
    return await bench.run(name, manifests)


def manifests_of(source: ManifestLike) -> Iterator[Manifest]:
    """The manifests that `source` may mean, to be tried in turn.

    Parameters
    ----------
    source : path, mapping, Manifest or URL
        An http(s) URL may be a prefix or an object of a bucket, or any file.

    Raises
    ------
    InputError
    """
    if not isinstance(source, str) or "://" not in source:
        yield load(source)
        return
    location = Location.parse(source)
    web: dict[str, object] = {"source": "web", "files": [{"url": source}]}
    bucket: dict[str, object] = {"source": "bucket", "format": "raw", "url": source}
    plain = location.scheme in ("http", "https") and not location.path.endswith("/")
    for kind in [web] if location.query else [bucket, web] if plain else [bucket]:
        yield load({"version": 1, "datasets": [{"id": "bench", **kind}]})


@dataclass(slots=True, kw_only=True)
class _Bench:
    """One bench on its way."""

    budget_bytes: int
    time_s: float
    on_event: OnEvent
    on_measured: OnMeasured | None
    options: RunOptions
    clock: Clock
    _end_s: float = 0.0
    _purse: Purse = field(default_factory=lambda: Purse(0))

    async def run(self, source: str, manifests: Sequence[Manifest]) -> BenchReport:
        began_s = self.clock.monotonic_s()
        self._end_s, self._purse = began_s + self.time_s, Purse(self.budget_bytes)
        for manifest in manifests:
            settings = self.options.settings(manifest.settings)
            async with GovernedFetcher(settings, clock=self.clock, on_event=self.on_event) as fetcher:
                found = await self._sample(manifest, settings, fetcher)
                await self.clock.sleep(min(_held_s(fetcher, self.clock), self._left_s))
                access = dict(fetcher.granted)
            if found.samples:
                break
        hosts, problem = await self._measure(found, settings, access) if found.samples else ((), _nothing(found))
        return BenchReport(
            source=source,
            hosts=hosts,
            bytes=self.budget_bytes - self._purse.left_bytes,
            seconds=self.clock.monotonic_s() - began_s,
            failures=found.failures,
            problem=None if any(host.best for host in hosts) else problem or "no byte came within the budget",
        )

    @property
    def _left_s(self) -> float:
        return max(0.0, self._end_s - self.clock.monotonic_s())

    async def _sample(self, manifest: Manifest, settings: Settings, fetcher: GovernedFetcher) -> Found:
        sampler = Sampler(
            fetcher=fetcher,
            settings=settings,
            clock=self.clock,
            on_event=self.on_event,
            limit_s=PLANNING * self._left_s,
        )
        return await sampler.take(manifest, manifest.only(self.options.wanted(manifest)))

    async def _measure(
        self, found: Found, settings: Settings, access: Mapping[str, Any]
    ) -> tuple[tuple[HostBench, ...], str | None]:
        """Any: :class:`~emasync.transport.interface.BucketAccess`."""
        climbs = [_Climb.of(sample, settings, self.budget_bytes // len(found.samples)) for sample in found.samples]
        async with GovernedFetcher(_unbridled(settings, climbs), clock=self.clock, on_event=self.on_event) as fetcher:
            for origin, row in access.items():
                fetcher.grant(origin, row)
            for number, climb in enumerate(climbs):
                await self._climb(climb, fetcher, sum(later.ladder.left for later in climbs[number + 1 :]))
        problems = [climb.problem for climb in climbs if climb.problem is not None]
        return tuple(climb.result() for climb in climbs), problems[0] if problems else None

    async def _climb(self, climb: _Climb, fetcher: GovernedFetcher, steps_after: int) -> None:
        """Measure one setting of a sample after the other."""
        load, last = Load(climb.sample, fetcher, self.clock, self._purse, end_s=self._end_s), None
        while (setting := climb.ladder.next(last)) is not None:
            steps = climb.ladder.left + steps_after
            if self._left_s <= 0 or self._purse.left_bytes < max(1, setting.least_bytes):
                missing = "time" if self._left_s <= 0 else "bytes"
                climb.notes.append(
                    f"not measured for want of {missing}: {_told(setting.connections, setting.part_bytes)}"
                )
                last = None
                continue
            share_s = min(self._left_s, max(LEAST_STEP_S, self._left_s / steps))
            last = await load.measure(setting, share_bytes=self._purse.left_bytes // steps, share_s=share_s)
            climb.steps.append(last)
            if self.on_measured is not None:
                self.on_measured(climb.sample, last)
        climb.problem = None if load.problem is None else load.problem.message


@dataclass(slots=True, kw_only=True)
class _Climb:
    """One sample, its ladder, and what was measured."""

    sample: Sample
    cap: int
    ladder: Ladder
    steps: list[Measured] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str | None = None

    @classmethod
    def of(cls, sample: Sample, settings: Settings, budget_bytes: int) -> _Climb:
        policy = settings.policy(sample.host)
        cap, part = policy.max_connections, None
        if sample.kind == "large":
            part = first_part(budget_bytes, cap=cap, part_bytes=policy.part_bytes)
        return cls(sample=sample, cap=cap, ladder=Ladder(cap=cap, first_part_bytes=part))

    def result(self) -> HostBench:
        return HostBench(
            origin=self.sample.origin,
            key=host_key(self.sample.host),
            kind=self.sample.kind,
            objects=len(self.sample.items),
            cap=self.cap,
            steps=tuple(self.steps),
            best=self.ladder.best,
            notes=tuple(self.notes),
        )


def _unbridled(settings: Settings, climbs: Sequence[_Climb]) -> Settings:
    """Settings under which an origin's limit is the cap at once: how many requests are sent is the ladder's to say."""
    hosts = dict(settings.hosts)
    for climb in climbs:
        key = escape(climb.sample.origin)
        hosts[key] = {**hosts.get(key, {}), "max_connections": climb.cap, "start_connections": climb.cap}
    return replace(settings, hosts=hosts)


def _held_s(fetcher: GovernedFetcher, clock: Clock) -> float:
    """How long the servers asked to be left alone while planning."""
    holds = (origin.held_until_s for origin in fetcher.statistics().values())
    return max((hold_s - clock.monotonic_s() for hold_s in holds if hold_s is not None), default=0.0)


def _nothing(found: Found) -> str:
    if found.failures:
        return found.failures[0].message
    return "planning found no object of known size in time; give more --time, or name a file"


def _told(connections: int, part_bytes: int | None) -> str:
    return f"{connections} connections" + ("" if part_bytes is None else f", parts of {part_size(part_bytes)}")
