"""Names of metadata documents."""

from __future__ import annotations

ZARRAY, ZGROUP, ZATTRS, ZMETADATA, ZARR_JSON = ".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"
"""Zarr v2: array, group, attributes, consolidated metadata. Zarr v3: one document a node."""

METADATA_NAMES = frozenset((ZARRAY, ZGROUP, ZATTRS, ZMETADATA, ZARR_JSON))
