"""Twins as values: what they stand for, and several of them behind one archive."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.folders import below, files_below, run_within

from emasync.testing import aind, empiar, epfl, idr, pasteur
from emasync.testing.archive_twin import ArchiveTwin, together
from emasync.testing.memory import MemoryStore
from emasync.testing.shipped import openorganelle

EBI = "ftp.ebi.ac.uk"


def test_places_below_the_url_and_the_url_itself() -> None:
    twin = ArchiveTwin(store=MemoryStore({"b/k": b"1", "c/k": b"2"}), stands_for={"s3://b": "b", "https://api": ""})
    assert twin.mirrors("http://127.0.0.1:1") == {"s3://b": "http://127.0.0.1:1/b", "https://api": "http://127.0.0.1:1"}
    assert twin.objects() == {"b/k": b"1"}, "what it stands for"


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).resolve().parents[2] / "docs" / "twins.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own words
    fetched = files_below(tmp_path / "data" / "retina") | files_below(tmp_path / "data" / "cell")
    assert len(fetched) == 17
    assert len(names["twin"].truth) == 18, "of both images of the cell"


def test_twins_that_share_a_host_are_fetched_from_one_archive(tmp_path: Path) -> None:
    cell, retina = idr.u2os(), empiar.retina(images=3)
    both = together(cell, retina)
    objects = both.objects()
    assert objects == {**cell.objects(), **retina.objects()}
    datasets = [
        {"id": "cell", "source": "idr", "images": [9846137]},
        {"id": "retina", "source": "empiar", "entry": 11759, "include": ["data/*.dm3"]},
    ]
    with both.serve() as archive:
        manifest = {"version": 1, "mirrors": both.mirrors(archive.url), "datasets": datasets}
        assert run_within(manifest, tmp_path).failures == ()
    assert files_below(tmp_path / "cell") == {
        idr.PAIR[9846137]: objects[f"{EBI}/{idr.TREE}/{idr.PAIR[9846137]}"],
    }
    entry = below(objects, f"{EBI}/empiar/world_availability/11759/")
    assert files_below(tmp_path / "retina") == {path: data for path, data in entry.items() if path.endswith(".dm3")}


def test_the_same_seed_gives_the_same_bytes() -> None:
    for make in (epfl.hippocampus, idr.u2os, empiar.retina):
        assert make(seed=1).objects() == make(seed=1).objects() != make(seed=2).objects()


def test_omero_tells_the_shape_that_the_files_have(tmp_path: Path) -> None:
    """Trap 11 of idr.md: summaries swap axes, tags do not. Trap 3: nobody tells the distance of pages but the file."""
    twin = idr.u2os((4, 6, 8))
    with twin.serve() as archive:
        manifest = {
            "version": 1,
            "mirrors": twin.mirrors(archive.url),
            "datasets": [{"id": "d", "source": "idr", "images": [9846137]}],
        }
        assert run_within(manifest, tmp_path).ok
    pixels = json.loads((tmp_path / "d.source-metadata/idr/image-9846137.json").read_bytes())["data"]["Pixels"]
    assert [pixels[name] for name in ("SizeZ", "SizeY", "SizeX")] == [4, 6, 8]
    assert "PhysicalSizeZ" not in pixels
    (file,) = files_below(tmp_path / "d").values()
    assert b"\nspacing=0.02\n" in file[:300]


def test_openorganelle_traps_2_to_6_and_9_as_the_publisher_wrote_them() -> None:
    found = below(openorganelle.twin().objects(), f"{openorganelle.BUCKET}/{openorganelle.CONTAINER}/recon-2/em/")
    (multiscale,) = json.loads(found["fibsem-int16/.zattrs"])["multiscales"]
    assert (multiscale["metadata"], multiscale["name"], multiscale["type"]) == (None, "", None)
    levels = [level["coordinateTransformations"] for level in multiscale["datasets"]]
    np.testing.assert_allclose([scale["scale"][0] for scale, _ in levels], [2.96 * 2**number for number in range(9)])
    np.testing.assert_allclose(levels[3][1]["translation"], [10.36, 14, 14])
    arrays = [json.loads(found[f"fibsem-int16/s{number}/.zarray"]) for number in range(9)]
    assert [array["shape"] for array in arrays[:4]] == [
        [564, 2520, 2596],
        [282, 1260, 1298],
        [141, 630, 649],
        [70, 315, 324],
    ]
    assert {(array["dtype"], array["dimension_separator"], array["fill_value"]) for array in arrays} == {
        ("<i2", "/", 0)
    }
    assert "fibsem-int16/s0/0/0/0" not in found, "missing chunks are fill value"


def test_aind_trap_8_and_pasteur_trap_9_chunks_of_fill_are_left_out(tmp_path: Path) -> None:
    tiles = aind.exaspim(tmp_path / "aind", levels=1).objects()
    brain = pasteur.interhemispheric(tmp_path / "pasteur").objects()
    tile = f"{aind.BUCKET}/{aind.RAW}/SPIM.ome.zarr/tile_x_0000_y_0000_z_0000_ch_488.zarr/0"
    for found, level in ((tiles, tile), (brain, f"{pasteur.BUCKET}/{pasteur.RAW}/exaspim/image.ome.zarr/0")):
        assert json.loads(found[f"{level}/.zarray"])["shape"] == [1, 1, 40, 72, 80]
        assert f"{level}/0/0/0/0/0" in found
        assert f"{level}/0/0/2/2/2" not in found, "the last of 3 x 3 x 3"
