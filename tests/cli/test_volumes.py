"""Lines of ``emasync volumes``."""

from __future__ import annotations

import pytest

from emasync.api import Coverage, VolumeRow
from emasync.api.volume_rows import VolumeScale
from emasync.cli.volumes import lines


def row(axes: tuple[str, ...], shape: tuple[int, ...], size: float | None = None) -> VolumeRow:
    coverage = Coverage(chunks=1, present=1)
    voxel = tuple(size for _ in axes)
    unit = tuple("nm" if size is not None else None for _ in axes)
    scale = VolumeScale(
        scale=0,
        shape=shape,
        chunks=shape,
        start=(0,) * len(shape),
        voxel_size=voxel,
        unit=unit,
        kind="dense",
        coverage=coverage,
    )
    return VolumeRow(
        dataset="d", asset="a.nwb", array="x", format="nwb", dtype="<i2", axes=axes, role="image", scales=(scale,)
    )


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (row(("z", "y", "x"), (2, 3, 4), 5.0), "  0: 2 x 3 x 4  z 5 nm, y 5 nm, x 5 nm  complete"),
        (row(("z", "Y", "x"), (2, 3, 4)), "  0: 2 x 3 x 4  voxel size unknown  complete"),
        (row(("d0", "d1"), (5000, 8)), "  0: 5000 x 8  complete"),
        (row((), ()), "  0: one value  complete"),
    ],
    ids=["known", "unknown", "no voxels", "no axes"],
)
def test_a_level_tells_what_it_can_have(listed: VolumeRow, expected: str) -> None:
    assert list(lines([listed]))[1] == expected
