"""Stacks of pictures after a real run, opened by readers that are not ours: tifffile and ncempy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tests.integration.readers import fetched

from emasync.testing import empiar, epfl, idr

RETINA = f"{empiar.DATA_HOST}/empiar/world_availability/11759"


def test_idr_by_tifffile(tmp_path: Path) -> None:
    twin = idr.u2os()
    folder = fetched(twin, tmp_path, source="idr", dataset=10740)
    for path in idr.PAIR.values():
        np.testing.assert_array_equal(
            tifffile.imread(folder / path), twin.truth[f"{idr.DATA_HOST}/{idr.TREE}/{path}"], strict=True
        )


def test_epfl_by_tifffile(tmp_path: Path) -> None:
    twin = epfl.hippocampus()
    url = f"https://{epfl.FOLDER.replace(' ', '%20')}"
    names = ("volumedata.tif", "training.tif")
    folder = fetched(twin, tmp_path, source="web", files=[{"url": f"{url}/{name}"} for name in names])
    for name in names:
        np.testing.assert_array_equal(tifffile.imread(folder / name), twin.truth[f"{epfl.FOLDER}/{name}"], strict=True)


def test_empiar_by_ncempy(tmp_path: Path) -> None:
    """Traps 1, 3, 4 and 9 of empiar.md: size, image, offset and spacing are what the files say."""
    from ncempy.io import dm

    twin = empiar.retina()
    folder = fetched(twin, tmp_path, source="empiar", entry=11759, include=["data/*.dm3"])
    offsets = set()
    slices = sorted((folder / "data").glob("*.dm3"))
    assert len(slices) == 16
    for path in slices:
        with dm.fileDM(path) as file:
            (thumbnail, pixels), (found,) = file.dataOffset, images_of(file)
            assert thumbnail == 4515
            offsets.add(pixels)
            truth = twin.truth[f"{RETINA}/data/{path.name}"]
            np.testing.assert_array_equal(found["data"], truth, strict=True)
            assert found["pixelUnit"] == ["µm", "µm"]
            np.testing.assert_allclose(found["pixelSize"], 0.00799825, rtol=1e-6)
            tags = {name.partition("ImageTags.")[2]: value for name, value in file.allTags.items()}
            assert tags["Meta Data.Dimension info.3.Scale"] == 50
    assert len(offsets) == 2


def images_of(file: Any) -> list[Any]:
    """Datasets besides the thumbnail, which ncempy leaves out of its count."""
    assert file.thumbnail
    return [file.getDataset(number) for number in range(file.numObjects - 1)]
