"""The format plug-in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from emasync.formats.content import ContentTest
from emasync.formats.interface import ArrayDescription, DocumentRewriter, Part
from emasync.formats.precomputed.info import INFO
from emasync.formats.precomputed.rewrite import InfoRewriter
from emasync.formats.precomputed.walk import PrecomputedWalk


class PrecomputedFormat:
    """Neuroglancer precomputed volumes (:class:`~emasync.formats.interface.Format`)."""

    name = "precomputed"

    def recognises(self, folders: Collection[str], objects: Collection[str]) -> bool:  # noqa: ARG002 - the protocol's
        """Whether a folder with these names right below it may be a volume; its ``info`` document has to say so."""
        return INFO in objects

    def walk(self, start: Sequence[str] = ("",)) -> PrecomputedWalk:
        """Begin a discovery at the base, or at the volumes in `start`."""
        return PrecomputedWalk(start)

    def rewriter(self, parts: Mapping[str, Part], present: Collection[str]) -> DocumentRewriter:  # noqa: ARG002
        """Rewrite metadata for the parts that are kept."""
        return InfoRewriter(parts)

    def content_test(self, array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
        """How to tell whether chunks of `array` hold data (:class:`~emasync.formats.content.TellsContent`)."""
        from emasync.formats.decoding.holding import content_test  # noqa: PLC0415 - decoders, where chunks are looked into

        return content_test(array, documents)
