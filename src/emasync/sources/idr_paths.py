"""Where the originals of IDR images lie. No I/O.

OMERO remembers the path that a file was imported from. Below ``uod/idr/filesets`` that is a path of the public tree
(rule of ``IDR/idr.openmicroscopy.org``, ``_data/download_urls.tsv``); filesets that were replaced by OME-NGFF copies
name URLs inside of a Zarr hierarchy instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emasync.errors import FormatError, InputError
from emasync.model.location import Location
from emasync.model.task import escape_for_log

TREE = "https://ftp.ebi.ac.uk/pub/databases/IDR"
IMPORTED_BELOW = "uod/idr/filesets/"

_COPY = re.compile(r"(https?://[^?#\s]+?\.zarr)(?:/[^?#]*)?")


@dataclass(frozen=True, slots=True)
class Originals:
    """What one fileset consists of.

    Attributes
    ----------
    files : tuple of str
        Paths below :data:`TREE`.
    copies : tuple of Location
        Zarr hierarchies.
    elsewhere : tuple of str
        Imported paths that lead to no public place.
    """

    files: tuple[str, ...]
    copies: tuple[Location, ...]
    elsewhere: tuple[str, ...]


def originals(value: dict[str, Any], url: str) -> Originals:
    """Read an answer of ``original_file_paths``.

    Parameters
    ----------
    value : JSON object
        Any: checked here.
    url : str
        For messages.

    Raises
    ------
    FormatError
        No list of paths.
    """
    client = value.get("client")
    if not isinstance(client, list) or not all(isinstance(path, str) for path in client):
        message = f"{url}: expected the paths of original files (client: [...]), got the keys {', '.join(value)[:200]}"
        raise FormatError(escape_for_log(message), location=url)
    return sort_out(client)


def sort_out(paths: Iterable[str]) -> Originals:
    """Divide imported paths by where they lead, each once."""
    files: dict[str, None] = {}
    copies: dict[Location, None] = {}
    elsewhere: dict[str, None] = {}
    for path in paths:
        if (below := below_tree(path)) is not None:
            files[below] = None
        elif (copy := copy_of(path)) is not None:
            copies[copy] = None
        else:
            elsewhere[path] = None
    return Originals(tuple(files), tuple(copies), tuple(elsewhere))


def below_tree(path: str) -> str | None:
    """Path below :data:`TREE`; None for one that does not lead there, or would lead out of it."""
    text = path.lstrip("/")
    rest = text.removeprefix(IMPORTED_BELOW)
    if rest == text or not rest.isprintable() or any(part in ("", ".", "..") for part in rest.split("/")):
        return None
    return rest


def copy_of(path: str) -> Location | None:
    """The Zarr hierarchy that a path which is a URL lies in."""
    match = _COPY.fullmatch(path)
    try:
        return None if match is None else Location.parse(match[1])
    except InputError:
        return None
