"""Writers of other people, each with all of its codecs, and how they read back what they wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.volume.read.desk import Array

Box = tuple[slice, ...]
Read = Callable[[Box], Any]
Written = Iterator[tuple[str, Read]]
"""Path of an array below the folder, and its writer's own way to read a box of it."""

Write = Callable[[Path, Array, tuple[int, ...]], Written]
"""Folder, voxels z, y, x, and chunks of them."""


def zarr2_by_tensorstore(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    compressors: dict[str, Any] = {
        "none": None,
        "zlib": {"id": "zlib", "level": 1},
        "gzip": {"id": "gzip", "level": 1},
        "bz2": {"id": "bz2", "level": 1},
        "zstd": {"id": "zstd", "level": 1},
        "blosc": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": -1},
        "blosc-zstd": {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 2, "blocksize": 0},
    }
    for name, compressor in compressors.items():
        for order in "CF":
            metadata = {
                "shape": data.shape,
                "chunks": chunks,
                "dtype": data.dtype.newbyteorder("<" if order == "C" else ">").str,
                "compressor": compressor,
                "order": order,
                "dimension_separator": "./"[order == "F"],
            }
            yield _tensorstore(folder, f"{name}-{order}.zarr", data, {"driver": "zarr", "metadata": metadata})


def zarr3_by_tensorstore(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    little, big = ({"name": "bytes", "configuration": {"endian": end}} for end in ("little", "big"))
    turned = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}
    chains = {
        "bytes": [little],
        "turned": [turned, big],
        "gzip": [little, {"name": "gzip", "configuration": {"level": 1}}],
        "zstd": [little, {"name": "zstd", "configuration": {"level": 1}}],
        "blosc": [turned, little, {"name": "blosc", "configuration": {"cname": "zstd", "shuffle": "bitshuffle"}}],
        "crc32c": [big, {"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}],
    }
    for name, codecs in chains.items():
        yield _zarr3(folder, f"{name}.zarr", data, chunks, codecs)
        for location in ("start", "end"):
            sharding = {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": chunks,
                    "codecs": codecs,
                    "index_codecs": [little, {"name": "crc32c"}],
                    "index_location": location,
                },
            }
            shards = tuple(2 * size for size in chunks)
            yield _zarr3(folder, f"{name}-{location}.zarr", data, shards, [sharding])


def _zarr3(folder: Path, name: str, data: Array, chunks: tuple[int, ...], codecs: Any) -> tuple[str, Read]:
    metadata = {
        "shape": data.shape,
        "data_type": data.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "codecs": codecs,
    }
    return _tensorstore(folder, name, data, {"driver": "zarr3", "metadata": metadata})


def n5_by_tensorstore(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    compressions: tuple[Any, ...] = (
        {"type": "raw"},
        {"type": "gzip", "level": 1},
        {"type": "gzip", "useZlib": True},
        {"type": "bzip2"},
        {"type": "xz"},
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
        {"type": "zstd"},
    )
    for number, compression in enumerate(compressions):
        metadata = {
            "dimensions": data.shape[::-1],
            "blockSize": chunks[::-1],
            "dataType": data.dtype.name,
            "compression": compression,
        }
        spec = {"driver": "n5", "metadata": metadata}
        yield _tensorstore(folder, f"{compression['type']}-{number}.n5", data, spec, turned=True)


def precomputed_by_tensorstore(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 1,
        "hash": "murmurhash3_x86_128",
        "minishard_bits": 2,
        "shard_bits": 1,
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    }
    encodings: list[tuple[str, str, dict[str, Any]]] = [
        ("raw", data.dtype.name, {}),
        ("png", "uint8", {}),
        ("jpeg", "uint8", {"jpeg_quality": 80}),
        ("compressed_segmentation", "uint32", {"compressed_segmentation_block_size": [4, 3, 2]}),
        ("compressed_segmentation", "uint64", {"compressed_segmentation_block_size": [8, 8, 8]}),
    ]
    for encoding, dtype, more in encodings:
        for shards in (None, sharding):
            spec = {
                "driver": "neuroglancer_precomputed",
                "multiscale_metadata": {"type": "image", "data_type": dtype, "num_channels": 1},
                "scale_metadata": {
                    "encoding": encoding,
                    "size": data.shape[::-1],
                    "chunk_size": chunks[::-1],
                    "resolution": [4, 5, 6],
                    "voxel_offset": [0, 7, -9],
                    **({"sharding": shards} if shards else {}),
                    **more,
                },
            }
            name = f"{encoding}-{dtype}{'-shards' if shards else ''}"
            _, theirs = _tensorstore(folder, name, data.astype(dtype), spec, turned=True)
            yield f"{name}/4_5_6", theirs


def _tensorstore(folder: Path, name: str, data: Array, spec: Any, *, turned: bool = False) -> tuple[str, Read]:
    import tensorstore

    kvstore = {"driver": "file", "path": f"{folder / name}/"}
    context = tensorstore.Context({"file_io_sync": False})
    store = tensorstore.open({**spec, "kvstore": kvstore, "create": True}, context=context).result()
    store = store[..., 0] if store.ndim > data.ndim else store
    store = (store.T if turned else store)[tensorstore.d[:].translate_to[0]]
    store[...] = data
    return name, lambda box: store[box].read().result()


def zarr2_by_zarr(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    import numcodecs as nc

    item, dtype = data.dtype.itemsize, data.dtype.str
    compressors = [nc.GZip(1), nc.Zlib(1), nc.Zstd(), nc.LZ4(), nc.BZ2(1), nc.LZMA(preset=0), nc.Blosc("zstd")]
    compressors += [nc.CRC32(), nc.CRC32C(), nc.Adler32(), nc.Fletcher32()]
    filters: list[list[Any]] = [[], [nc.Shuffle(item)]]
    if data.dtype.kind in "iu":
        filters.append([nc.Delta(dtype), nc.Shuffle(item)])
    for number, compressor in enumerate([None, *compressors]):
        yield _zarr(
            folder,
            f"{number}-{compressor.codec_id if compressor else 'none'}.zarr",
            data,
            chunks=chunks,
            zarr_format=2,
            compressors=compressor,
            filters=filters[number % len(filters)] or None,
            order="CF"[number % 2],
        )


def zarr3_by_zarr(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

    for number, chain in enumerate(([], [GzipCodec(level=1)], [ZstdCodec(), Crc32cCodec()], [BloscCodec()])):
        more = {"chunks": chunks, "compressors": chain, "zarr_format": 3}
        yield _zarr(folder, f"{number}.zarr", data, **more)
        yield _zarr(folder, f"{number}-shards.zarr", data, shards=tuple(3 * size for size in chunks), **more)


def _zarr(folder: Path, name: str, data: Array, **options: Any) -> tuple[str, Read]:
    import zarr

    array: Any = zarr.create_array(str(folder / name), shape=data.shape, dtype=data.dtype, **options)
    array[...] = data
    return name, lambda box: array[box]


def z5(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    """N5 and Zarr by z5py, which nobody else's code is in."""
    z5py: Any = import_module("z5py")  # without types
    kinds = {"n5": ("raw", "gzip", "bzip2", "xz", "lz4", "blosc"), "zarr": ("raw", "zlib", "gzip", "bzip2", "blosc")}
    for kind, compressions in kinds.items():
        with z5py.File(str(folder / f"z5.{kind}"), "a") as file:
            for compression in compressions:
                array = file.create_dataset(compression, data=data, chunks=chunks, compression=compression)
                yield f"z5.{kind}/{compression}", array.__getitem__


TIFF_NUMBERS: Final = ("none", "zlib", "lzw", "packbits", "zstd", "lzma", "lerc")
TIFF_PICTURES: Final = ("jpeg", "jpeg2000", "jpegxl", "png")


def tiff(folder: Path, data: Array, _: tuple[int, ...]) -> Written:
    cases: list[dict[str, Any]] = [{"compression": name} for name in TIFF_NUMBERS]
    cases += [{"compression": name, "tile": (16, 32)} for name in TIFF_NUMBERS]
    cases += [{"compression": name, "rowsperstrip": 5, "byteorder": ">"} for name in ("none", "zlib", "lzw")]
    cases += [{"compression": "zlib", "predictor": True, "bigtiff": True}, {"contiguous": True}]
    for number, options in enumerate(cases):
        yield _tiff(folder, f"{number}-{options.get('compression')}.tif", data, **options)
    small = data.astype(np.uint8)
    for name in TIFF_PICTURES:
        yield _tiff(folder, f"{name}.tif", small, compression=name, tile=(16, 16))
    colours = np.stack([small, small // 2, 255 - small], axis=-1)
    for planes, axis in (("contig", -1), ("separate", 1)):
        options = {"photometric": "rgb", "planarconfig": planes, "compression": "zlib"}
        yield _tiff(folder, f"{planes}.tif", np.moveaxis(colours, -1, axis), colours=axis, **options)


def _tiff(folder: Path, name: str, pages: Array, colours: int = -1, **options: Any) -> tuple[str, Read]:
    import tifffile

    options = {"photometric": "minisblack", "metadata": None, **options}
    tifffile.imwrite(folder / name, pages, **options)
    whole = np.moveaxis(tifffile.imread(folder / name).reshape(pages.shape), colours, -1)
    return f"{name}/0", whole.__getitem__


def hdf5(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    import h5py
    import hdf5plugin

    filters: list[dict[str, Any]] = [
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "lzf", "shuffle": True},
        {"compression": "szip"} if data.size and np.prod(chunks) >= MIN_SZIP else {},
        {"fletcher32": True},
        {"scaleoffset": 0} if data.dtype.kind in "iu" else {},
        dict(hdf5plugin.Blosc()),
        dict(hdf5plugin.Blosc2()),
        dict(hdf5plugin.LZ4()),
        dict(hdf5plugin.Zstd()),
        dict(hdf5plugin.BZip2()),
        dict(hdf5plugin.Bitshuffle()),
        dict(hdf5plugin.Bitshuffle(cname="none")),
    ]
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("contiguous", data=data)
        for number, options in enumerate(filters):
            file.create_dataset(f"a{number}", data=data, chunks=chunks, **options)
    kept = h5py.File(folder / "a.h5", "r")
    for name, dataset in kept.items():
        yield f"a.h5/{name}", dataset.__getitem__


MIN_SZIP: Final = 32
"""Values of one block of szip; a chunk has no fewer."""


def mrc(folder: Path, data: Array, _: tuple[int, ...]) -> Written:
    mrcfile: Any = import_module("mrcfile")  # without types

    for dtype in ("int8", "int16", "float32", "complex64", "uint16", "float16", ">i2", ">f4"):
        name = f"{dtype.strip('>')}-{len(dtype)}.mrc"
        with mrcfile.new(str(folder / name)) as file:
            file.set_data(data.astype(dtype))
        yield name, _opened_mrc(folder / name)


def _opened_mrc(path: Path) -> Read:
    mrcfile: Any = import_module("mrcfile")  # without types

    voxels = mrcfile.mmap(str(path), "r").data
    return lambda box: np.asarray(voxels[box])


def cloudvolume(folder: Path, data: Array, chunks: tuple[int, ...]) -> Written:
    """Precomputed volumes; CloudVolume has channels behind x, y, z."""
    volumes: Any = import_module("cloudvolume").CloudVolume
    for encoding, dtype, kind in (
        ("raw", "uint16", "image"),
        ("jpeg", "uint8", "image"),
        ("compressed_segmentation", "uint64", "segmentation"),
        ("compresso", "uint32", "segmentation"),
    ):
        info = volumes.create_new_info(
            1, kind, dtype, encoding, [4, 4, 40], [0, 0, 0], data.shape[::-1], chunk_size=chunks[::-1]
        )
        volume = volumes(f"file://{folder / encoding}", info=info, compress=False, progress=False, bounded=True)
        volume.commit_info()
        volume[:] = np.asfortranarray(data.T.astype(dtype)[..., None])
        yield f"{encoding}/4_4_40", _turned(volume)


def _turned(volume: Any) -> Read:
    return lambda box: np.asarray(volume[box[::-1]])[..., 0].T


PEERS: Final[dict[str, Write]] = {
    "TensorStore, Zarr 2": zarr2_by_tensorstore,
    "TensorStore, Zarr 3": zarr3_by_tensorstore,
    "TensorStore, N5": n5_by_tensorstore,
    "TensorStore, precomputed": precomputed_by_tensorstore,
    "zarr-python, Zarr 2": zarr2_by_zarr,
    "zarr-python, Zarr 3": zarr3_by_zarr,
    "z5py": z5,
    "tifffile": tiff,
    "h5py": hdf5,
    "mrcfile": mrc,
    "CloudVolume": cloudvolume,
}
