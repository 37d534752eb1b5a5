"""The embedding surface: run, plan and look at roots. Composes the wings; holds no logic of theirs.

The names below are imported when they are first used: ``emasync status`` need not wait for the network's libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emasync.api.bench_report import BenchReport as BenchReport
    from emasync.api.benchmark import abench as abench
    from emasync.api.benchmark import bench as bench
    from emasync.api.blocking import loop_factory as loop_factory
    from emasync.api.look import catalog as catalog
    from emasync.api.look import status as status
    from emasync.api.options import RunOptions as RunOptions
    from emasync.api.options import load as load
    from emasync.api.options import schema as schema
    from emasync.api.preview import Plan as Plan
    from emasync.api.preview import plan as plan
    from emasync.api.running import arun as arun
    from emasync.api.running import run as run
    from emasync.api.stopping import Stopper as Stopper
    from emasync.manifest.mirrors import parse_mirror as parse_mirror
    from emasync.manifest.quantities import parse_duration as parse_duration
    from emasync.manifest.quantities import parse_rate as parse_rate
    from emasync.manifest.quantities import parse_size as parse_size

_HOMES = {
    "BenchReport": "emasync.api.bench_report",
    "Plan": "emasync.api.preview",
    "RunOptions": "emasync.api.options",
    "Stopper": "emasync.api.stopping",
    "abench": "emasync.api.benchmark",
    "arun": "emasync.api.running",
    "bench": "emasync.api.benchmark",
    "catalog": "emasync.api.look",
    "load": "emasync.api.options",
    "loop_factory": "emasync.api.blocking",
    "parse_duration": "emasync.manifest.quantities",
    "parse_mirror": "emasync.manifest.mirrors",
    "parse_rate": "emasync.manifest.quantities",
    "parse_size": "emasync.manifest.quantities",
    "plan": "emasync.api.preview",
    "run": "emasync.api.running",
    "schema": "emasync.api.options",
    "status": "emasync.api.look",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for (Any: whatever it is)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'emasync.api' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
