"""Folders of strangers: what cannot be read is a note, what is another's is not opened, the rest is indexed."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from tests.hooks.index.assembling import assembled
from tests.hooks.index.places import arrays, indexed, run_hook

from emasync.disk.sink import LocalSink
from emasync.formats.zarr import ZarrFormat
from emasync.hooks.index.walks import MAX_BROKEN, found_in
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.local import LocalTree
from emasync.testing.ephys import TRACES, write_recording
from emasync.testing.tiff import write_pages
from emasync.testing.volumes import smooth_blobs, write_ome_zarr_04
from emasync.volume.index import indexed_datasets, open_index

PAGES = smooth_blobs((3, 20, 24), "uint8", 1)


def zarray(shape: object = (10, 10), dtype: str = "<u2") -> str:
    fields = {"zarr_format": 2, "shape": shape, "chunks": [5, 5], "dtype": dtype, "order": "C"}
    return json.dumps({**fields, "fill_value": 0, "compressor": None, "filters": None})


def test_broken_documents_of_a_tree_are_notes_and_the_other_arrays_are_indexed(tmp_path: Path) -> None:
    for name, text in [("a", zarray()), ("b", "{"), ("c", zarray([-1, 2])), ("d", zarray()), ("e", zarray(dtype="|O"))]:
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / ".zarray").write_text(text)
    (tmp_path / "d/.zgroup").write_text('{"zarr_format": 2}')
    index, report = indexed(tmp_path)
    assert [entry.path for entry in index.entries()] == ["a", "d"]
    assert len(index.notes) == 3
    assert all(any(f"d: {name}" in note or f"{name}/.zarray" in note for note in index.notes) for name in "bce")
    assert len(report.notes) == 2, "an array of objects is no news"


def test_a_tree_of_broken_documents_is_given_up_soon(tmp_path: Path) -> None:
    for number in range(MAX_BROKEN + 20):
        (tmp_path / f"d/{number}").mkdir(parents=True)
        (tmp_path / f"d/{number}/.zarray").write_text("{")
    (tmp_path / "d/.zgroup").write_text('{"zarr_format": 2}')
    sink = LocalSink(tmp_path)
    _, notes = found_in(ZarrFormat(), LocalTree(tmp_path, sink, "d"))
    sink.close()
    assert len(notes) == MAX_BROKEN + 1


@pytest.mark.parametrize("kind", ["hostile_tiff", "hostile_zarr"])
def test_hostile_files_are_notes(kind: str, fixtures_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(fixtures_folder / kind, tmp_path / "d" / kind)
    write_pages(tmp_path / "d/good.tif", PAGES, pixel_nm=5)
    index, report = indexed(tmp_path)
    (array,) = index.arrays("good.tif")
    assert (assembled(array, tmp_path) == PAGES).all()
    assert report.notes
    assert not any("please report this" in note for note in index.notes), index.notes


def test_links_are_not_followed(tmp_path: Path) -> None:
    write_pages(tmp_path / "outside.tif", PAGES, pixel_nm=5)
    write_ome_zarr_04(tmp_path / "outside.zarr", shape=(8, 8, 8), chunks=(8, 8, 8), levels=1)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/link.tif").symlink_to(tmp_path / "outside.tif")
    (tmp_path / "d/link.zarr").symlink_to(tmp_path / "outside.zarr")
    assert len(indexed(tmp_path)[0]) == 0


def test_pipes_and_unreadable_files_do_not_stop_anything(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d/pipe.tif")
    (tmp_path / "d/empty.h5").write_bytes(b"")
    (tmp_path / "d/empty.mrc").write_bytes(b"")
    write_pages(tmp_path / "d/good.tif", PAGES, pixel_nm=5)
    assert [entry.asset for entry in indexed(tmp_path)[0].entries()] == ["good.tif"]


def test_files_of_other_names_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    write_pages(tmp_path / "d/picture.bin", PAGES, pixel_nm=5)
    long_ago = 10**18
    os.utime(tmp_path / "d/picture.bin", ns=(long_ago, 2 * long_ago))
    assert len(indexed(tmp_path)[0]) == 0
    assert (tmp_path / "d/picture.bin").stat().st_atime_ns == long_ago


@pytest.mark.parametrize("generation", ["0.97.1", "0.105.3"])
def test_recordings_of_spikeinterface(generation: str, tmp_path: Path) -> None:
    traces = write_recording(tmp_path / "d/session", generation=generation)  # type: ignore[arg-type]  # parametrized
    index, report = indexed(tmp_path)
    (array,) = index.arrays()
    assert (array.asset, array.path, array.axes) == ("session", TRACES, ("time", "channel"))
    assert (assembled(array, tmp_path) == traces).all()
    assert array.measures[0] is not None
    assert array.measures[0].unit == "s"
    assert array.attributes["sampling_rate_hz"] == 30_000
    assert report.notes == ()


def test_a_recording_that_is_not_whole_is_read_as_far_as_it_goes_and_told(tmp_path: Path) -> None:
    traces = write_recording(tmp_path / "d/session")
    with (tmp_path / "d/session" / TRACES).open("r+b") as file:
        file.truncate(traces.nbytes - 3)
    index, report = indexed(tmp_path)
    (array,) = index.arrays()
    assert (assembled(array, tmp_path) == traces[:-1]).all()
    assert any("no whole number of frames" in note for note in report.notes)


def test_a_recording_without_traces_is_a_note(tmp_path: Path) -> None:
    write_recording(tmp_path / "d/session")
    (tmp_path / "d/session" / TRACES).unlink()
    index, report = indexed(tmp_path)
    assert len(index) == 0
    assert any("named in session/binary.json and not here" in note for note in report.notes)


def test_the_manifest_tells_what_the_files_do_not(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").mkdir()
    (tmp_path / "d/a/.zarray").write_text(zarray())
    told = {"axes": "yx", "voxel_size": [4.0, 8.0], "unit": "nm"}
    (array,) = indexed(tmp_path, metadata=told)[0].arrays()
    assert array.axes == ("y", "x")
    assert [measure and (measure.value, measure.unit, measure.source) for measure in array.measures] == [
        (4.0, "nm", "manifest: metadata.voxel_size"),
        (8.0, "nm", "manifest: metadata.voxel_size"),
    ]


@pytest.mark.parametrize(("override", "size"), [(None, 5e-7), (["voxel_size"], 99.0)])
def test_the_manifest_is_the_last_to_be_asked_unless_it_overrides(
    override: list[str] | None, size: float, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    write_pages(tmp_path / "d/a.tif", PAGES, pixel_nm=5)
    told = {"voxel_size": [99.0] * 3, "unit": "nm", **({} if override is None else {"override": override})}
    (array,) = indexed(tmp_path, metadata=told)[0].arrays()
    assert array.measures[2] is not None
    assert array.measures[2].value == pytest.approx(size)


def test_reduced_pages_are_scales_and_roles_are_told(tmp_path: Path, fixtures_folder: Path) -> None:
    (tmp_path / "d").mkdir()
    name = "rosettasciio__Fei_HAADF-DE_location.dm3"
    shutil.copyfile(fixtures_folder / "dm3" / name, tmp_path / "d" / name)
    roles = {path: array.role for (_, path, _), array in arrays(indexed(tmp_path, role="labels")[0]).items()}
    assert roles["ImageList/0"] == "thumbnail"


def test_who_is_in_a_hurry_keeps_the_older_index(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    write_pages(tmp_path / "d/a.tif", PAGES, pixel_nm=5)
    indexed(tmp_path)
    write_pages(tmp_path / "d/b.tif", PAGES, pixel_nm=5)
    for calls in range(8):
        hurry = partial(next, iter([False] * calls), True)
        report = run_hook(tmp_path, DatasetFacts(id="d", folder="d"), hurry=hurry)
        if report.counts["datasets"]:
            break
        assert report.counts == {"datasets": 0, "arrays": 0}
        assert [entry.asset for entry in open_index(tmp_path, "d").entries()] == ["a.tif"]
    assert calls > 2
    assert [entry.asset for entry in open_index(tmp_path, "d").entries()] == ["a.tif", "b.tif"]


def test_a_dataset_of_nothing_has_an_index_of_nothing(tmp_path: Path) -> None:
    index, report = indexed(tmp_path)
    assert (len(index), report.counts) == (0, {"datasets": 1, "arrays": 0})
    assert indexed_datasets(tmp_path) == ["d"]
