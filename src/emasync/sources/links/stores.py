"""Buckets, plain files and folders: what a text is that no archive claims."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from emasync.errors import InputError
from emasync.formats.json_document import Json
from emasync.model.location import PATH_SAFE, Location
from emasync.sources.links.interface import Draft, Reading
from emasync.sources.links.places import Place, bucket_place, refuse_access

NODE_DOCUMENTS: Final = frozenset((".zgroup", ".zattrs", ".zarray", ".zmetadata", "zarr.json"))
"""Pasted for the array or group that they describe."""

_HIERARCHY = re.compile(r"\.(?:zarr|n5|ngff|precomputed)(?:/|$)", re.IGNORECASE)
"""A path into something that is read as arrays and not as one file."""

_CONTAINER = re.compile(r"(?P<stem>.+?)(?:\.ome)?\.(?:zarr|n5|ngff|precomputed)", re.IGNORECASE)
_EBI: Final = "ftp://ftp.ebi.ac.uk/"
"""The EBI serves one tree by FTP and HTTPS (``IDR/idr.openmicroscopy.org: _includes/filezilla.md``)."""

_LOCAL = re.compile(r"\.{0,2}/|~|\.{1,2}$")


class StoreLinks:
    """Reads what is left when archives and viewers have had their turn."""

    forms = (
        "s3://bucket/prefix",
        "gs://bucket/prefix",
        "https://bucket.s3.us-west-2.amazonaws.com/prefix",
        "https://host/file.tif",
        "https://host/volume.zarr",
        "file:///folder",
        "./folder",
    )

    def read(self, text: str) -> Reading | None:
        """A bucket, a file, a folder; None when it is none of them.

        Raises
        ------
        InputError
            A URL that grants access; a path that is not there, or a manifest's.
        """
        if (place := bucket_place(text)) is not None:
            return Reading(drafts=(bucket_draft(place),))
        if text.lower().startswith(_EBI):
            text = f"https{text[3:]}"
        scheme = text.partition("://")[0].lower() if "://" in text else ""
        if scheme in ("http", "https"):
            return Reading(drafts=(_web_draft(Location.parse(text)),))
        if scheme == "file":
            return Reading(drafts=(_local_draft(Path(Location.parse(text).path)),))
        return None if scheme or not is_local(text) else Reading(drafts=(_local_draft(Path(text).expanduser()),))


def bucket_draft(place: Place, **more: Json) -> Draft:
    """A dataset of everything below a place in a bucket.

    Parameters
    ----------
    place : Place
    **more
        Further keys of the dataset.
    """
    location, comments = _without_document(place.location)
    region: dict[str, Json] = {} if place.region is None else {"region": place.region}
    entry: dict[str, Json] = {"source": "bucket", "url": str(location), **region, **more}
    return Draft(name=name_of(location), entry=entry, comments=comments)


def name_of(location: Location) -> str:
    """A name for what lies there: container and last folder, or bucket and last folder."""
    path = unquote(location.path) if location.scheme in ("http", "https") else location.path
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        return location.authority
    stems = [match["stem"] for segment in segments if (match := _CONTAINER.fullmatch(segment))]
    if _CONTAINER.fullmatch(segments[-1]):
        return stems[-1]
    first = stems[-1] if stems else location.authority
    return f"{first}-{segments[-1]}" if first else segments[-1]


def is_local(text: str) -> bool:
    """Whether a text without scheme is the path of something on this machine."""
    if _LOCAL.match(text) is not None:
        return True
    try:
        return Path(text).exists()
    except OSError:  # too long to be a name
        return False


def _without_document(location: Location) -> tuple[Location, tuple[str, ...]]:
    """The folder of a metadata document that was pasted in its place."""
    folder, _, name = location.path.rpartition("/")
    if name not in NODE_DOCUMENTS:
        return location, ()
    return replace(location, path=folder), (f"the folder that {name} describes",)


def _web_draft(location: Location) -> Draft:
    refuse_access(location)
    tree = _HIERARCHY.search(unquote(location.path)) or location.path.endswith("/")
    if tree or _without_document(location)[1]:
        return bucket_draft(Place(replace(location, query="")))
    return Draft(name=Path(location.name).stem, entry={"source": "web", "files": [{"url": str(location)}]})


def _local_draft(path: Path) -> Draft:
    """A folder, or a file, of this machine.

    Raises
    ------
    InputError
        It is not there; it is a manifest.
    """
    if not path.exists():
        raise InputError(f"{path} is not on this machine; check the path")
    if path.suffix in (".yaml", ".yml") and path.is_file():
        raise InputError(f"{path} is a file here; if it is a manifest: emasync run {path}")
    url = "file://" + quote(path.absolute().as_posix(), safe=PATH_SAFE)
    container = _CONTAINER.fullmatch(path.name)
    return Draft(name=container["stem"] if container else path.stem, entry={"source": "bucket", "url": url})
