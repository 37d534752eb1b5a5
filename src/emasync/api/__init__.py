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
    from emasync.api.exporting import ExportReport as ExportReport
    from emasync.api.exporting import aexport as aexport
    from emasync.api.exporting import export as export
    from emasync.api.getting import Wish as Wish
    from emasync.api.getting import aget as aget
    from emasync.api.getting import get as get
    from emasync.api.getting import record as record
    from emasync.api.hooking import ahook as ahook
    from emasync.api.hooking import ahooks as ahooks
    from emasync.api.hooking import hook as hook
    from emasync.api.hooking import hooks as hooks
    from emasync.api.links import LinkedManifest as LinkedManifest
    from emasync.api.links import ainit as ainit
    from emasync.api.links import init as init
    from emasync.api.listed_row import ListedRow as ListedRow
    from emasync.api.listing import Look as Look
    from emasync.api.listing import als as als
    from emasync.api.listing import ls as ls
    from emasync.api.look import catalog as catalog
    from emasync.api.look import catalog_entry as catalog_entry
    from emasync.api.look import described as described
    from emasync.api.look import status as status
    from emasync.api.options import RunOptions as RunOptions
    from emasync.api.options import load as load
    from emasync.api.options import schema as schema
    from emasync.api.preview import Plan as Plan
    from emasync.api.preview import plan as plan
    from emasync.api.pruning import PruneReport as PruneReport
    from emasync.api.pruning import aprune as aprune
    from emasync.api.pruning import prune as prune
    from emasync.api.reading import open_file as open_file
    from emasync.api.reading import open_volume as open_volume
    from emasync.api.reading import save_block as save_block
    from emasync.api.running import arun as arun
    from emasync.api.running import run as run
    from emasync.api.stopping import Stopper as Stopper
    from emasync.api.verifying import VerifyReport as VerifyReport
    from emasync.api.verifying import averify as averify
    from emasync.api.verifying import verify as verify
    from emasync.api.volume_rows import VolumeRow as VolumeRow
    from emasync.api.volume_rows import index_stats as index_stats
    from emasync.api.volume_rows import volumes as volumes
    from emasync.manifest.mirrors import parse_mirror as parse_mirror
    from emasync.manifest.quantities import parse_duration as parse_duration
    from emasync.manifest.quantities import parse_rate as parse_rate
    from emasync.manifest.quantities import parse_size as parse_size
    from emasync.sources.links.narrowing import parse_scales as parse_scales
    from emasync.volume.index_entry import Coverage as Coverage

_HOMES = {
    "BenchReport": "emasync.api.bench_report",
    "Coverage": "emasync.volume.index_entry",
    "ExportReport": "emasync.api.exporting",
    "LinkedManifest": "emasync.api.links",
    "ListedRow": "emasync.api.listed_row",
    "Look": "emasync.api.listing",
    "Plan": "emasync.api.preview",
    "PruneReport": "emasync.api.pruning",
    "RunOptions": "emasync.api.options",
    "Stopper": "emasync.api.stopping",
    "VerifyReport": "emasync.api.verifying",
    "VolumeRow": "emasync.api.volume_rows",
    "Wish": "emasync.api.getting",
    "abench": "emasync.api.benchmark",
    "aexport": "emasync.api.exporting",
    "aget": "emasync.api.getting",
    "ahook": "emasync.api.hooking",
    "ahooks": "emasync.api.hooking",
    "ainit": "emasync.api.links",
    "als": "emasync.api.listing",
    "aprune": "emasync.api.pruning",
    "arun": "emasync.api.running",
    "averify": "emasync.api.verifying",
    "bench": "emasync.api.benchmark",
    "catalog": "emasync.api.look",
    "catalog_entry": "emasync.api.look",
    "described": "emasync.api.look",
    "export": "emasync.api.exporting",
    "get": "emasync.api.getting",
    "hook": "emasync.api.hooking",
    "hooks": "emasync.api.hooking",
    "index_stats": "emasync.api.volume_rows",
    "init": "emasync.api.links",
    "load": "emasync.api.options",
    "loop_factory": "emasync.api.blocking",
    "ls": "emasync.api.listing",
    "open_file": "emasync.api.reading",
    "open_volume": "emasync.api.reading",
    "parse_duration": "emasync.manifest.quantities",
    "parse_mirror": "emasync.manifest.mirrors",
    "parse_rate": "emasync.manifest.quantities",
    "parse_scales": "emasync.sources.links.narrowing",
    "parse_size": "emasync.manifest.quantities",
    "plan": "emasync.api.preview",
    "prune": "emasync.api.pruning",
    "record": "emasync.api.getting",
    "run": "emasync.api.running",
    "save_block": "emasync.api.reading",
    "schema": "emasync.api.options",
    "status": "emasync.api.look",
    "verify": "emasync.api.verifying",
    "volumes": "emasync.api.volume_rows",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for (Any: whatever it is)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'emasync.api' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
