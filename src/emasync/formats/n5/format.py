"""The format plug-in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from emasync.formats.content import ContentTest
from emasync.formats.interface import ArrayDescription, DocumentRewriter, Part
from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.n5.rewrite import AttributesRewriter
from emasync.formats.n5.walk import N5Walk


class N5Format:
    """N5 containers, groups and datasets (:class:`~emasync.formats.interface.Format`)."""

    name = "n5"

    def recognises(self, folders: Collection[str], objects: Collection[str]) -> bool:
        """Whether a folder with these names right below it has attributes, or holds ``*.n5`` folders."""
        return ATTRIBUTES in objects or any(name.endswith(".n5") for name in folders)

    def walk(self, start: Sequence[str] = ("",)) -> N5Walk:
        """Begin a discovery below the base, or below the groups and datasets in `start`."""
        return N5Walk(start)

    def rewriter(self, parts: Mapping[str, Part], present: Collection[str]) -> DocumentRewriter:  # noqa: ARG002
        """Rewrite attributes for the parts that are kept."""
        return AttributesRewriter(parts)

    def content_test(self, array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
        """How to tell whether blocks of `array` hold data (:class:`~emasync.formats.content.TellsContent`)."""
        from emasync.formats.decoding.holding import content_test  # noqa: PLC0415 - decoders, where blocks are looked into

        return content_test(array, documents)
