"""Files of which a run for metadata alone kept parts of the header: what these tell, and what they must not pretend."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import orjson
import pytest
import tifffile
from tests.hooks.desk import place, plan
from tests.hooks.metadata.desk import Content, described, put
from tests.hooks.metadata.tables import Root, values, vector

from emasync.disk.sink import LocalSink
from emasync.formats.known_stretches import KnownStretches
from emasync.hooks.interface import DatasetFacts, HookContext, SeriesFacts
from emasync.hooks.metadata.hook import MetadataHook
from emasync.ledger.store import SqliteLedger
from emasync.model.events import ignore_event
from emasync.plan.header_ranges import FIRST, MORE_STRETCHES, missing, suffix_of

SHAPE, VOXEL = "shape_{}", "voxel_size_{}_nm"
PAGES = np.random.default_rng(5).integers(0, 200, (5, 320, 300), np.uint8)


def kept(name: str, data: bytes, *known: tuple[int, int]) -> dict[str, Content]:
    """A header as the planner keeps it: stretches of a file."""
    rows, found = [], b""
    for start, stop in known:
        rows.append({"start": start, "stop": stop, "at": len(found)})
        found += data[start:stop]
    told = {"version": 1, "location": f"https://x.org/{name}", "size_bytes": len(data), "ranges": rows}
    return {f"headers/{name}.ranges": found, f"headers/{name}.ranges.json": told}


def looked_over(name: str, data: bytes) -> dict[str, Content]:
    """A header of what the planner reads of such a file."""
    known = [(FIRST.start, min(FIRST.stop, len(data)))]
    for _ in range(MORE_STRETCHES):
        told = kept(name, data, *known)
        file = KnownStretches.of(name, orjson.dumps(told[f"headers/{name}.ranges.json"]), stretches(told, name))
        span = missing(suffix_of(name) or "", file)
        if span is None:
            break
        known.append((span.start, span.stop))
    return kept(name, data, *known)


def stretches(told: dict[str, Content], name: str) -> bytes:
    found = told[f"headers/{name}.ranges"]
    assert isinstance(found, bytes)
    return found


def tiff(**options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **{key: options.pop(key) for key in ("imagej", "ome") if key in options}) as writer:
        writer.write(PAGES, **options)
    return file.getvalue()


def test_imagej_and_ome_tell_all_pages_in_the_first_directory(tmp_path: Path) -> None:
    told = {
        "axes": "ZYX",
        "PhysicalSizeX": 4.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeZ": 30,
        "PhysicalSizeZUnit": "nm",
    }
    files = {
        "a.tif": tiff(imagej=True, resolution=(50, 50), metadata={"axes": "ZYX", "spacing": 0.02, "unit": "um"}),
        "b.ome.tif": tiff(ome=True, metadata=told),
    }
    headers: dict[str, Content] = {}
    for name, data in files.items():
        headers |= looked_over(name, data)
        assert len(stretches(headers, name)) < len(data) / 2, "not the pixels"
    root = described(tmp_path / "looked", {}, headers)
    here = described(tmp_path / "here", files)
    alike = (
        "axes",
        "dtype",
        "codec_chain",
        "voxel_unit",
        *(name.format(axis) for name in (SHAPE, VOXEL) for axis in "zyx"),
    )
    for name in files:
        asset = root.asset("d", name)
        (array,), (whole,) = asset["arrays"], here.asset("d", name)["arrays"]
        assert values(array, *alike) == values(whole, *alike)
        assert (vector(array, SHAPE), vector(array, VOXEL)[2]) == ([5, 320, 300], 20.0 if name == "a.tif" else 4.0)
        assert values(array, "n_files", "bytes_on_disk") == [0, 0]
        assert (asset["notes"], values(asset, "access_url")) == ([], [f"https://x.org/{name}"])


@pytest.mark.parametrize("told", [True, False])
def test_pages_are_counted_by_page_number_or_not_at_all(tmp_path: Path, told: bool) -> None:
    """TIFF 6.0, section 12: ``PageNumber`` may tell how many there are; one page is never taken for all."""
    extra = [(297, "H", 2, (0, 5), True)] if told else []
    data = tiff(photometric="minisblack", metadata=None, extratags=extra)
    asset = described(tmp_path, {}, looked_over("a.tif", data)).asset("d")
    (array,) = asset["arrays"]
    assert vector(array, SHAPE) == [5 if told else None, 320, 300]
    assert values(array, "axes") == ["z,y,x" if told else None]
    assert [("how many pages" in note) for note in asset["notes"]] == ([] if told else [True])


def test_a_whole_small_file_is_described_as_if_it_were_here(tmp_path: Path) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((3, 16, 18), np.uint16), photometric="minisblack", metadata=None)
    (array,) = described(tmp_path, {}, looked_over("a.tif", file.getvalue())).asset("d")["arrays"]
    assert vector(array, SHAPE) == [3, 16, 18]


def nwb(folder: Path, *, far: bool) -> bytes:
    """A session; its description lies far behind its samples, or all of it is near the beginning."""
    with h5py.File(folder / "made.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        file["acquisition/a/data"] = np.zeros((100_000 if far else 100, 4), "<i2")
        file["acquisition/a/starting_time"] = 0.0
        file["acquisition/a/starting_time"].attrs["rate"] = 30_000.0
        file["general/subject/subject_id"] = "7"
    return (folder / "made.nwb").read_bytes()


def test_hdf5_whose_tree_is_known_is_told_and_another_one_is_a_note(tmp_path: Path) -> None:
    near, far = nwb(tmp_path, far=False), nwb(tmp_path, far=True)
    headers = {**kept("a.nwb", far, (0, 600)), **kept("b.nwb", near, (0, len(near)))}
    root = described(tmp_path / "root", {}, headers)
    assert "was not read" in root.asset("d", "a.nwb")["notes"][0]
    asset = root.asset("d", "b.nwb")
    assert values(asset, "subject_id") == ["7"], "the process that waited for bytes was replaced"
    assert values(asset["arrays"][0], "n_samples", "sampling_rate_hz") == [100, 30000.0]


def test_a_series_of_which_some_were_read_has_no_depth_unless_all_were_listed(tmp_path: Path) -> None:
    data = tiff(photometric="minisblack", metadata=None)
    headers = {**looked_over("s/1.tif", data), **looked_over("s/2.tif", data)}
    facts = {"series": SeriesFacts(pattern="s/*.tif", spacing=50.0, unit="nm")}
    asset = described(tmp_path / "a", {}, headers, **facts).asset("d")
    assert vector(asset["arrays"][0], SHAPE) == [None, 320, 300]
    assert any("how many files" in note for note in asset["notes"])
    counted: dict[str, Content] = {"headers/series.json": {"version": 1, "pattern": "s/*.tif", "files": 300}}
    asset = described(tmp_path / "b", {}, {**headers, **counted}, **facts).asset("d")
    assert vector(asset["arrays"][0], SHAPE) == [300, 320, 300]
    counted = {"headers/series.json": {"version": 1, "pattern": "other/*", "files": 300}}
    asset = described(tmp_path / "c", {}, {**headers, **counted}, **facts).asset("d")
    assert vector(asset["arrays"][0], SHAPE)[0] is None, "of another series"


def test_a_series_of_which_nothing_can_be_described_is_said_and_harms_nobody(tmp_path: Path) -> None:
    files: dict[str, Content] = {"s/1.tif": b"no tiff", "s/2.tif": b"", "other.tif": tiff(imagej=True)}
    root = described(tmp_path, files, kept("s/3.tif", bytes(100), (50, 60)), series=SeriesFacts(pattern="s/*.tif"))
    asset = root.asset("d", "s")
    assert (asset["kind"], asset["arrays"], len(asset["files"])) == ("series", [], 3)
    assert asset["notes"][0].startswith("none of its 3 files")
    assert vector(root.asset("d", "other.tif")["arrays"][0], SHAPE)[1:] == [320, 300]


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": [{"start": 0, "stop": 99_999_999, "at": 0}]},
        {"ranges": [{"start": 9, "stop": 3, "at": 0}]},
        {"ranges": "x"},
        {"size_bytes": None},
        {"version": 2},
    ],
)
def test_a_broken_description_of_stretches_is_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    headers = looked_over("a.tif", tiff(imagej=True))
    told = headers["headers/a.tif.ranges.json"]
    assert isinstance(told, dict)
    more = looked_over("b.tif", tiff(imagej=True))
    root = described(tmp_path, {}, {**headers, **more, "headers/a.tif.ranges.json": told | change})
    assert [asset["asset"] for asset in root.dataset("d")["assets"]] == ["b.tif"]


def test_a_header_of_which_not_even_the_beginning_is_known_is_a_note(tmp_path: Path) -> None:
    asset = described(tmp_path, {}, kept("a.tif", bytes(100), (50, 60))).asset("d")
    assert (asset["arrays"], len(asset["notes"])) == ([], 1)
    assert "byte 0" in asset["notes"][0]
    assert "please report" not in asset["notes"][0]


@pytest.fixture
def complete(ledger: SqliteLedger, tmp_path: Path) -> Iterator[HookContext]:
    """A root of which all that is wanted is on disk."""
    place(ledger, plan(ledger, "d", 1), 0)
    facts = (DatasetFacts(id="d", folder="d"),)
    with closing(LocalSink(tmp_path)) as sink:
        yield HookContext(
            root=tmp_path,
            state_dir=tmp_path / ".emasync",
            sink=sink,
            ledger=ledger,
            datasets=facts,
            all_datasets=facts,
            on_event=ignore_event,
            hurry=lambda: False,
        )


def test_what_was_looked_over_once_and_is_not_wanted_is_no_asset(complete: HookContext, tmp_path: Path) -> None:
    put(tmp_path / "d.source-metadata", looked_over("old.tif", tiff(imagej=True)))
    put(tmp_path / "d", {"new.tif": tiff(imagej=True)})
    MetadataHook().run(complete)
    assert [asset["asset"] for asset in Root(tmp_path).dataset("d")["assets"]] == ["new.tif"]
