"""``attributes.json``: of containers, groups and datasets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Final

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Field, parse_object
from emasync.formats.lengths import bounded, lengths
from emasync.formats.paths import join
from emasync.model.task import escape_for_log

ATTRIBUTES: Final = "attributes.json"

ITEM_BYTES: Final = {
    "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "float32": 4, "float64": 8,
    "object": None,
}  # fmt: skip
"""Number types and bytes of each; ``object`` has none (its blocks are mode 2)."""

COMPRESSIONS: Final = frozenset(("raw", "gzip", "bzip2", "lz4", "xz", "blosc", "zstd"))
"""Those of the specification, and the two plug-ins that data is published with (n5-blosc, n5-zstandard)."""

MAX_BLOCK_BYTES: Final = (1 << 31) - 1
"""A block is smaller than 2 GiB: an array of the Java virtual machine holds it."""

NEWEST_MAJOR: Final = 4
"""Of the versions of the format that are read here."""

_MAJOR: Final = re.compile(r"(\d{1,9})(\.|$)")


def read_attributes(folder: str, documents: Mapping[str, bytes]) -> Field | None:
    """The attributes of a folder, checked for the version they are in; None where it has none.

    Parameters
    ----------
    folder : str
    documents : mapping of str to bytes
        By key.

    Raises
    ------
    FormatError
        No JSON object, or a version that is none.
    SourceError
        A version that is newer than what is read here (not built).
    """
    key = join(folder, ATTRIBUTES)
    data = documents.get(key)
    if data is None:
        return None
    attributes = Field(key, "", parse_object(key, data))
    _check_version(attributes.member("n5"))
    return attributes


def _check_version(version: Field) -> None:
    """The root of a container says ``{"n5": "4.0.0"}``; readers of one major version read all before."""
    if version.value is None:
        return
    found = _MAJOR.match(version.text())
    if found is None:
        raise version.broken("expected a version such as 4.0.0")
    if int(found[1]) > NEWEST_MAJOR:
        text = version.broken(
            f"versions 1 to {NEWEST_MAJOR} of N5 are read in this version; take the objects with format: raw"
        ).message
        raise SourceError(text, kind=ErrorKind.NOT_BUILT, location=version.key)


def is_dataset(attributes: Field) -> bool:
    """Whether attributes are those of a dataset.

    Its dimensions tell: ``dataType`` alone stands on groups of BigDataViewer too.
    """
    return attributes.member("dimensions").value is not None


def read_dataset(path: str, attributes: Field, documents: Mapping[str, bytes]) -> ArrayDescription:
    """Read a dataset.

    Parameters
    ----------
    path : str
        Its folder.
    attributes : Field
    documents : mapping of str to bytes
        Its documents, by key.

    Raises
    ------
    FormatError
        A mandatory attribute is missing or breaks a rule; key and rule are named.
    """
    compression = compression_of(attributes)
    required = (attributes.member("blockSize"), attributes.member("dataType"), compression)
    if missing := [field.where for field in required if field.value is None]:
        raise FormatError(
            f"{escape_for_log(attributes.key)}: a dataset without {' and '.join(missing)}, which every dataset must "
            "state; leave it out, or take its objects as they are with format: raw",
            location=attributes.key,
        )
    if compression.text() not in COMPRESSIONS:
        known = ", ".join(sorted(COMPRESSIONS))
        raise compression.broken(f"known compressions are {known}; take the objects with format: raw")
    dimensions = lengths(attributes.member("dimensions"), 0)
    if not dimensions:
        raise attributes.member("dimensions").broken("a dataset has at least one axis")
    dtype = attributes.member("dataType").text()
    if dtype not in ITEM_BYTES:
        raise attributes.member("dataType").broken(f"expected one of {', '.join(ITEM_BYTES)}")
    array = ArrayDescription(
        path=path,
        format="n5",
        shape=dimensions[::-1],
        chunks=_block_size(attributes.member("blockSize"), dimensions, ITEM_BYTES[dtype] or 1)[::-1],
        dtype=dtype,
        itemsize_bytes=ITEM_BYTES[dtype],
        fill_value=0,
        encoding="n5",
        separator="/",
        documents=documents,
    )
    return bounded(attributes.member("dimensions"), array)


def _block_size(field: Field, dimensions: tuple[int, ...], item_bytes: int) -> tuple[int, ...]:
    sizes = lengths(field, 1)
    if len(sizes) != len(dimensions):
        raise field.broken(f"expected one length for each of the {len(dimensions)} dimensions {list(dimensions)}")
    if prod(sizes) * item_bytes > MAX_BLOCK_BYTES:
        raise field.broken("a block is smaller than 2 GiB")
    return sizes


def compression_of(attributes: Field) -> Field:
    """The name of the compression: ``{"type": ...}``; files before version 2 have ``compressionType`` in its place.

    Raises
    ------
    FormatError
        ``compression`` is no object.
    """
    compression = attributes.member("compression")
    if compression.value is None and attributes.member("compressionType").value is not None:
        return attributes.member("compressionType")
    return compression if compression.value is None else compression.member("type")
