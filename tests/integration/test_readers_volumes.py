"""Parts of chunked volumes after a real run, opened by readers that are not ours: ome-zarr-py and TensorStore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.folders import run_within
from tests.integration.readers import fetched

from emasync.testing import aind, pasteur, precomputed
from emasync.testing.precomputed import IMAGE, LABELS, hemibrain, read_precomputed
from emasync.testing.volumes import Volume


def multiscale(folder: Path) -> tuple[list[Volume], list[Any]]:
    """Levels and their transforms, as ome-zarr-py finds them."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    (node,) = Reader(parse_url(folder))()
    return [np.asarray(level) for level in node.data], node.metadata["coordinateTransformations"]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return aind.exaspim(tmp_path_factory.mktemp("aind"), levels=4)


@pytest.mark.parametrize("asset", [aind.RAW, aind.NEW], ids=["zarr2", "zarr3-shards"])
def test_levels_of_tiles_by_ome_zarr(tiles: Any, tmp_path: Path, asset: str) -> None:
    folder = fetched(tiles, tmp_path, source="aind", assets=[asset], scales=[1, 3], include=["SPIM.ome.zarr/**"])
    found = sorted(folder.glob(f"{asset}/SPIM.ome.zarr/*.zarr"))
    assert len(found) == 2
    for tile in found:
        levels, transforms = multiscale(tile)
        truth = [tiles.truth[f"{aind.BUCKET}/{asset}/SPIM.ome.zarr/{tile.name}/{level}"] for level in (1, 3)]
        for values, expected in zip(levels, truth, strict=True):
            np.testing.assert_array_equal(values, expected, strict=True)
        assert [item[0]["scale"] for item in transforms] == [[1, 1, 2, 1.496, 1.496], [1, 1, 8, 5.984, 5.984]]


@pytest.mark.parametrize("asset", [aind.RAW, aind.NEW], ids=["zarr2", "zarr3-shards"])
def test_a_box_of_a_tile_by_ome_zarr(tiles: Any, tmp_path: Path, asset: str) -> None:
    """Disk holds the hull of whole chunks, 16 x 32 x 32; a translation says where in the tile it lies."""
    crop = {"start": [17, 5, 33], "shape": [10, 40, 12]}
    folder = fetched(tiles, tmp_path, source="aind", assets=[asset], scales=[0], crop=crop, include=["SPIM*/**"])
    for tile in sorted(folder.glob(f"{asset}/SPIM.ome.zarr/*.zarr")):
        (box,), ((scale, place),) = multiscale(tile)
        truth = tiles.truth[f"{aind.BUCKET}/{asset}/SPIM.ome.zarr/{tile.name}/0"]
        np.testing.assert_array_equal(box, truth[:, :, 16:32, 0:64, 32:64], strict=True)
        corner = np.array(place["translation"]) / scale["scale"]
        np.testing.assert_allclose(corner[2:], [16, 0, 32], atol=1e-9)


def test_a_level_of_a_brain_by_ome_zarr(tmp_path: Path) -> None:
    """``image.ome.zarr`` is a multiscale image here, and a group of tiles at AIND."""
    twin = pasteur.interhemispheric(tmp_path / "made")
    arrays = [f"{asset}/{image}" for asset, image in pasteur.IMAGES.items()]
    folder = fetched(twin, tmp_path / "root", source="open_data", registry=pasteur.SLUG, arrays=arrays, scales=[1, 2])
    for array in arrays:
        levels, _ = multiscale(folder / array)
        for number, values in zip((1, 2), levels, strict=True):
            np.testing.assert_array_equal(values, twin.truth[f"{pasteur.BUCKET}/{array}/{number}"], strict=True)


def test_a_box_of_the_hemibrain_by_tensorstore(tmp_path: Path) -> None:
    """The same box of image and labels, out of 57 teravoxels, over the corner of eight minishards."""
    start, shape = (18368, 20416, 15296), (192, 128, 128)
    twin = hemibrain(tmp_path / "made", start=start, shape=shape)
    box = {"start": [18400, 20420, 15300], "shape": [100, 110, 120]}
    source = {"source": "bucket", "format": "precomputed", "scales": [0]}
    url = f"gs://{precomputed.HEMIBRAIN}"
    with twin.serve() as archive:
        datasets = [
            {"id": "em", "url": f"{url}/{IMAGE}", "crop": box, **source},
            {"id": "labels", "url": f"{url}/{LABELS}", "crop": {"same_as": "em"}, "role": "labels", **source},
        ]
        manifest = {"version": 1, "mirrors": twin.mirrors(archive.url), "datasets": datasets}
        assert run_within(manifest, tmp_path / "root").exit_code == 0
    for name, folder in (("em", IMAGE), ("labels", LABELS)):
        found, offset = read_precomputed(tmp_path / "root" / name)
        assert offset == (18368, 20416, 15296)
        assert found.shape == (192, 128, 128, 1)
        truth = twin.truth[f"{precomputed.HEMIBRAIN}/{folder}"]
        if name == "labels":
            np.testing.assert_array_equal(found[..., 0], truth, strict=True)
        else:
            lost = np.abs(found[..., 0].astype(int) - truth.astype(int))
            assert lost.mean() < 1.5, "of JPEG; a shift by one voxel would cost 3"
