"""URLs of Neuroglancer's data sources: the older ``format://place`` and the newer ``place|format:path``.

Neuroglancer's documentation, "Data sources", "URL syntax" and the pages of the formats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from emasync.errors import InputError
from emasync.manifest.problems import shown
from emasync.model.location import Location
from emasync.sources.links.places import Place, bucket_place, refuse_access

FORMATS: Final = {
    "precomputed": "precomputed",
    "neuroglancer-precomputed": "precomputed",
    "zarr": "zarr",
    "zarr2": "zarr",
    "zarr3": "zarr",
    "n5": "n5",
}
"""Names of formats there, and here."""

_SERVICES: Final = frozenset(
    ("graphene", "dvid", "brainmaps", "boss", "render", "catmaid", "python", "local", "nggraph")
)
_ADAPTERS: Final = frozenset(("zip", "ocdbt", "icechunk", "gzip", "byte-range", "nifti", "deepzoom"))
_OLD = re.compile(rf"(?P<format>{'|'.join(FORMATS)})://(?P<place>.+)")
_STEP = re.compile(r"(?P<name>[a-z0-9-]+):(?P<path>[^#?]*)(?:[#?].*)?")


@dataclass(frozen=True, slots=True)
class LayerSource:
    """Where a layer's data are.

    Attributes
    ----------
    place : Place
        ``s3://``, ``gs://`` or ``http(s)://``.
    format : str
        As a manifest calls it; ``auto`` where the link leaves it open.
    """

    place: Place
    format: str


def parse_source(text: str) -> LayerSource:
    """Read the URL of a data source.

    Raises
    ------
    InputError
        A service, an archive inside a file, another scheme, or a URL that grants access.
    """
    if "|" in text:
        return _pipeline(text)
    if match := _OLD.fullmatch(text):
        return LayerSource(_place(match["place"]), FORMATS[match["format"]])
    return LayerSource(_place(text), "auto")


def _pipeline(text: str) -> LayerSource:
    root, *steps = text.split("|")
    found = LayerSource(_place(root), "auto")
    for step in steps:
        match = _STEP.fullmatch(step)
        name = match["name"] if match is not None else step
        if match is None or name not in FORMATS:
            inside = "is a file inside of another" if name in _ADAPTERS else "has a part that is not known"
            raise InputError(f"{_named(text)} {inside} ({shown(name)}); only folders of {_known()} can be fetched")
        found = LayerSource(_below(found.place, match["path"]), FORMATS[name])
    return found


def _below(place: Place, path: str) -> Place:
    return replace(place, location=place.location.join(path.strip("/"))) if path.strip("/") else place


def _place(text: str) -> Place:
    """A place that may be named by a document that nobody vouches for: the network's only."""
    text = text.partition("#")[0]
    scheme = text.partition("://")[0].lower()
    for lead in ("s3+", "gs+", "gcs+"):  # S3 and Cloud Storage at an address of their own
        text = text.removeprefix(lead)
    if (bucket := bucket_place(text.partition("?")[0])) is not None:
        return bucket
    if not text.lower().startswith(("http://", "https://")):
        what = "is a service's, not files'" if scheme.split("+")[0] in _SERVICES else "is of no scheme that is fetched"
        raise InputError(f"{_named(text)} {what}; only folders of {_known()} at s3, gs, http and https can be")
    location = Location.parse(text)
    refuse_access(location)
    return Place(replace(location, query="", path=location.path.rstrip("/") or "/"))


def _named(text: str) -> str:
    """The URL in a message, without its query: that may grant access."""
    return shown(text.partition("?")[0])


def _known() -> str:
    return ", ".join(sorted(set(FORMATS.values())))
