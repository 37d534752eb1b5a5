"""URLs that anybody can fetch with any program: buckets in their public HTTPS spelling."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from emasync.model.location import Location

KEY_SAFE: Final = "/-._~"
"""What stays unescaped in an object key; S3 reads a bare plus sign as a space."""


def public_url(location: Location) -> str:
    """URL of an object; of ``s3://`` and ``gs://`` the anonymous HTTPS one, which works for public buckets.

    Notes
    -----
    Amazon S3 user guide, "Virtual hosting of buckets": names with a dot have no certificate as a host, they are asked
    path-style. Cloud Storage documentation, "Request endpoints".
    """
    if location.scheme not in ("s3", "gs"):
        return str(location)
    key = quote(location.path, safe=KEY_SAFE)
    if location.scheme == "gs":
        return f"https://storage.googleapis.com/{location.authority}/{key}"
    if "." in location.authority:
        return f"https://s3.amazonaws.com/{location.authority}/{key}"
    return f"https://{location.authority}.s3.amazonaws.com/{key}"
