"""Short texts in Zarr arrays: variable-length ones of versions 2 and 3. Pickled chunks are never opened."""

from __future__ import annotations

from typing import Any, Final

from emasync.errors import EmasyncError
from emasync.formats.compression import decompress
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import parse_object
from emasync.formats.paths import join
from emasync.formats.zarr.keys import ZARR_JSON, ZARRAY
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.claims import items, member, text_of

MAX_CHUNK_BYTES: Final = 1 << 20
MAX_TEXTS: Final = 100

_VLEN: Final = frozenset(("vlen-utf8", "vlen-bytes"))


def zarr_texts(tree: LocalTree, array: ArrayDescription) -> list[str]:
    """Texts of an array of one short chunk; none where it is something else.

    Parameters
    ----------
    tree : LocalTree
        That the array's path is in.
    array : ArrayDescription
    """
    if len(array.shape) > 1 or any(count != 1 for count in array.grid_shape):
        return []
    try:
        codecs = _codecs(array)
        data = tree.document(join(array.path, _key(array)), MAX_CHUNK_BYTES)
        if codecs is None or data is None:
            return []
        for codec in codecs:
            data = decompress(codec, data, MAX_CHUNK_BYTES)
        return _texts(data)
    except (EmasyncError, ValueError, KeyError):
        return []


def _key(array: ArrayDescription) -> str:
    if array.encoding == "v2":
        return "0"
    return "c" if not array.shape else f"c{array.separator}0"


def _codecs(array: ArrayDescription) -> list[str] | None:
    """Compressions in the order of decoding; None where the elements are no variable-length texts."""
    if array.format == "zarr2":
        document = parse_object(array.path, array.documents[join(array.path, ZARRAY)])
        filters = [text_of(member(step, "id")) for step in items(document.get("filters"))]
        compressor = document.get("compressor")
        if len(filters) != 1 or filters[0] not in _VLEN:
            return None
        return [text_of(member(compressor, "id"))] if compressor is not None else []
    document = parse_object(array.path, array.documents[join(array.path, ZARR_JSON)])
    names = [text_of(member(step, "name")) for step in items(document.get("codecs"))]
    return names[:0:-1] if names and names[0] in _VLEN else None


def _texts(data: bytes) -> list[str]:
    """Elements of numcodecs' VLen codecs: a count, then length and bytes of each, 32 bits little-endian.

    Raises
    ------
    ValueError
        The lengths do not fit.
    """
    count, at = int.from_bytes(data[:4], "little"), 4
    found: list[Any] = []
    for _ in range(min(count, MAX_TEXTS)):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise ValueError("texts are cut off")
        found.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found
