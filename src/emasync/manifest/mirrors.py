"""Where to ask instead: a whole bucket, or a URL prefix → another place."""

from __future__ import annotations

from typing import Final

from emasync.errors import InputError
from emasync.model.location import Location

MIRROR_SCHEMES: Final = ("http", "https", "s3", "file")


def mirror_source(text: str) -> str:
    """Normal form of what is mirrored: ``s3://name``, ``gs://name`` or an http(s) URL prefix, no slash at its end.

    Raises
    ------
    InputError
        Anything else.
    """
    location = Location.parse(text)
    if location.scheme == "file":
        raise InputError(f"mirror of {text!r}: a local folder needs no mirror")
    if location.scheme in ("s3", "gs"):
        if location.path:
            raise InputError(f"mirror of {text!r}: a bucket is mirrored as a whole; write {location.origin}")
        return location.origin
    if location.query:
        raise InputError(f"mirror of {text!r}: expected a URL prefix without a query")
    return str(location).rstrip("/")


def mirror_target(text: str) -> str:
    """Normal form of the place to ask instead, no slash at its end.

    Raises
    ------
    InputError
        Not an ``http(s)://``, ``s3://`` or ``file://`` URL, or one with a query.
    """
    location = Location.parse(text)
    if location.scheme not in MIRROR_SCHEMES or location.query:
        raise InputError(f"mirror {text!r}: expected an http(s)://, s3:// or file:// place, without a query")
    return str(location).rstrip("/") if location.scheme in ("http", "https") else text.rstrip("/")


def parse_mirror(text: str) -> tuple[str, str]:
    """Read ``FROM=TO``, as the command line has it.

    Parameters
    ----------
    text : str
        The first ``=`` that a scheme follows parts the two.

    Raises
    ------
    InputError
        Not a mirror.
    """
    for scheme in MIRROR_SCHEMES:
        source, found, rest = text.partition(f"={scheme}://")
        if found:
            return mirror_source(source), mirror_target(f"{scheme}://{rest}")
    raise InputError(f"mirror {text!r}: expected FROM=TO, such as s3://bucket=https://mirror.example.org/bucket")
