"""Links of viewers that name what they show in their query."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlsplit

from emasync.errors import InputError
from emasync.manifest.problems import shown
from emasync.sources.links.interface import Wrapped

VIEWERS: Final = (
    ("ome.github.io", ("source",)),  # OME-NGFF validator
    ("hms-dbmi.github.io", ("source",)),  # vizarr
    ("avivator.gehlenborglab.org", ("image_url",)),
    ("kitware.github.io", ("fileToLoad", "image")),  # itk-vtk-viewer
)
"""Hosts, and names of the query's field with the data's URL."""

_REMOTE = ("http://", "https://", "s3://", "gs://")
"""A link of the web is no reason to read this machine's files."""


class ViewerLinks:
    """Reads links of viewers of OME-Zarr and other images on the web."""

    forms = ("https://ome.github.io/ome-ngff-validator/?source=https://host/volume.zarr",)

    def read(self, text: str) -> Wrapped | None:
        """What the viewer is asked to show.

        Raises
        ------
        InputError
            No place on the network.
        """
        if not text.lower().startswith(_REMOTE[:2]):
            return None
        parts = urlsplit(text)
        query = parse_qs(parts.query)
        named = (query[name][0] for host, names in VIEWERS if host == parts.hostname for name in names if name in query)
        address = next(named, None)
        if address is not None and not address.lower().startswith(_REMOTE):
            raise InputError(f"the viewer shows {shown(address)}, which is no place on the network")
        return None if address is None else Wrapped(address)
