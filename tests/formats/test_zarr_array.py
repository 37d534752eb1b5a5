"""Array metadata, rule by rule."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription
from emasync.formats.zarr.array import parse_zarr_json_array, parse_zarray

V2 = {
    "chunks": [64, 64, 64],
    "compressor": {"id": "zstd", "level": 1},
    "dimension_separator": "/",
    "dtype": "<i2",
    "fill_value": 0,
    "filters": None,
    "order": "C",
    "shape": [564, 2520, 2596],
    "zarr_format": 2,
}
V3 = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [100, 200],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [32, 64]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}
SHARDING = {
    "name": "sharding_indexed",
    "configuration": {"chunk_shape": [16, 32], "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "bytes"}]},
}


def v2(path: str = "s0", *, zattrs: bytes | None = None, **changes: Any) -> ArrayDescription:
    text = {**V2, **changes}
    documents = {f"{path}/.zarray": json.dumps({k: v for k, v in text.items() if v is not ...}).encode()}
    return parse_zarray(path, documents | ({} if zattrs is None else {f"{path}/.zattrs": zattrs}))


def v3(**changes: Any) -> ArrayDescription:
    text = {**V3, **changes}
    data = json.dumps({k: v for k, v in text.items() if v is not ...}).encode()
    return parse_zarr_json_array("a", {"a/zarr.json": data})


def test_an_openorganelle_array() -> None:
    array = v2()
    assert (array.path, array.format, array.shape, array.chunks) == ("s0", "zarr2", (564, 2520, 2596), (64, 64, 64))
    assert (array.dtype, array.itemsize_bytes, array.fill_value, array.order) == ("<i2", 2, 0, "C")
    assert (array.encoding, array.separator, array.sharded) == ("v2", "/", False)
    assert array.grid_shape == (9, 40, 41)
    assert array.object_bytes == 64**3 * 2
    assert list(array.documents) == ["s0/.zarray"]


def test_the_separator_is_a_dot_where_none_is_stated() -> None:
    assert v2(dimension_separator=...).separator == "."
    assert v2(dimension_separator=None).separator == "."


def test_what_writers_left_out_or_put_oddly_is_let_through() -> None:
    assert v2(fill_value=..., compressor=..., filters=...).fill_value is None
    assert v2(shape=[564.0, 2520, 2596]).shape == (564, 2520, 2596)
    assert v2(shape=[0, 5, 5], chunks=[0, 5, 5]).chunks == (1, 5, 5)
    assert v2(shape=[0, 5, 5]).grid_shape == (0, 1, 1)


@pytest.mark.parametrize(
    ("dtype", "text", "size"),
    [
        ("|u1", "|u1", 1),
        (">f8", ">f8", 8),
        ("<U5", "<U5", 20),
        ("|S7", "|S7", 7),
        ("<M8[ns]", "<M8[ns]", 8),
        ("|O", "|O", None),
        ([["a", "<i2"], ["b", "<f4"]], '[["a", "<i2"], ["b", "<f4"]]', None),
    ],
)
def test_v2_types(dtype: object, text: str, size: int | None) -> None:
    array = v2(dtype=dtype)
    assert (array.dtype, array.itemsize_bytes) == (text, size)
    assert array.object_bytes == (None if size is None else 64**3 * size)


@pytest.mark.parametrize(
    ("attributes", "axes"),
    [
        ({"_ARRAY_DIMENSIONS": ["z", "y", "x"]}, ("z", "y", "x")),
        ({"_ARRAY_DIMENSIONS": ["y", "x"]}, None),
        ({"_ARRAY_DIMENSIONS": ["z", "y", 3]}, None),
        ({"_ARRAY_DIMENSIONS": None}, None),
        ({}, None),
    ],
)
def test_xarray_names_axes_in_v2_attributes(attributes: object, axes: tuple[str, ...] | None) -> None:
    assert v2(zattrs=json.dumps(attributes).encode()).axes == axes


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"shape": ..., "dtype": ...}, r"s0/\.zarray: array metadata without shape, dtype"),
        ({"zarr_format": 3}, "zarr_format is 3; a .zarray has zarr_format 2"),
        ({"zarr_format": ...}, "zarr_format is null"),
        ({"shape": "564"}, "shape is '564'; expected a list"),
        ({"shape": [-1, 5, 5]}, r"shape\[0\] is -1; expected an integer from 0"),
        ({"shape": [1 << 63, 5, 5]}, r"shape\[0\] is 9223372036854775808"),
        ({"shape": [1] * 33}, "an array has at most 32 axes"),
        ({"chunks": [64, 64]}, "expected one chunk length for each of the 3 axes"),
        ({"chunks": [0, 64, 64]}, "chunk lengths are at least 1"),
        ({"chunks": [-64, 64, 64]}, r"chunks\[0\] is -64"),
        ({"shape": [1 << 40] * 3, "chunks": [1] * 3}, "more objects than can be numbered"),
        ({"dimension_separator": "//"}, "the separator of chunk keys is"),
        ({"order": "K"}, 'order is "C" or "F"'),
        ({"dtype": 5}, "dtype is 5; expected a string"),
    ],
)
def test_broken_v2_arrays_name_the_rule(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(FormatError, match=rule) as failure:
        v2(**changes)
    assert failure.value.message.startswith("s0/.zarray: ")


def test_a_v3_array() -> None:
    array = v3()
    assert (array.format, array.shape, array.chunks, array.dtype) == ("zarr3", (100, 200), (32, 64), "uint16")
    assert (array.itemsize_bytes, array.encoding, array.separator, array.axes) == (2, "default", "/", None)
    assert v3(dimension_names=["y", "x"]).axes == ("y", "x")
    assert v3(dimension_names=["y", None]).axes is None
    assert v3(dimension_names=None, storage_transformers=[]).axes is None
    assert v3(codecs=["bytes"]).sharded is False


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"name": "default"}, ("default", "/")),
        ({"name": "default", "configuration": {"separator": "."}}, ("default", ".")),
        ({"name": "v2"}, ("v2", ".")),
        ({"name": "v2", "configuration": {"separator": "/"}}, ("v2", "/")),
        ({"name": "v2", "configuration": {}}, ("v2", ".")),
        ("default", ("default", "/")),
        ("v2", ("v2", ".")),
    ],
)
def test_v3_key_encodings(stated: object, expected: tuple[str, str]) -> None:
    array = v3(chunk_key_encoding=stated)
    assert (array.encoding, array.separator) == expected


@pytest.mark.parametrize(
    ("data_type", "name", "size"),
    [
        ("float32", "float32", 4),
        ("bool", "bool", 1),
        ("complex128", "complex128", 16),
        ("string", "string", None),
        ({"name": "numpy.datetime64", "configuration": {"unit": "s"}}, "numpy.datetime64", None),
    ],
)
def test_v3_types(data_type: object, name: str, size: int | None) -> None:
    array = v3(data_type=data_type)
    assert (array.dtype, array.itemsize_bytes) == (name, size)


def test_a_shard_is_one_object() -> None:
    array = v3(codecs=[SHARDING])
    assert (array.chunks, array.inner_chunks, array.sharded) == ((32, 64), (16, 32), True)
    assert array.grid_shape == (4, 4)
    turned = [{"name": "transpose", "configuration": {"order": [1, 0]}}, SHARDING]
    assert v3(codecs=turned).inner_chunks == (32, 16), "in the array's order, not in that of the turned shard"
    odd = [{"name": "bitround"}, {**SHARDING, "configuration": {"chunk_shape": [7, 7]}}]
    assert v3(codecs=odd).inner_chunks == (7, 7), "what is not understood is no reason to refuse whole shards"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"data_type": ..., "codecs": ...}, "array metadata without data_type, codecs"),
        ({"fill_value": ...}, "array metadata without fill_value"),
        ({"chunk_grid": "regular"}, "chunk_grid is 'regular'; expected an object"),
        ({"chunk_grid": {"name": "regular"}}, "chunk_grid.configuration is null; expected an object"),
        ({"codecs": []}, "an array has at least one codec"),
        ({"codecs": [5]}, r"codecs\[0\] is 5; expected a string"),
        ({"codecs": [{"name": None}]}, r"codecs\[0\].name is null"),
        ({"dimension_names": ["y"]}, "expected one name or null for each of the 2 axes"),
        ({"dimension_names": ["y", 2]}, r"dimension_names\[1\] is 2"),
        ({"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "-"}}}, "the separator of chunk keys"),
    ],
)
def test_broken_v3_arrays_name_the_rule(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(FormatError, match=rule) as failure:
        v3(**changes)
    assert failure.value.message.startswith("a/zarr.json: ")


@pytest.mark.parametrize(
    ("inner", "rule"),
    [([16], "expected one length for each of the 2 axes"), ([16, 33], "must divide"), ([0, 32], r"chunk_shape\[0\]")],
)
def test_inner_chunks_must_fit_their_shard(inner: list[int], rule: str) -> None:
    with pytest.raises(FormatError, match=rule):
        v3(codecs=[{"name": "sharding_indexed", "configuration": {"chunk_shape": inner}}])


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"chunk_grid": {"name": "rectilinear", "configuration": {}}}, "chunk grids other than regular"),
        ({"chunk_key_encoding": {"name": "fanout"}}, "chunk key encodings other than default and v2"),
        ({"storage_transformers": [{"name": "x"}]}, "storage transformers are not built"),
    ],
)
def test_extensions_that_change_keys_are_not_built_yet(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(SourceError, match=what) as failure:
        v3(**changes)
    assert failure.value.kind is ErrorKind.NOT_BUILT


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("separator", ["/", "."])
def test_what_zarr_python_writes_reads_the_same(tmp_path: Any, zarr_format: int, separator: str) -> None:
    written = zarr.create_array(
        tmp_path / "a",
        shape=(7, 9),
        chunks=(2, 4),
        dtype=np.dtype(">f4"),
        fill_value=float("nan"),
        zarr_format=zarr_format,  # type: ignore[arg-type]  # 2 or 3
        chunk_key_encoding={"name": "v2", "separator": separator},
        dimension_names=("y", "x") if zarr_format == 3 else None,
    )
    name, parse = (".zarray", parse_zarray) if zarr_format == 2 else ("zarr.json", parse_zarr_json_array)
    array = parse("a", {f"a/{name}": (tmp_path / "a" / name).read_bytes()})
    assert (array.shape, array.chunks, array.itemsize_bytes) == (written.shape, written.chunks, 4)
    assert (array.encoding, array.separator) == ("v2", separator)
    assert array.grid_shape == written.cdata_shape
