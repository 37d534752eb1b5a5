"""Where objects go below the root: a pure function of dataset and key."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

from emasync.disk.names import check_relative, map_segment

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


class Layout(Protocol):
    """A layout plug-in. Pure: the same key always gets the same place, two keys never share one."""

    def folder(self, dataset: str) -> str:
        """Folder of a dataset's data, relative to the root."""
        ...

    def place(self, path: str) -> str:
        """Path below the dataset's folder for the object called `path` at the source.

        Raises
        ------
        DestinationError
            ``unsafe_name``: no reversible name fits this machine's file systems.
        """
        ...


class MirrorLayout:
    """``layout: mirror``: ``<dataset id>/<path as at the source>``.

    Segments that are legal keys but unsafe file names are mapped reversibly by
    :func:`emasync.disk.names.map_segment`; ordinary names stay as they are.
    """

    def folder(self, dataset: str) -> str:
        """The dataset's id."""
        return dataset

    def place(self, path: str) -> str:
        """`path`, segment by segment.

        Raises
        ------
        DestinationError
            A segment or the whole is too long once mapped.
        """
        if len(path) <= _LONGEST_ORDINARY and _ORDINARY(path):
            return path
        mapped = "/".join(map(_segment, path.split("/")))
        check_relative(mapped)
        return mapped


def source_metadata(folder: str) -> str:
    """Folder, relative to the root, of the documents as the source gave them."""
    return folder + SOURCE_METADATA
