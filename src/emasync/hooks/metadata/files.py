"""Files that hold arrays, one asset each: what their headers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emasync.errors import EmasyncError
from emasync.formats.dm.format import DmFormat
from emasync.formats.known_stretches import UnreadError
from emasync.formats.mrc.format import MrcFormat
from emasync.formats.stored import ByteSource, FileDescription, FileFormat, StoredArray
from emasync.formats.tiff.format import TiffFormat
from emasync.hooks.inventory import DataFile
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.extract_dm import dm_claims
from emasync.hooks.metadata.extract_mrc import mrc_claims
from emasync.hooks.metadata.extract_tiff import tiff_claims
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.storage import dtype_name, lossy

MAX_ARRAYS: Final = 1_000
"""Of one file that get a row."""

Extractor = Callable[[ByteSource, Claims], None]

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


def describe_file(item: DataFile, file: ByteSource) -> AssetRecord:
    """One file as an asset; one that is not what its name promises is noted.

    Parameters
    ----------
    item : DataFile
        Of kind ``tiff``, ``dm`` or ``mrc``.
    file : ByteSource
        The file, or what is known of it.
    """
    form, extract = _FORMATS[item.kind]
    claims = Claims("header", item.path, item.path)
    try:
        if not form.recognises(file.read(0, _HEAD_BYTES)):
            return not_of(item.kind, item.path)
        found, counted = _description(form, file)
    except EmasyncError as error:
        return AssetRecord(path=item.path, kind="file", format=item.kind, files=(item.path,), notes=(error.message,))
    try:
        extract(file, claims)
    except EmasyncError as error:
        claims.notes.append(error.message)
    pictures = [array for array in found.arrays if array.role != "thumbnail"]
    if not counted:
        claims.notes.append("how many pages it has is not known: only its first directory was read")
    claims.claim("format", found.format, "")
    return AssetRecord(
        path=item.path,
        kind="file",
        format=found.format,
        claims=tuple(claims.found),
        arrays=tuple(
            _record(array, item.path, number, axes=counted) for number, array in enumerate(pictures[:MAX_ARRAYS])
        ),
        files=(item.path,),
        notes=(*found.notes, *claims.notes, *_left_out(found, pictures)),
    )


def _description(form: FileFormat, file: ByteSource) -> tuple[FileDescription, bool]:
    """What a file holds, and whether all of its axes are told: of one that was not fetched, what its header tells."""
    try:
        return form.describe(file), True
    except UnreadError:
        if not isinstance(form, TiffFormat):
            raise
        return form.describe_first(file)


def _left_out(found: FileDescription, pictures: list[StoredArray]) -> tuple[str, ...]:
    more = len(pictures) - MAX_ARRAYS
    return (f"{more} more arrays of {found.format} get no row",) if more > 0 else ()


def _record(array: StoredArray, document: str, number: int, *, axes: bool) -> ArrayRecord:
    """One array of a file; lower resolutions are further scales of it."""
    claims = Claims("header", document, document)
    stored_claims(array, claims)
    if not axes:
        claims.found = [claim for claim in claims.found if claim.field != "axes"]
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
