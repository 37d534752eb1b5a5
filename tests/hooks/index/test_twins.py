"""The five electron microscopy sets of the shipped manifest, fetched from twins: each is one volume, with a size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import tifffile
import zarr
from tests.hooks.index.assembling import assembled
from tests.hooks.index.places import run_hook

import emasync
from emasync import api
from emasync.api.hooking import facts_of
from emasync.plan.layout import MirrorLayout
from emasync.testing.demonstration import chosen, read_shipped
from emasync.testing.shipped.stand_in import stand_in
from emasync.volume.index import open_index
from emasync.volume.interface import IndexedArray

Size = tuple[float, str]

EXPECTED: Mapping[str, tuple[tuple[int, ...], str, list[Size]]] = {
    "epfl-hippocampus": ((60, 96, 128), "|u1", [(5.0, "nanometer")] * 3),
    "empiar-11759": ((16, 344, 343), "|u1", [(50.0, "nanometer"), (0.00799825, "µm"), (0.00799825, "µm")]),
    "idr-u2os": ((23, 97, 141), "|u1", [(0.02, "µm")] * 3),
    "hemibrain": ((1024, 1024, 1024), "|u1", [(8.0, "nanometer")] * 3),
    "nacc-2-box": ((256, 256, 256), "<i2", [(2.96, "nanometer"), (4.0, "nanometer"), (4.0, "nanometer")]),
}


def fetch(root: Path) -> None:
    (entry,) = chosen(["em-datasets"])
    with stand_in() as twins, twins.twin.serve() as archive:
        manifest = read_shipped(entry, twins, archive.url)
        assert api.run(manifest, root=root, options=emasync.RunOptions(hooks=False)).ok
    run_hook(root, *(facts_of(dataset, MirrorLayout()) for dataset in manifest.datasets))


def one(root: Path, dataset: str) -> IndexedArray:
    (array,) = open_index(root, dataset).arrays()
    return array


def test_each_set_is_one_volume(tmp_path: Path) -> None:
    fetch(tmp_path)
    for dataset, (shape, dtype, sizes) in EXPECTED.items():
        array = one(tmp_path, dataset)
        assert (array.shape, array.layout.dtype, array.axes) == (shape, dtype, ("z", "y", "x"))
        found = [(measure.value, measure.unit) for measure in array.measures if measure is not None]
        assert [unit for _, unit in found] == [unit for _, unit in sizes]
        assert [value for value, _ in found] == pytest.approx([value for value, _ in sizes], rel=1e-5)
        assert next(open_index(tmp_path, dataset).entries()).coverage.complete
    for dataset in ("epfl-hippocampus", "idr-u2os"):
        (path,) = (tmp_path / dataset).rglob("*.tif")
        assert (assembled(one(tmp_path, dataset), tmp_path) == tifffile.imread(path)).all()
    nacc = one(tmp_path, "nacc-2-box")
    assert nacc.origin == nacc.bounds.start == (128, 1024, 1024)
    assert (assembled(nacc, tmp_path) == zarr.open_array(tmp_path / "nacc-2-box" / nacc.path, mode="r")[...]).all()
    drawn = one(tmp_path, "hemibrain")
    assert drawn.bounds.shape == (1000, 1000, 1000)
    assert all(0 < at <= start for at, start in zip(drawn.origin, drawn.bounds.start, strict=True))
