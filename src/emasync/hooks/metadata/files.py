"""Files that hold arrays, one asset each: what their headers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emasync.errors import EmasyncError
from emasync.formats.dm.format import DmFormat
from emasync.formats.mrc.format import MrcFormat
from emasync.formats.stored import FileDescription, FileFormat, StoredArray
from emasync.formats.tiff.format import TiffFormat
from emasync.hooks.inventory import DataFile
from emasync.hooks.local import LocalFile
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.extract_dm import dm_claims
from emasync.hooks.metadata.extract_mrc import mrc_claims
from emasync.hooks.metadata.extract_tiff import tiff_claims
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.storage import dtype_name, lossy

MAX_ARRAYS: Final = 1_000
"""Of one file that get a row."""

Extractor = Callable[[LocalFile, Claims], None]

_FORMATS: Final[dict[str, tuple[FileFormat, Extractor]]] = {
    "tiff": (TiffFormat(), tiff_claims),
    "dm": (DmFormat(), dm_claims),
    "mrc": (MrcFormat(), mrc_claims),
}
_HEAD_BYTES: Final = 64


def not_of(kind: str, path: str) -> AssetRecord:
    """A file whose first bytes are not those of the format that its name promises."""
    note = f"its first bytes are not those of {kind}; nothing else is known of it"
    return AssetRecord(path=path, kind="file", files=(path,), notes=(note,))


def describe_file(item: DataFile, file: LocalFile) -> AssetRecord:
    """One file as an asset; one that is not what its name promises is noted.

    Parameters
    ----------
    item : DataFile
        Of kind ``tiff``, ``dm`` or ``mrc``.
    file : LocalFile
    """
    form, extract = _FORMATS[item.kind]
    if not form.recognises(file.read(0, _HEAD_BYTES)):
        return not_of(item.kind, item.path)
    claims = Claims("header", item.path, item.path)
    try:
        found = form.describe(file)
    except EmasyncError as error:
        return AssetRecord(path=item.path, kind="file", format=item.kind, files=(item.path,), notes=(error.message,))
    try:
        extract(file, claims)
    except EmasyncError as error:
        claims.notes.append(error.message)
    pictures = [array for array in found.arrays if array.role != "thumbnail"]
    claims.claim("format", found.format, "")
    return AssetRecord(
        path=item.path,
        kind="file",
        format=found.format,
        claims=tuple(claims.found),
        arrays=tuple(_record(array, item.path, number) for number, array in enumerate(pictures[:MAX_ARRAYS])),
        files=(item.path,),
        notes=(*found.notes, *claims.notes, *_left_out(found, pictures)),
    )


def _left_out(found: FileDescription, pictures: list[StoredArray]) -> tuple[str, ...]:
    more = len(pictures) - MAX_ARRAYS
    return (f"{more} more arrays of {found.format} get no row",) if more > 0 else ()


def _record(array: StoredArray, document: str, number: int) -> ArrayRecord:
    """One array of a file; lower resolutions are further scales of it."""
    claims = Claims("header", document, document)
    stored_claims(array, claims)
    return ArrayRecord(path=array.path, scale=number if array.role == "reduced" else None, claims=tuple(claims.found))


def stored_claims(array: StoredArray, claims: Claims) -> None:
    """Shape, type, chunks, codecs and calibration of an array in a file.

    Parameters
    ----------
    array : StoredArray
    claims : Claims
        Grows.
    """
    claims.claim("axes", ",".join(array.axes), array.path)
    for axis, size, chunk, measure in zip(array.axes, array.shape, array.chunks, array.measures, strict=True):
        if axis in ("z", "y", "x", "c", "t"):
            claims.claim(f"shape_{axis}", size, array.path)
        if axis in ("z", "y", "x"):
            claims.claim(f"chunk_{axis}", chunk, array.path)
        if measure is not None:
            claims.voxel(axis, measure.value, measure.unit, measure.source)
    name, order = dtype_name(array.dtype)
    claims.text("dtype", name, array.path)
    claims.text("byte_order", order, array.path)
    codecs = tuple(codec.name for codec in array.codecs)
    claims.claim("codec_chain", ", ".join(codecs) or "none", array.path)
    claims.claim("lossy", lossy(codecs), array.path)
