"""Generated volumes are what they say, for readers of other people."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from emasync.testing.tiff import write_pages
from emasync.testing.volumes import halve, write_multipage_tiff, write_ome_zarr_04, write_ome_zarr_05_sharded


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_by_tensorstore(folder: Path, driver: str) -> Any:
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(folder)}}
    return tensorstore.open(spec, open=True, read=True).result().read().result()


def test_ome_zarr_04(tmp_path: Path) -> None:
    written = write_ome_zarr_04(tmp_path / "em.zarr")
    attributes = json.loads((tmp_path / "em.zarr" / ".zattrs").read_text())
    (multiscale,) = attributes["multiscales"]
    assert multiscale["version"] == "0.4"
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert [dataset["path"] for dataset in multiscale["datasets"]] == ["s0", "s1", "s2"]
    scale, translation = multiscale["datasets"][1]["coordinateTransformations"]
    assert (scale["scale"], translation["translation"]) == ([16.0, 8.0, 8.0], [4.0, 2.0, 2.0])
    group = zarr.open_group(tmp_path / "em.zarr", mode="r")
    for number, volume in enumerate(written.levels):
        array = group[f"s{number}"]
        assert isinstance(array, zarr.Array)
        assert array.dtype == np.int16
        np.testing.assert_array_equal(array[...], volume)
        np.testing.assert_array_equal(read_by_tensorstore(tmp_path / "em.zarr" / f"s{number}", "zarr"), volume)


def test_a_chunk_of_fill_is_absent(tmp_path: Path) -> None:
    written = write_ome_zarr_04(tmp_path / "em.zarr")
    assert written.levels[0].any()
    assert (tmp_path / "em.zarr" / "s0" / "0" / "0" / "0").is_file()
    assert not (tmp_path / "em.zarr" / "s0" / "2" / "2" / "2").exists()


def test_ome_zarr_05_with_shards(tmp_path: Path) -> None:
    written = write_ome_zarr_05_sharded(tmp_path / "ls.zarr")
    ome = json.loads((tmp_path / "ls.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5"
    assert ome["multiscales"][0]["axes"][0] == {"name": "z", "type": "space", "unit": "micrometer"}
    metadata = json.loads((tmp_path / "ls.zarr" / "s0" / "zarr.json").read_text())
    assert metadata["codecs"][0]["name"] == "sharding_indexed"
    assert metadata["dimension_names"] == ["z", "y", "x"]
    for number, volume in enumerate(written.levels):
        np.testing.assert_array_equal(read_by_tensorstore(tmp_path / "ls.zarr" / f"s{number}", "zarr3"), volume)
    assert not (tmp_path / "ls.zarr" / "s0" / "c" / "1" / "1" / "2").exists()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("shape", [(5, 7, 9), (2, 100, 131), (1, 1, 1)])
def test_multipage_tiff(tmp_path: Path, dtype: str, shape: tuple[int, int, int]) -> None:
    written = write_multipage_tiff(tmp_path / "s.tif", shape=shape, dtype=dtype)
    with tifffile.TiffFile(tmp_path / "s.tif") as file:
        assert len(file.pages) == shape[0]
        pages = np.stack([page.asarray() for page in file.pages])
        assert pages.dtype == dtype
        np.testing.assert_array_equal(pages, written.levels[0])
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert file.pages.first.tags["XResolution"].value == (
            2_000_000_000,
            1000,
        )  # 5 nm: 2,000,000 pixels a centimetre


def test_tiff_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32"):
        write_pages(tmp_path / "s.tif", np.zeros((1, 2, 2), np.float32), pixel_nm=1)
    huge = np.broadcast_to(np.uint8(0), (1 << 17, 1 << 8, 1 << 8))
    with pytest.raises(ValueError, match="too many"):
        write_pages(tmp_path / "s.tif", huge, pixel_nm=1)
    assert not (tmp_path / "s.tif").exists()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        place = tmp_path / name
        place.mkdir()
        write_ome_zarr_04(place / "x.zarr", shape=(20, 30, 40), chunks=(16, 16, 16), levels=2, seed=seed)
        write_ome_zarr_05_sharded(place / "y.zarr", shape=(20, 30, 40), shards=(32, 32, 32), levels=1, seed=seed)
        write_multipage_tiff(place / "z.tif", shape=(2, 8, 8), seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_small_volumes_keep_their_only_chunk(tmp_path: Path) -> None:
    written = write_ome_zarr_04(tmp_path / "x.zarr", shape=(4, 4, 4), chunks=(8, 8, 8), levels=4)
    assert written.levels[0].all()
    assert [level.shape for level in written.levels] == [(4, 4, 4), (2, 2, 2), (1, 1, 1), (1, 1, 1)]


def test_halving_averages() -> None:
    volume = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    np.testing.assert_array_equal(halve(volume), [[[round(volume[:2, :2, :2].mean())]]])
