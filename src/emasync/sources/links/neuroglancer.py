"""Links to Neuroglancer: the state is in the link, or the link says where the state is."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from emasync.errors import ErrorKind, InputError, SourceError
from emasync.manifest.problems import shown
from emasync.model.location import Location
from emasync.sources.links.interface import Outcome, Question, Reading
from emasync.sources.links.layer_source import FORMATS, parse_source
from emasync.sources.links.places import bucket_place, refuse_access
from emasync.sources.links.stores import bucket_draft
from emasync.sources.links.viewer_state import read_state

IN_LINK: Final = "the state in the link"

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://")
_SOURCE = re.compile(rf"(?:{'|'.join(FORMATS)})://.+|[a-z0-9+]+://[^|]+\|[a-z0-9-]+:.*")
_PIECE = re.compile(
    r"'(?P<single>(?:[^'\\]|\\.)*+)(?:'|\\?\Z)|(?P<double>\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z))|(?P<comma>[_&])", re.DOTALL
)
"""Strings that do not end are taken to the end: each character is looked at once."""

_INSIDE = re.compile(r"\\'|\\.|\"", re.DOTALL)


class NeuroglancerLinks:
    """Reads links to any Neuroglancer, and the URLs of its data sources alone."""

    forms = (
        "https://neuroglancer-demo.appspot.com/#!{...}",
        "https://neuroglancer-demo.appspot.com/#!gs://bucket/state.json",
        "precomputed://gs://bucket/volume",
        "s3://bucket/volume.zarr|zarr3:",
    )

    def read(self, text: str) -> Outcome | None:
        """The layers of a state that is in the link, the question for one that is not, or one data source.

        Raises
        ------
        InputError
            No state, or none of its layers can be fetched.
        FormatError
            As :func:`~emasync.sources.links.viewer_state.read_state`.
        """
        page, marker, fragment = text.partition("#!")
        if marker and page.lower().startswith(("http://", "https://")):
            return _state(fragment)
        if _SOURCE.fullmatch(text):
            source = parse_source(text)
            more = {} if source.format == "auto" else {"format": source.format}
            return Reading(drafts=(bucket_draft(source.place, **more),))
        return _elsewhere(text)


def _elsewhere(text: str) -> Question | None:
    """Older viewers take the address of the state from the query."""
    if not text.lower().startswith(("http://", "https://")):
        return None
    address = parse_qs(urlsplit(text).query).get("json_url")
    return None if not address else _document(address[0])


def _state(fragment: str) -> Outcome:
    """``url_hash_binding.ts``: a URL, or JSON in which commas and quotes may be written for URLs."""
    if _REMOTE.match(fragment):
        return _document(unquote(fragment))
    text = unquote(fragment.removeprefix("+"))
    if not text.startswith("{"):
        raise InputError(f"expected a viewer's state, or the URL of one, behind #!; got {shown(text)}")
    return read_state(to_json(text).encode(), IN_LINK)


def _document(address: str) -> Question:
    place = bucket_place(address)
    if place is None and not address.lower().startswith(("http://", "https://")):
        raise InputError(
            f"{shown(address.partition('?')[0])}: a viewer's state is read from gs, s3, http and https only"
        )
    location = Location.parse(address) if place is None else place.location
    refuse_access(location)

    def answer(data: bytes | None) -> Reading:
        if data is None:
            message = f"{location} is not there, or not public: the link's state cannot be read"
            raise SourceError(message, kind=ErrorKind.NOT_FOUND, location=str(location))
        return read_state(data, str(location))

    return Question(location=location, why="what the viewer shows", answer=answer)


def to_json(text: str) -> str:
    """JSON of the spelling for URLs: single quotes in place of double ones, ``_`` or ``&`` in place of commas."""

    def piece(match: re.Match[str]) -> str:
        if match["comma"] is not None:
            return ","
        if match["double"] is not None:
            return match["double"]
        return f'"{_INSIDE.sub(_swapped, match["single"])}"'

    return _PIECE.sub(piece, text)


def _swapped(match: re.Match[str]) -> str:
    return {"\\'": "'", '"': '\\"'}.get(match[0], match[0])
