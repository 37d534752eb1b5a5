"""What is fetched first: small documents that say what the rest means, then the rest."""

from __future__ import annotations

import re

DOCUMENT_NAMES = frozenset(
    {
        ".zarray",
        ".zattrs",
        ".zgroup",
        ".zmetadata",
        "zarr.json",
        "attributes.json",  # N5
        "info",  # Neuroglancer precomputed
        "provenance",  # Neuroglancer precomputed
        "METADATA.ome.xml",  # bioformats2raw
        "dandiset.yaml",
        "dataset_description.json",  # BIDS
    }
)
"""Last segments that make an object a document wherever it lies."""

DOCUMENTS_ASSET = ":documents"
"""Asset of the task set that holds a dataset's documents: no key below a dataset has this name in its place."""

_TOP_DOCUMENT = re.compile(r"[^/]*\.(?:json|ya?ml|xml|txt|md|csv|tsv)", re.IGNORECASE)

LARGEST_DOCUMENT_BYTES = 64 << 20
"""Anything larger is data whatever its name says: it must not hold up the rest."""


def is_document(path: str, size_bytes: int | None) -> bool:
    """Whether the object called `path` below its dataset is fetched before bulk data.

    Parameters
    ----------
    path : str
        Relative to the dataset.
    size_bytes : int or None
        As listed.
    """
    if size_bytes is not None and size_bytes > LARGEST_DOCUMENT_BYTES:
        return False
    return path.rpartition("/")[2] in DOCUMENT_NAMES or _TOP_DOCUMENT.fullmatch(path) is not None
