"""Names → plug-ins. Built-ins are ``module:attribute`` texts, imported at first use; others come as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from emasync.errors import ErrorKind, InputError, SourceError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

NOT_BUILT = ""
"""Value of a name that the manifest knows and this version cannot run yet."""


@dataclass(frozen=True, slots=True)
class Registry:
    """One family of plug-ins.

    Attributes
    ----------
    group : str
        Entry-point group of other packages' plug-ins.
    built_in : mapping of str to str
        Name to ``module:attribute``, or :data:`NOT_BUILT`.
    """

    group: str
    built_in: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """All known names, built-ins first."""
        return (*self.built_in, *(point.name for point in self._points()))

    def built(self) -> tuple[str, ...]:
        """All names that :meth:`load` has something for."""
        return tuple(name for name in self.names() if self.built_in.get(name) != NOT_BUILT)

    def load(self, name: str) -> Any:
        """Import the plug-in called `name` (Any: each family's ``interface`` module says what it is).

        Raises
        ------
        SourceError
            Known, but not built in this version.
        InputError
            Unknown name.
        """
        target = self.built_in.get(name)
        if target == NOT_BUILT:
            family = self.group.rpartition(".")[2].removesuffix("s")
            raise SourceError(f"{family} {name!r} is not built yet in this version", kind=ErrorKind.NOT_BUILT)
        if target is not None:
            module, _, attribute = target.partition(":")
            return getattr(import_module(module), attribute)
        for point in self._points():
            if point.name == name:
                return point.load()
        raise InputError(f"unknown name {name!r}; known: {', '.join(self.names())}")

    def _points(self) -> EntryPoints:
        """Plug-ins of other packages: looking reads what is installed, so it is done where a built-in will not do."""
        from importlib.metadata import entry_points  # noqa: PLC0415 - see above

        return entry_points(group=self.group)


SOURCES = Registry(
    "emasync.sources",
    {
        "web": "emasync.sources.web:WebSource",
        "bucket": "emasync.sources.bucket:BucketSource",
        "empiar": "emasync.sources.empiar:EmpiarSource",
        "idr": "emasync.sources.idr:IdrSource",
        "dandi": "emasync.sources.dandi:DandiSource",
        "aind": "emasync.sources.aind:AindSource",
        "open_data": "emasync.sources.open_data:OpenDataSource",
    },
)

LINKS = Registry(
    "emasync.links",
    {
        "catalog": "emasync.sources.links.known:CatalogLinks",
        "neuroglancer": "emasync.sources.links.neuroglancer:NeuroglancerLinks",
        "viewers": "emasync.sources.links.viewers:ViewerLinks",
        "dandi": "emasync.sources.links.dandi:DandiLinks",
        "empiar": "emasync.sources.links.empiar:EmpiarLinks",
        "idr": "emasync.sources.links.idr:IdrLinks",
        "openorganelle": "emasync.sources.links.openorganelle:OpenOrganelleLinks",
        "aind": "emasync.sources.links.aind:AindLinks",
        "open_data": "emasync.sources.links.open_data:OpenDataLinks",
        "pages": "emasync.sources.links.pages:PageLinks",
    },
)
"""Rules that read pasted texts, in the order they are asked; those of plug-ins come after these."""

FORMATS = Registry(
    "emasync.formats",
    {
        "zarr": "emasync.formats.zarr:ZarrFormat",
        "n5": "emasync.formats.n5:N5Format",
        "precomputed": "emasync.formats.precomputed.format:PrecomputedFormat",
        "tiff": "emasync.formats.tiff.format:TiffFormat",
        "dm": "emasync.formats.dm.format:DmFormat",
        "mrc": "emasync.formats.mrc.format:MrcFormat",
        "hdf5": "emasync.formats.hdf5.format:Hdf5Format",
        "binary": "emasync.formats.binary.format:BinaryFormat",
    },
)
"""Formats of trees (:class:`~emasync.formats.interface.Format`); of files
(:class:`~emasync.formats.stored.FileFormat`) and of recordings, from which arrays cannot be chosen."""

LAYOUTS = Registry(
    "emasync.layouts",
    {"mirror": "emasync.plan.layout:MirrorLayout", "flexiznam": "emasync.plan.flexiznam:FlexiznamLayout"},
)

HOOKS = Registry(
    "emasync.hooks",
    {
        "index": "emasync.hooks.index.hook:IndexHook",
        "metadata": "emasync.hooks.metadata.hook:MetadataHook",
        "flexiznam": "emasync.hooks.flexiznam:FlexiznamHook",
        "report": "emasync.hooks.report.hook:ReportHook",
    },
)
"""What is done after the bytes are down, in this order; those of plug-ins come after these."""
