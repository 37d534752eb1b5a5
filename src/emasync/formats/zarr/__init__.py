"""Zarr v2 and v3, OME-NGFF 0.1 to 0.5: discovery and metadata, without I/O."""

from emasync.formats.zarr.format import ZarrFormat
from emasync.formats.zarr.walk import ZarrWalk

__all__ = ["ZarrFormat", "ZarrWalk"]
