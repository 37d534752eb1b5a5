"""The embedding surface: run, plan and look at roots. Composes the wings; holds no logic of theirs."""

from emasync.api.blocking import loop_factory
from emasync.api.look import catalog, schema, status
from emasync.api.options import RunOptions, load
from emasync.api.preview import Plan, plan
from emasync.api.run import Stopper, arun, run
from emasync.manifest.mirrors import parse_mirror
from emasync.manifest.quantities import parse_rate, parse_size

__all__ = [
    "Plan",
    "RunOptions",
    "Stopper",
    "arun",
    "catalog",
    "load",
    "loop_factory",
    "parse_mirror",
    "parse_rate",
    "parse_size",
    "plan",
    "run",
    "schema",
    "status",
]
