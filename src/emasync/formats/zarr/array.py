"""Array metadata, Zarr v2 (``.zarray``) and v3 (``zarr.json``)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Field, Json, parse_object
from emasync.formats.lengths import bounded, lengths
from emasync.formats.paths import join
from emasync.formats.zarr.keys import ZARR_JSON, ZARRAY, ZATTRS
from emasync.formats.zarr.sharding import inner_chunk_shape
from emasync.model.task import escape_for_log

_TYPESTR = re.compile(r"^[<>|][biufcmMSUV](?P<size>\d{1,9})(\[.*\])?$")
_V3_SIZES = {"bool": 1, "bfloat16": 2} | {
    f"{kind}{bits}": bits // 8
    for kind, widths in (
        ("int", (8, 16, 32, 64)),
        ("uint", (8, 16, 32, 64)),
        ("float", (16, 32, 64)),
        ("complex", (64, 128)),
    )
    for bits in widths
}
_V3_REQUIRED = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")
_V2_REQUIRED = ("shape", "chunks", "dtype", "order")


def parse_zarray(path: str, documents: Mapping[str, bytes]) -> ArrayDescription:
    """Read a Zarr v2 array.

    ``compressor``, ``filters`` and ``fill_value`` are the decoder's matter and may be missing here; the separator is
    read, never assumed (absent means ``"."``).

    Parameters
    ----------
    path : str
        Folder of the array.
    documents : mapping of str to bytes
        By key: its ``.zarray`` and, where there is one, ``.zattrs``.

    Raises
    ------
    FormatError
        A rule of the Zarr v2 specification, section "Arrays", "Metadata", is broken; key and rule are named.
    """
    key = join(path, ZARRAY)
    root = Field(key, "", parse_object(key, documents[key]))
    _require(root, _V2_REQUIRED)
    if root.member("zarr_format").integer(0) != 2:  # noqa: PLR2004  # the version this parser is for
        raise root.member("zarr_format").broken("a .zarray has zarr_format 2")
    shape = lengths(root.member("shape"), 0)
    dtype = root.member("dtype")
    text, itemsize = _v2_dtype(dtype)
    description = ArrayDescription(
        path=path,
        format="zarr2",
        shape=shape,
        chunks=_chunks(root.member("chunks"), shape),
        dtype=text,
        itemsize_bytes=itemsize,
        fill_value=root.member("fill_value").value,
        axes=_xarray_axes(path, documents, len(shape)),
        separator=_separator(root.member("dimension_separator"), "."),
        order="F" if root.member("order").value == "F" else "C",
        documents=documents,
    )
    if root.member("order").value not in ("C", "F"):
        raise root.member("order").broken('order is "C" or "F"')
    return bounded(root.member("shape"), description)


def parse_zarr_json_array(path: str, documents: Mapping[str, bytes]) -> ArrayDescription:
    """Read a Zarr v3 array.

    Parameters
    ----------
    path : str
        Folder of the array.
    documents : mapping of str to bytes
        By key: its ``zarr.json``.

    Raises
    ------
    FormatError
        A rule of the Zarr v3 core specification, section "Array metadata", is broken; key and rule are named.
    SourceError
        A chunk grid or key encoding that this version does not know.
    """
    key = join(path, ZARR_JSON)
    root = Field(key, "", parse_object(key, documents[key]))
    _require(root, _V3_REQUIRED)
    shape = lengths(root.member("shape"), 0)
    transformers = root.member("storage_transformers")
    if transformers.value not in (None, []):
        raise _not_built(transformers, "storage transformers")
    encoding, separator = _key_encoding(root.member("chunk_key_encoding"))
    chunks = _regular_grid(root.member("chunk_grid"), shape)
    dtype = root.member("data_type")
    name = dtype.member("name") if isinstance(dtype.value, dict) else dtype
    return bounded(
        root.member("shape"),
        ArrayDescription(
            path=path,
            format="zarr3",
            shape=shape,
            chunks=chunks,
            inner_chunks=inner_chunk_shape(root.member("codecs"), chunks),
            dtype=name.text(),
            itemsize_bytes=_V3_SIZES.get(name.text()),
            fill_value=root.member("fill_value").value,
            axes=_dimension_names(root.member("dimension_names"), len(shape)),
            encoding=encoding,
            separator=separator,
            documents=documents,
        ),
    )


def _require(root: Field, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in root.object()]
    if missing:
        raise FormatError(
            f"{escape_for_log(root.key)}: array metadata without {', '.join(missing)}, which every array must state; "
            "leave the array out, or take its objects as they are with format: raw",
            location=root.key,
        )


def _chunks(field: Field, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunk lengths; 0 is let through where the axis has no extent, as writers of empty tables put it."""
    chunks = lengths(field, 0)
    if len(chunks) != len(shape):
        raise field.broken(f"expected one chunk length for each of the {len(shape)} axes of shape {list(shape)}")
    if any(chunk == 0 and size > 0 for chunk, size in zip(chunks, shape, strict=True)):
        raise field.broken("chunk lengths are at least 1")
    return tuple(max(1, chunk) for chunk in chunks)


def _separator(field: Field, default: Literal["/", "."]) -> Literal["/", "."]:
    match field.value:
        case None:
            return default
        case "/":
            return "/"
        case ".":
            return "."
    raise field.broken('the separator of chunk keys is "/" or "."')


def _v2_dtype(field: Field) -> tuple[str, int | None]:
    """Text and item size. Structured types (lists) are kept as JSON text: planning does not look inside."""
    if isinstance(field.value, list):
        return json.dumps(field.value), None
    text = field.text()
    found = _TYPESTR.match(text)
    if found is None:
        return text, None
    size = int(found["size"])
    return text, size * 4 if text[1] == "U" else size  # NumPy typestr counts UTF-32 characters


def _xarray_axes(path: str, documents: Mapping[str, bytes], count: int) -> tuple[str, ...] | None:
    """Axis names as xarray keeps them in v2 attributes (``_ARRAY_DIMENSIONS``); anything odd there says nothing."""
    key = join(path, ZATTRS)
    data = documents.get(key)
    names: Json = None if data is None else parse_object(key, data).get("_ARRAY_DIMENSIONS")
    if not isinstance(names, list) or len(names) != count:
        return None
    texts = tuple(name for name in names if isinstance(name, str))
    return texts if len(texts) == count else None


def _dimension_names(field: Field, count: int) -> tuple[str, ...] | None:
    """Zarr v3 core, "dimension_names": a list of names or nulls; partly named is taken as not named."""
    if field.value is None:
        return None
    items = field.items()
    if len(items) != count:
        raise field.broken(f"expected one name or null for each of the {count} axes")
    names = tuple(item.optional_text() for item in items)
    return tuple(name or "" for name in names) if all(names) else None


def _regular_grid(field: Field, shape: tuple[int, ...]) -> tuple[int, ...]:
    name = field.member("name")
    if name.text() != "regular":
        raise _not_built(name, "chunk grids other than regular")
    return _chunks(field.member("configuration").member("chunk_shape"), shape)


def _key_encoding(field: Field) -> tuple[Literal["default", "v2"], Literal["/", "."]]:
    """Zarr v3 core, "Chunk key encoding"; since 3.1 a bare name stands for the encoding with its defaults."""
    named = isinstance(field.value, dict)
    name = field.member("name") if named else field
    options = field.member("configuration") if named else Field(field.key, field.where, None)
    separator = options.member("separator") if options.value is not None else options
    match name.text():
        case "default":
            return "default", _separator(separator, "/")
        case "v2":
            return "v2", _separator(separator, ".")
    raise _not_built(name, "chunk key encodings other than default and v2")


def _not_built(field: Field, what: str) -> SourceError:
    text = field.broken(f"{what} are not built yet in this version; take the objects with format: raw").message
    return SourceError(text, kind=ErrorKind.NOT_BUILT, location=field.key)
