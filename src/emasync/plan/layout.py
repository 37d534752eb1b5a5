"""Where objects go below the root: a pure function of dataset and key, and of what a source tells beforehand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from emasync.disk.names import check_relative, map_segment
from emasync.manifest.layout import LayoutChoice
from emasync.registry import LAYOUTS
from emasync.sources.interface import FilesFound, TreeFound

SOURCE_METADATA = ".source-metadata"
"""Ends the name of the folder beside a dataset that keeps documents as the source gave them."""

_segment = lru_cache(maxsize=1 << 16)(map_segment)
"""Segments repeat: a million keys of one array share some hundred coordinates."""


_RESERVED_LIKE = r"[cC][oO][nNmM]|[pP][rR][nN]|[aA][uU][xX]|[nN][uU][lL]|[lL][pP][tT]"
_SEGMENT = rf"(?!{_RESERVED_LIKE})[A-Za-z0-9_\-][A-Za-z0-9_\-.]{{0,119}}(?<!\.)"
_ORDINARY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*").fullmatch
"""A cheap yes for nearly all paths that stay as they are; for the others, segment by segment."""

_LONGEST_ORDINARY = 1_024
"""Characters, all of one byte; S3 has no longer keys."""


class Keeper(Protocol):
    """What a layout may remember below the root: small documents of ours."""

    async def read(self, destination: str) -> bytes | None:
        """Read a document; None when there is none."""
        ...

    async def write(self, destination: str, data: bytes) -> None:
        """Write it atomically and durably."""
        ...


class Layout(Protocol):
    """A layout plug-in: called with the manifest's ``layout``, a class of this shape.

    Once settled for a finding, the same path always gets the same place, and two paths never share one.
    """

    def folder(self, dataset: str) -> str:
        """Folder that all of a dataset's data lie below, relative to the root; never empty."""
        ...

    async def settle(self, dataset: str, found: FilesFound | TreeFound, keeper: Keeper) -> Layout:
        """The layout as it holds for one finding, with all that needs to be known for that.

        Raises
        ------
        SourceError
            The source does not tell what a name is made of; the message names the key of the manifest to set.
        """
        ...

    async def places(self, dataset: str, keeper: Keeper) -> Sequence[str] | None:
        """What of :meth:`folder` is the dataset's, where others lie in it too; None: all of it.

        Returns
        -------
        sequence of str or None
            Folders and files below it; with a slash at its end: the files right in a folder.

        Raises
        ------
        SourceError
            What was remembered is broken.
        """
        ...

    def tree(self, path: str) -> str:
        """Folder, below the dataset's, of the tree called `path` at the source; empty for the dataset's own.

        Raises
        ------
        DestinationError
            As :meth:`place`.
        """
        ...

    def place(self, path: str) -> str:
        """Path below that folder for the object called `path` in the tree.

        Raises
        ------
        DestinationError
            ``unsafe_name``: no reversible name fits this machine's file systems.
        """
        ...


class MirrorLayout:
    """``layout: mirror``: ``<dataset id>/<path as at the source>``.

    Parameters
    ----------
    asked : LayoutChoice, optional
        Of the manifest; it says nothing more.
    """

    def __init__(self, asked: LayoutChoice | None = None) -> None:
        pass

    def folder(self, dataset: str) -> str:
        """The dataset's id."""
        return dataset

    async def settle(self, _dataset: str, _found: FilesFound | TreeFound, _keeper: Keeper) -> MirrorLayout:
        """Nothing needs to be known."""
        return self

    async def places(self, _dataset: str, _keeper: Keeper) -> None:
        """All of its folder."""

    def tree(self, path: str) -> str:
        """`path`, segment by segment.

        Raises
        ------
        DestinationError
            A segment or the whole is too long once mapped.
        """
        return mapped(path) if path else ""

    def place(self, path: str) -> str:
        """`path`, segment by segment.

        Raises
        ------
        DestinationError
            A segment or the whole is too long once mapped.
        """
        return mapped(path)


def layout_for(asked: LayoutChoice) -> Layout:
    """The layout that a manifest asks for.

    Parameters
    ----------
    asked : LayoutChoice
        Its ``layout``.

    Raises
    ------
    InputError
        The plug-in does not take what the manifest says.
    """
    layout: Layout = LAYOUTS.load(asked.kind)(asked)
    return layout


def mapped(path: str) -> str:
    """`path` with each segment that is a legal key but an unsafe file name mapped reversibly; others stay.

    Raises
    ------
    DestinationError
        A segment or the whole is too long once mapped.
    """
    if len(path) <= _LONGEST_ORDINARY and _ORDINARY(path):
        return path
    safe = "/".join(map(_segment, path.split("/")))
    check_relative(safe)
    return safe


def kept_place(dataset: str, path: str) -> str:
    """Where the document that the source calls `path` is kept as received, relative to the root.

    Raises
    ------
    DestinationError
        No reversible name fits.
    """
    return f"{source_metadata(dataset)}/{mapped(path)}"


def source_metadata(dataset: str) -> str:
    """Folder, relative to the root, of a dataset's documents as the source gave them, whatever the layout."""
    return dataset + SOURCE_METADATA
