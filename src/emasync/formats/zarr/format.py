"""The format plug-in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from emasync.formats.content import ContentTest
from emasync.formats.interface import ArrayDescription, DocumentRewriter, Part
from emasync.formats.zarr.keys import METADATA_NAMES
from emasync.formats.zarr.rewrite import Rewriter
from emasync.formats.zarr.walk import ZarrWalk


class ZarrFormat:
    """Zarr v2 and v3 with OME-NGFF (:class:`~emasync.formats.interface.Format`)."""

    name = "zarr"

    def recognises(self, folders: Collection[str], objects: Collection[str]) -> bool:
        """Whether a folder with these names right below it is a Zarr node, or holds ``*.zarr`` folders."""
        return not METADATA_NAMES.isdisjoint(objects) or any(name.endswith(".zarr") for name in folders)

    def walk(self, start: Sequence[str] = ("",)) -> ZarrWalk:
        """Begin a discovery below the base, or below the groups and arrays in `start`."""
        return ZarrWalk(start)

    def rewriter(self, parts: Mapping[str, Part], present: Collection[str]) -> DocumentRewriter:
        """Rewrite metadata for the parts that are kept."""
        return Rewriter(parts, present)

    def content_test(self, array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
        """How to tell whether chunks of `array` hold data (:class:`~emasync.formats.content.TellsContent`)."""
        from emasync.formats.decoding.holding import content_test  # noqa: PLC0415 - decoders, where chunks are looked into

        return content_test(array, documents)
