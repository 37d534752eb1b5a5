"""Public 3D microscopy and neurophysiology data on your disk, whole and checked.

The names below are imported when they are first used: ``import emasync`` loads next to nothing.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("emasync runs on Linux and macOS, not on Windows; use it in WSL, with the root on a Linux drive")

if TYPE_CHECKING:
    __version__: str
    from emasync.api import BenchReport as BenchReport
    from emasync.api import ListedRow as ListedRow
    from emasync.api import Look as Look
    from emasync.api import RunOptions as RunOptions
    from emasync.api import VolumeRow as VolumeRow
    from emasync.api import Wish as Wish
    from emasync.api import abench as abench
    from emasync.api import aexport as aexport
    from emasync.api import aget as aget
    from emasync.api import als as als
    from emasync.api import aprune as aprune
    from emasync.api import arun as arun
    from emasync.api import averify as averify
    from emasync.api import bench as bench
    from emasync.api import catalog as catalog
    from emasync.api import export as export
    from emasync.api import get as get
    from emasync.api import init as init
    from emasync.api import ls as ls
    from emasync.api import open_file as open_file
    from emasync.api import open_volume as open_volume
    from emasync.api import plan as plan
    from emasync.api import prune as prune
    from emasync.api import run as run
    from emasync.api import schema as schema
    from emasync.api import status as status
    from emasync.api import verify as verify
    from emasync.api import volumes as volumes
    from emasync.errors import EmasyncError as EmasyncError
    from emasync.errors import ErrorKind as ErrorKind
    from emasync.errors import InputError as InputError
    from emasync.errors import ManifestError as ManifestError
    from emasync.errors import NotDownloaded as NotDownloaded
    from emasync.model.events import Event as Event
    from emasync.model.receipt import Receipt as Receipt

_HOMES = {
    "BenchReport": "emasync.api",
    "ListedRow": "emasync.api",
    "Look": "emasync.api",
    "RunOptions": "emasync.api",
    "VolumeRow": "emasync.api",
    "Wish": "emasync.api",
    "abench": "emasync.api",
    "aexport": "emasync.api",
    "aget": "emasync.api",
    "als": "emasync.api",
    "aprune": "emasync.api",
    "arun": "emasync.api",
    "bench": "emasync.api",
    "catalog": "emasync.api",
    "export": "emasync.api",
    "get": "emasync.api",
    "init": "emasync.api",
    "ls": "emasync.api",
    "open_file": "emasync.api",
    "open_volume": "emasync.api",
    "plan": "emasync.api",
    "prune": "emasync.api",
    "run": "emasync.api",
    "schema": "emasync.api",
    "status": "emasync.api",
    "averify": "emasync.api",
    "verify": "emasync.api",
    "volumes": "emasync.api",
    "EmasyncError": "emasync.errors",
    "ErrorKind": "emasync.errors",
    "InputError": "emasync.errors",
    "ManifestError": "emasync.errors",
    "NotDownloaded": "emasync.errors",
    "Event": "emasync.model.events",
    "Receipt": "emasync.model.receipt",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - names, all of them


class _Package(ModuleType):
    """The class of this package: the function :func:`plan` keeps its name, which a package below has as well."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):  # importing a package sets it here
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library prints nothing, warnings included


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (Any: whatever it is)."""
    if name == "__version__":
        from emasync.model.version import VERSION  # noqa: PLC0415 - only when needed

        return VERSION
    if name not in _HOMES:
        raise AttributeError(f"module 'emasync' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
