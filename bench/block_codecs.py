"""Writers of every other format and codec of ``docs/codecs.md``: raced too, with fewer crops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import numcodecs
import numpy as np
import numpy.typing as npt
import tensorstore
import tifffile
import zarr

from emasync.testing.dm3 import FLOAT32, UINT8, UINT32, array, simple, text, write_dm3
from emasync.testing.sparse import Literal

CHUNK: Final = 64
SHARD: Final = 256

Volume = npt.NDArray[np.uint8]
Write = Callable[[Path, Volume], None]

ZARR, N5, PRECOMPUTED = ("TensorStore", "zarr-python"), ("TensorStore", "z5py"), ("TensorStore", "CloudVolume")

_LITTLE: Final = {"name": "bytes", "configuration": {"endian": "little"}}


def codec_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    """Name, place, how it is written, and who else reads it."""
    yield from _zarr2_layouts()
    yield from _zarr3_layouts()
    yield from _n5_layouts()
    yield from _precomputed_layouts()
    yield from _tiff_layouts()
    yield from _hdf5_layouts()
    yield "dm3", "dm3/volume.dm3", _dm3, ("ncempy",)
    yield "binary", "binary/traces.raw", _binary, ("numpy",)


def _zarr2_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    for name, compressor, peers in (
        ("zlib", numcodecs.Zlib(5), ZARR),
        ("zstd", numcodecs.Zstd(3), ZARR),
        ("bz2", numcodecs.BZ2(1), ZARR),
        ("blosc-lz4", numcodecs.Blosc("lz4", 5, numcodecs.Blosc.BITSHUFFLE), ZARR),
        ("lz4", numcodecs.LZ4(), ("zarr-python",)),
        ("lzma", numcodecs.LZMA(preset=1), ("zarr-python",)),
    ):
        yield f"zarr2 {name}", f"zarr2-{name}.zarr", partial(zarr2, compressor, []), peers
    for name, item in (
        ("delta", numcodecs.Delta("u1")),
        ("shuffle", numcodecs.Shuffle(1)),
        ("fixedscaleoffset", numcodecs.FixedScaleOffset(offset=3, scale=1, dtype="u1", astype="u1")),
    ):
        write = partial(zarr2, numcodecs.Zstd(3), [item])
        yield f"zarr2 {name}", f"zarr2-{name}.zarr", write, ("zarr-python",)
    for sum_ in (numcodecs.CRC32(), numcodecs.CRC32C(), numcodecs.Adler32(), numcodecs.Fletcher32()):
        name = sum_.codec_id
        yield f"zarr2 {name}", f"zarr2-{name}.zarr", partial(zarr2, sum_, []), ("zarr-python",)


def zarr2(compressor: Any, filters: list[Any], path: Path, volume: Volume) -> None:  # Any: numcodecs has no types
    """Write Zarr of format 2."""
    made = zarr.create_array(
        str(path),
        shape=volume.shape,
        chunks=(CHUNK,) * 3,
        dtype=volume.dtype,
        zarr_format=2,
        compressors=compressor,
        filters=filters or None,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    made[:] = volume


def _zarr3_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    gzip, zstd = ({"name": name, "configuration": {"level": 3}} for name in ("gzip", "zstd"))
    blosc = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 1}}
    turned = {"name": "transpose", "configuration": {"order": [2, 1, 0]}}
    for name, codecs in (
        ("bytes", [_LITTLE]),
        ("transpose", [turned, _LITTLE, zstd]),
        ("gzip", [_LITTLE, gzip]),
        ("blosc", [_LITTLE, blosc]),
        ("crc32c", [_LITTLE, zstd, {"name": "crc32c"}]),
    ):
        yield f"zarr3 {name}", f"zarr3-{name}.zarr", partial(_zarr3, codecs), ZARR
        yield f"zarr3 shards {name}", f"shards-{name}.zarr", partial(_zarr3_shards, codecs), ZARR


def _zarr3(codecs: list[Any], path: Path, volume: Volume, *, chunk: int = CHUNK) -> None:
    metadata = {
        "shape": volume.shape,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": (chunk,) * 3}},
        "codecs": codecs,
    }
    _tensorstore(path, {"driver": "zarr3", "metadata": metadata})[...] = volume


def _zarr3_shards(codecs: list[Any], path: Path, volume: Volume) -> None:
    configuration = {
        "chunk_shape": (CHUNK,) * 3,
        "codecs": codecs,
        "index_codecs": [_LITTLE, {"name": "crc32c"}],
        "index_location": "end",
    }
    sharding = {"name": "sharding_indexed", "configuration": configuration}
    _zarr3([sharding], path, volume, chunk=min(SHARD, volume.shape[0]))


def _n5_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    for compression in (
        {"type": "raw"},
        {"type": "bzip2", "blockSize": 1},
        {"type": "xz", "preset": 1},
        {"type": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1},
        {"type": "zstd", "level": 3},
    ):
        name = str(compression["type"])
        peers = ("TensorStore",) if name == "zstd" else N5
        yield f"n5 {name}", f"n5-{name}.n5/volume", partial(n5, compression), peers
    yield "n5 lz4", "n5-lz4.n5/volume", _n5_lz4, ("z5py",)


def n5(compression: dict[str, Any], path: Path, volume: Volume) -> None:
    """Write an array of N5, and the document of its container, which z5py asks for."""
    (path.parent / "attributes.json").write_text('{"n5": "2.0.0"}')
    metadata = {
        "dimensions": volume.shape,
        "blockSize": (CHUNK,) * 3,
        "dataType": "uint8",
        "compression": compression,
    }
    _tensorstore(path, {"driver": "n5", "metadata": metadata}).T[...] = volume


def _n5_lz4(path: Path, volume: Volume) -> None:
    z5py: Any = import_module("z5py")  # an optional peer, without types
    (path.parent / "attributes.json").write_text('{"n5": "2.0.0"}')
    with z5py.File(str(path.parent), "a", use_zarr_format=False) as file:
        file.create_dataset("volume", data=volume, chunks=(CHUNK,) * 3, compression="lz4")


def _precomputed_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    blocks = {"compressed_segmentation_block_size": [8, 8, 8]}
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 1,
        "hash": "identity",
        "minishard_bits": 2,
        "shard_bits": 1,
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    }
    for name, encoding, dtype, more in (
        ("raw", "raw", "uint8", {}),
        ("png", "png", "uint8", {}),
        ("jpeg", "jpeg", "uint8", {"jpeg_quality": 85}),
        ("jxl", "jxl", "uint8", {}),
        ("compressed_segmentation", "compressed_segmentation", "uint64", blocks),
        ("shards", "raw", "uint8", {"sharding": sharding}),
    ):
        if encoding == "jxl":
            yield "precomputed jxl", "precomputed-jxl", partial(_cloudvolume, "jxl", "uint8"), ("CloudVolume",)
            continue
        write = partial(_precomputed, encoding, dtype, more)
        peers = ("TensorStore",) if name == "png" else PRECOMPUTED  # CloudVolume needs one more package for them
        yield f"precomputed {name}", f"precomputed-{name}", write, peers
    write = partial(_cloudvolume, "compresso", "uint32")
    yield "precomputed compresso", "precomputed-compresso", write, ("CloudVolume",)


def _precomputed(encoding: str, dtype: str, more: dict[str, Any], path: Path, volume: Volume) -> None:
    size = list(volume.shape[::-1])
    scale = {"encoding": encoding, "size": size, "chunk_size": [CHUNK] * 3, "resolution": [8, 8, 8], **more}
    spec = {
        "driver": "neuroglancer_precomputed",
        "multiscale_metadata": {"type": "image", "data_type": dtype, "num_channels": 1},
        "scale_metadata": scale,
    }
    _tensorstore(path, spec)[..., 0].T[...] = labels(volume, dtype)


def labels(volume: Volume, dtype: str) -> npt.NDArray[Any]:
    """The volume itself, or as many segments as labels have that people publish."""
    return volume if dtype == "uint8" else (volume >> 6).astype(dtype)


def _cloudvolume(encoding: str, dtype: str, path: Path, volume: Volume) -> None:
    volumes: Any = import_module("cloudvolume").CloudVolume  # an optional peer, without types
    kind = "image" if dtype == "uint8" else "segmentation"
    size = list(volume.shape[::-1])
    info = volumes.create_new_info(1, kind, dtype, encoding, [8, 8, 8], [0, 0, 0], size, chunk_size=[CHUNK] * 3)
    made = volumes(f"file://{path}", info=info, compress=False, progress=False)
    made.commit_info()
    made[:] = np.asfortranarray(labels(volume, dtype).T[..., None])


def _tiff_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    tile = {"tile": (CHUNK, CHUNK)}
    cases: Mapping[str, dict[str, Any]] = {
        "tiles": {**tile},
        "deflate": {"compression": "zlib", **tile},
        "deflate strips": {"compression": "zlib", "rowsperstrip": 16},
        "zstd": {"compression": "zstd", **tile},
        "lzma": {"compression": "lzma", "compressionargs": {"level": 1}, **tile},
        "lzw": {"compression": "lzw", **tile},
        "packbits": {"compression": "packbits", **tile},
        "predictor": {"compression": "zlib", "predictor": True, **tile},
        "jpeg": {"compression": "jpeg", **tile},
        "jpeg2000": {"compression": "jpeg2000", **tile},
        "jpegxl": {"compression": "jpegxl", **tile},
        "png": {"compression": "png", **tile},
        "lerc": {"compression": "lerc", **tile},
    }
    for name, options in cases.items():
        folder = f"tiff-{name}".replace(" ", "-")
        yield f"tiff {name}", f"{folder}/volume.tif", partial(_tiff, options), ("tifffile, pages",)


def _tiff(options: dict[str, Any], path: Path, volume: Volume) -> None:
    tifffile.imwrite(path, volume, photometric="minisblack", metadata=None, **options)


def _hdf5_layouts() -> Iterator[tuple[str, str, Write, tuple[str, ...]]]:
    cases: Mapping[str, dict[str, Any]] = {
        "contiguous": {"chunks": None},
        "gzip fletcher32": {"compression": "gzip", "compression_opts": 5, "shuffle": True, "fletcher32": True},
        "lzf": {"compression": "lzf"},
        "szip": {"compression": "szip"},
        "scaleoffset": {"scaleoffset": 0},
        "bzip2": dict(hdf5plugin.BZip2(1)),
        "blosc": dict(hdf5plugin.Blosc("zstd", 3)),
        "blosc2": dict(hdf5plugin.Blosc2("zstd", 3)),
        "zstd": dict(hdf5plugin.Zstd(3)),
        "lz4": dict(hdf5plugin.LZ4()),
        "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
        "bitshuffle lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
        "bitshuffle zstd": dict(hdf5plugin.Bitshuffle(cname="zstd", clevel=3)),
    }
    for name, options in cases.items():
        folder = f"hdf5-{name}".replace(" ", "-")
        yield f"hdf5 {name}", f"{folder}/volume.h5", partial(_hdf5, options), ("h5py",)


def _hdf5(options: dict[str, Any], path: Path, volume: Volume) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("volume", data=volume, **{"chunks": (CHUNK,) * 3, **options})


def _dm3(path: Path, volume: Volume) -> None:
    """As the microscope's program has it, as far as readers look: ncempy counts images by their calibrations."""
    sizes = [simple(UINT32, size) for size in volume.shape[::-1]]
    along = {"Origin": simple(FLOAT32, 0), "Scale": simple(FLOAT32, 8), "Units": text("nm")}
    pixels: dict[str, Any] = {
        "Calibrations": {"Dimension": [along] * 3},
        "Data": array(UINT8, Literal(volume.tobytes())),
        "DataType": simple(UINT32, 6),
        "Dimensions": sizes,
        "PixelDepth": simple(UINT32, 1),
    }
    body = write_dm3({"ImageList": [{"ImageData": pixels}]})
    path.write_bytes(body.read(0, body.size_bytes))


def _binary(path: Path, volume: Volume) -> None:
    """A recording with a channel for each x, as SpikeInterface writes it."""
    path.write_bytes(volume.tobytes())
    kwargs = {
        "file_paths": [path.name],
        "num_channels": volume.shape[2],
        "dtype": "uint8",
        "sampling_frequency": 30_000.0,
    }
    (path.parent / "binary.json").write_text(json.dumps({"class": "BinaryRecordingExtractor", "kwargs": kwargs}))


def _tensorstore(path: Path, spec: dict[str, Any]) -> Any:  # Any: TensorStore has no types
    kvstore = {"driver": "file", "path": f"{path}/"}
    return tensorstore.open({**spec, "kvstore": kvstore, "create": True}).result()
