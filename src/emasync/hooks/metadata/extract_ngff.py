"""OME-NGFF 0.1 to 0.5: what stands beside ``multiscales``."""

from __future__ import annotations

from emasync.errors import EmasyncError
from emasync.formats.interface import MultiscaleDescription
from emasync.formats.zarr.group import ome_metadata
from emasync.hooks.metadata.claims import Claims, items, member


def ngff_claims(image: MultiscaleDescription, claims: Claims) -> None:
    """Version, name and channels of an image (OME-NGFF 0.4, sections "multiscales" and "omero").

    Parameters
    ----------
    image : MultiscaleDescription
    claims : Claims
        Grows.
    """
    claims.claim("metadata_convention", f"OME-NGFF {image.version}", f"multiscales[{image.index}].version")
    if image.name:
        claims.text("title", image.name, f"multiscales[{image.index}].name")
    try:
        ome = ome_metadata(image.path, image.documents).value
    except EmasyncError:
        return
    labels = [member(channel, "label") for channel in items(member(ome, "omero", "channels"))]
    claims.texts("channels", labels, "omero.channels")
    if member(ome, "image-label") is not None:
        claims.claim("is_label", value=True, where="image-label")
