"""What a bench found, for programs and for a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emasync.api.bench_ladder import Measured
from emasync.api.bench_sample import Kind
from emasync.model.location import Location
from emasync.model.receipt import Failure
from emasync.settings import KIB, MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class HostBench:
    """What was measured of one origin.

    Attributes
    ----------
    origin : str
    key : str
        Of the host in a manifest; empty for local files, which have none.
    kind : {"large", "small"}
    objects : int
        In the sample.
    cap : int
        Most connections that the policy allows.
    steps : tuple of Measured
        In the order they were made.
    best : Measured or None
        None: nothing came.
    notes : tuple of str
        What was left out, and why.
    """

    origin: str
    key: str
    kind: Kind
    objects: int
    cap: int
    steps: tuple[Measured, ...]
    best: Measured | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """What a bench found.

    Attributes
    ----------
    source : str
        As it was given.
    hosts : tuple of HostBench
    bytes : int
        Paid for: all data that was asked for. Listings and metadata come on top.
    seconds : float
    failures : tuple of Failure
        Datasets that could not be planned.
    problem : str or None
        Why nothing could be measured.
    """

    source: str
    hosts: tuple[HostBench, ...]
    bytes: int
    seconds: float
    failures: tuple[Failure, ...] = ()
    problem: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The ``settings:`` of a manifest that this speaks for (Any: YAML values); empty when nothing was measured."""
        hosts: dict[str, dict[str, Any]] = {}
        for host in self.hosts:
            if host.best is None or not host.key:
                continue
            row, setting = hosts.setdefault(host.key, {"max_connections": 1}), host.best.setting
            row["max_connections"] = max(row["max_connections"], setting.connections)
            if setting.part_bytes is not None:
                row["part_size"] = part_size(setting.part_bytes)
        return {"hosts": hosts} if hosts else {}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values (Any: a JSON document)."""
        return {
            "source": self.source,
            "hosts": [_host(host) for host in self.hosts],
            "bytes": self.bytes,
            "seconds": self.seconds,
            "settings": self.settings,
            "failures": [
                {"location": failure.location, "kind": str(failure.kind), "message": failure.message}
                for failure in self.failures
            ],
            "problem": self.problem,
        }


def host_key(host: Location) -> str:
    """How a manifest's ``settings.hosts`` calls the origin of `host`."""
    if (bucket := host.as_bucket()) is not None:
        return f"{bucket.scheme}://{bucket.authority}"
    return host.authority


def part_size(size_bytes: int) -> str:
    """A size of parts as manifests write it."""
    return f"{size_bytes // MIB}MiB" if size_bytes % MIB == 0 else f"{size_bytes // KIB}KiB"


def _host(host: HostBench) -> dict[str, Any]:
    return {
        "origin": host.origin,
        "kind": host.kind,
        "objects": host.objects,
        "max_connections": host.cap,
        "steps": [_step(step, best=step is host.best) for step in host.steps],
        "notes": list(host.notes),
    }


def _step(step: Measured, *, best: bool) -> dict[str, Any]:
    return {
        "connections": step.setting.connections,
        "part_bytes": step.setting.part_bytes,
        "seconds": step.seconds,
        "bytes": step.bytes,
        "requests": step.requests,
        "goodput_bytes_per_s": step.goodput_bytes_per_s,
        "requests_per_s": step.requests_per_s,
        "first_byte_p50_s": step.first_byte_p50_s,
        "first_byte_p95_s": step.first_byte_p95_s,
        "errors": step.errors,
        "retries": step.retries,
        "best": best,
    }
