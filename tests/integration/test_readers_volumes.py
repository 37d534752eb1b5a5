"""Parts of chunked volumes after a real run, opened by readers that are not ours: ome-zarr-py and TensorStore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.folders import run_within
from tests.integration.readers import fetched

from emasync.testing import aind, pasteur
from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.precomputed import hemibrain, read_precomputed
from emasync.testing.shipped import hemibrain as flat_hemibrain
from emasync.testing.shipped import openorganelle
from emasync.testing.shipped.hemibrain import BUCKET, FIRST, IMAGE, LABELS
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


def test_openorganelle_by_ome_zarr(tmp_path: Path) -> None:
    """A box of the finest level of the true grid, and whole coarse levels, each with its half-voxel translations."""
    twin = openorganelle.twin()
    source = {"url": f"s3://{openorganelle.BUCKET}/{openorganelle.CONTAINER}", "arrays": [openorganelle.GROUP]}
    crop = {"start": [130, 1025, 1030], "shape": [60, 100, 30]}
    box = fetched(twin, tmp_path / "box", source="bucket", scales=[0], crop=crop, **source)
    (found,), ((scale, place),) = multiscale(box / openorganelle.GROUP)
    np.testing.assert_array_equal(found, openorganelle.voxels(0, (128, 1024, 1024), (64, 128, 64)), strict=True)
    np.testing.assert_allclose(np.divide(place["translation"], scale["scale"]), [128, 1024, 1024], rtol=1e-12)
    coarse = fetched(twin, tmp_path / "coarse", source="bucket", scales=[5, 8], **source)
    levels, transforms = multiscale(coarse / openorganelle.GROUP)
    for number, values in zip((5, 8), levels, strict=True):
        np.testing.assert_array_equal(values, openorganelle.voxels(number, (0, 0, 0), values.shape), strict=True)
    assert [values.shape for values in levels] == [(17, 78, 81), (2, 9, 10)], "halved and rounded down"
    np.testing.assert_allclose(transforms[1][1]["translation"], [377.4, 510, 510], rtol=1e-12)


def boxes_of_the_hemibrain(twin: ArchiveTwin, root: Path, **crop: list[int]) -> tuple[Volume, Volume, tuple[int, ...]]:
    """The same box of image and labels, and where it begins, as TensorStore finds them after a run.

    Trap 3 of hemibrain.md: ``info`` arrives encoded, shards never do.
    """
    source = {"source": "bucket", "format": "precomputed", "scales": [0]}
    with twin.serve(faults={"*/info": [{"gzip_whole": True}]}) as archive:
        datasets = [
            {"id": "em", "url": f"gs://{BUCKET}/{IMAGE}", "crop": crop, **source},
            {"id": "labels", "url": f"gs://{BUCKET}/{LABELS}", "crop": {"same_as": "em"}, "role": "labels", **source},
        ]
        manifest = {"version": 1, "mirrors": twin.mirrors(archive.url), "datasets": datasets}
        assert run_within(manifest, root).exit_code == 0
    image, offset = read_precomputed(root / "em")
    labels, same = read_precomputed(root / "labels")
    assert offset == same
    return image[..., 0], labels[..., 0], offset


def test_a_box_of_the_hemibrain_by_tensorstore(tmp_path: Path) -> None:
    """Out of 57 teravoxels, over the corner of eight minishards."""
    start = (18368, 20416, 15296)
    twin = hemibrain(tmp_path / "made", start=start, shape=(192, 128, 128))
    image, labels, offset = boxes_of_the_hemibrain(
        twin, tmp_path / "root", start=[18400, 20420, 15300], shape=[100, 110, 120]
    )
    assert offset == start
    np.testing.assert_array_equal(labels, twin.truth[f"{BUCKET}/{LABELS}"], strict=True)
    lost = np.abs(image.astype(int) - twin.truth[f"{BUCKET}/{IMAGE}"].astype(int))
    assert lost.mean() < 1.5, "of JPEG; a shift by one voxel would cost 3"


def test_the_shipped_hemibrain_by_tensorstore(tmp_path: Path) -> None:
    """The encoders of the demo are our own: what they wrote is what others read."""
    cell = FIRST[::-1]
    start = [index * 64 for index in cell]
    image, labels, offset = boxes_of_the_hemibrain(flat_hemibrain.twin(), tmp_path, start=start, shape=[64, 64, 128])
    assert offset == tuple(start)
    for number in (0, 1):
        z, y, x = cell[0], cell[1], cell[2] + number
        neuron = (z * 1000 + y) * 1000 + x
        part = labels[:, :, 64 * number :][:, :, :64]
        assert sorted(map(int, np.unique(part))) == [neuron, neuron + (1 << 40)]
        assert (part[:, :, ::16] == neuron).all()
        blocks = np.arange(64) // 8
        wave = np.sin(
            (x + y + z) % 16 + blocks[:, None, None] / 3 + blocks[None, :, None] / 2 + blocks[None, None, :] / 4
        )
        picture = image[:, :, 64 * number :][:, :, :64]
        np.testing.assert_array_equal(picture, (128 + 90 * wave).astype(np.uint8))
