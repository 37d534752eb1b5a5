"""What h5py writes, through every filter, is what comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import FileBytes, of_file, voxels

from emasync.errors import FormatError
from emasync.formats.decoding import decoder_for, layout_of_stored
from emasync.formats.hdf5.format import Hdf5Format

h5py: Any = pytest.importorskip("h5py")
hdf5plugin: Any = pytest.importorskip("hdf5plugin")


def hdf5_filters() -> dict[str, Callable[[], dict[str, Any]]]:
    return {
        "gzip": lambda: {"compression": "gzip"},
        "gzip-shuffle-fletcher32": lambda: {"compression": "gzip", "shuffle": True, "fletcher32": True},
        "lzf": lambda: {"compression": "lzf"},
        "szip": lambda: {"compression": "szip"},
        "szip-ec": lambda: {"compression": "szip", "compression_opts": ("ec", 8)},
        "scaleoffset": lambda: {"scaleoffset": 2},
        "bitshuffle": lambda: dict(hdf5plugin.Bitshuffle(cname="none")),
        "bitshuffle-lz4": lambda: dict(hdf5plugin.Bitshuffle()),
        "bitshuffle-zstd": lambda: dict(hdf5plugin.Bitshuffle(cname="zstd", nelems=64)),
        "blosc": lambda: dict(hdf5plugin.Blosc()),
        "blosc2": lambda: dict(hdf5plugin.Blosc2()),
        "lz4": lambda: dict(hdf5plugin.LZ4()),
        "zstd": lambda: dict(hdf5plugin.Zstd()),
        "bzip2": lambda: dict(hdf5plugin.BZip2()),
    }


@pytest.mark.parametrize("name", list(hdf5_filters()))
def test_hdf5_as_its_library_writes_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.h5"
    options = hdf5_filters()[name]()
    random = np.random.default_rng(1)
    cases = [(dtype, shape) for dtype in ("|u1", "<i4", ">u2", "<f4", ">f8") for shape in ((30, 17, 21), (301,))]
    with h5py.File(path, "w") as file:
        for dtype, shape in cases:
            chunks = tuple(min(16, size) for size in shape) if len(shape) > 1 else (97,)
            steep = voxels(shape, dtype) if len(shape) > 1 else random.integers(0, 200, shape).astype(dtype)
            file.create_dataset(f"{dtype}{len(shape)}", data=steep, chunks=chunks, **options)
            file.create_dataset(f"zero {dtype}{len(shape)}", data=steep * 0, chunks=chunks, **options)
            empty = file.create_dataset(
                f"part {dtype}{len(shape)}", shape, dtype, chunks=chunks, fillvalue=9, **options
            )
            empty[:20] = steep[:20]
    compare_hdf5(path)


def test_numbers_that_fill_all_of_their_bits(tmp_path: Path) -> None:
    """Scale-offset gains nothing of them, and leaves them as they are."""
    path = tmp_path / "a.h5"
    random = np.random.default_rng(2)
    with h5py.File(path, "w") as file:
        for dtype in ("|u1", "<u2", ">i4"):
            kind = np.iinfo(np.dtype(dtype))
            noise = random.integers(kind.min, kind.max, 4096, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True)
            file.create_dataset(dtype, data=noise.astype(dtype), chunks=(1024,), scaleoffset=0)
    compare_hdf5(path)


def test_a_frame_of_blosc2_that_has_no_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", data=np.zeros((16, 16)), chunks=(16, 16), **hdf5plugin.Blosc2())
        file.flush()
        data = dataset.id.read_direct_chunk((0, 0))[1]
    (array,) = Hdf5Format().describe(FileBytes(path)).arrays
    decoder = decoder_for(layout_of_stored(array))
    assert not decoder.decode("k", data, (16, 16)).any()
    zeros = bytes(7) + b"\x81"  # the place of a chunk that is all zero
    assert data.count(zeros) == 1
    with pytest.raises(FormatError, match="is a frame of Blosc2 without a chunk"):
        decoder.decode("k", data.replace(zeros, bytes(8)), (16, 16))


def compare_hdf5(path: Path) -> None:
    arrays = Hdf5Format().describe(FileBytes(path)).arrays
    with h5py.File(path) as file:
        assert {array.path for array in arrays} == set(file)
        for array in arrays:
            assert np.array_equal(of_file(path, array), file[array.path][...]), array.path


def test_chunks_of_hdf5_that_went_without_some_filters(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    noise = np.random.default_rng(0).integers(0, 256, (64, 32), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file.create_dataset("noise", data=noise, chunks=(16, 16), compression="lzf", shuffle=True)
        mixed = file.create_dataset("mixed", (4, 256), "u1", chunks=(1, 256), compression="gzip", shuffle=True)
        mixed[0] = noise[:8].ravel()
        mixed.id.write_direct_chunk((1, 0), noise[8:16].tobytes(), 0b11)
    (found, _) = Hdf5Format().describe(FileBytes(path)).arrays
    assert found.table is not None
    assert found.table.skipped is not None
    assert set(found.table.skipped.ravel().tolist()) == {0, 3}
    compare_hdf5(path)
