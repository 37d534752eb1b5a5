"""A root with an image, a part of one, and segments: what a run leaves, opened in a browser."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.hooks.report.browser import LOOK, Browser
from tests.hooks.report.desk import Page
from tests.integration.folders import files_below, run_within

from emasync import api
from emasync.hooks.report.gallery import gallery, generation_of, known_index
from emasync.hooks.report.hook import MOST_PICTURE_BYTES
from emasync.hooks.report.kept import keep_pictures, kept_pictures
from emasync.testing import Archive
from emasync.testing.volumes import write_ome_zarr_04

MANIFEST = """
version: 1
datasets:
  - id: image
    source: bucket
    url: "{url}"
    metadata: {{voxel_size: [50, 4, 4], unit: nanometer, license: CC0-1.0, organism: Mus musculus}}
  - id: corner
    source: bucket
    url: "{url}"
    subset: mirror
    scales: [0]
    crop: {{start: [0, 0, 0], shape: [32, 64, 64]}}
  - id: segments
    source: bucket
    url: "{labels}"
    role: labels
"""


@dataclass(frozen=True)
class Whole:
    root: Path
    page: Page


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    write_ome_zarr_04(folder / "source/em.zarr", shape=(48, 96, 96), chunks=(16, 32, 32), levels=2)
    write_ome_zarr_04(folder / "source/seg.zarr", shape=(48, 96, 96), chunks=(16, 32, 32), levels=1, dtype="uint32")
    urls = {"url": f"file://{folder}/source/em.zarr", "labels": f"file://{folder}/source/seg.zarr"}
    manifest = folder / "manifest.yaml"
    manifest.write_text(MANIFEST.format(**urls))
    assert run_within(manifest, folder / "root").ok
    return Whole(folder / "root", Page((folder / "root/report.html").read_bytes()))


def test_every_array_has_its_planes(whole: Whole) -> None:
    pictures = [alt for alt in whole.page.all("alt") if ": plane " in alt]
    assert [alt.partition(";")[0] for alt in pictures if alt.startswith("image/")] == [
        "image/s0: plane y, x at z = 24",
        "image/s0: plane z, x at y = 48",
        "image/s0: plane z, y at x = 48",
    ]
    assert sum(alt.startswith("segments/") for alt in pictures) == 3
    assert sum(alt.startswith("corner/") for alt in pictures) == 3


class Opened:
    """Files that this process opens by name below a folder that it has open, while it is told to look."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        sys.addaudithook(self)  # for good: hooks cannot be taken away

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.names is None or event != "open":
            return
        name, _, flags = arguments
        if isinstance(name, str) and isinstance(flags, int) and not flags & os.O_DIRECTORY:
            self.names.append(name)


OPENED = Opened()


def test_pictures_of_a_root_read_each_chunk_that_they_show_once(whole: Whole) -> None:
    OPENED.names = []
    index = known_index(whole.root, "image")
    assert index is not None
    shown = gallery(index, lambda: False)
    names, OPENED.names = OPENED.names, None
    assert [len(array.planes) for array in shown] == [3]
    chunks = [name for name in names if name.isdigit()]
    assert len(chunks) == 3 * 9 - 3 * 3 + 1  # of 27


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem than the temporary one, where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a filesystem that is not the temporary folder's
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


def test_pictures_of_data_outside_the_root_read_each_chunk_once(whole: Whole, elsewhere: Path, tmp_path: Path) -> None:
    roots = {tree: str(elsewhere / tree) for tree in ("raw", "processed")}
    for folder in roots.values():
        Path(folder).mkdir()
    layout = {"kind": "flexiznam", "project": "p", "mouse": "m", "sample": "brain", "data_root": roots}
    dataset = {"id": "image", "source": "bucket", "url": f"file://{whole.root.parent}/source/em.zarr"}
    assert run_within({"version": 1, "layout": layout, "datasets": [dataset]}, tmp_path / "root").ok
    index = known_index(tmp_path / "root", "image")
    assert index is not None

    OPENED.names = []
    (shown,) = gallery(index, lambda: False)
    names, OPENED.names = OPENED.names, None

    assert len([name for name in names if name.isdigit()]) == 3 * 9 - 3 * 3 + 1  # of 27
    original = known_index(whole.root, "image")
    assert original is not None
    assert [plane.data for plane in shown.planes] == [
        plane.data for plane in gallery(original, lambda: False)[0].planes
    ]
    alts = Page((tmp_path / "root/report.html").read_bytes()).all("alt")
    assert sum(": plane " in alt for alt in alts) == 3


def test_a_part_is_shown_in_its_array(whole: Whole) -> None:
    told = [alt for alt in whole.page.all("alt") if alt.startswith("the box in its array")]
    share = "29.6 % of an array of 48 x 96 x 96 voxels"
    assert told == [f"the box in its array, {sides}: {share}" for sides in ("y over x", "z over x")]


def test_metadata_have_marks_and_conflicts_are_visible(whole: Whole) -> None:
    text = whole.page.text
    assert "8 \u00d7 4 \u00d7 4 H \u26a0" in text
    assert "Where sources disagree: 1 field" in text
    assert "voxel size z, nm 8 (published as 8.0 nanometer) H 50 (published as 50.0 nanometer) M" in text
    assert "Mus musculus M" in text
    assert "#conflicts" in whole.page.all("href")


def test_it_is_drawn_in_a_browser(browser: Browser, whole: Whole) -> None:
    seen = browser.look(whole.root / "report.html", LOOK)
    assert seen.complaints == []
    assert seen.requests == [(whole.root / "report.html").as_uri()]
    assert len(seen.value["images"]) >= 10
    assert all(width >= 20 and height >= 20 and alt for width, height, alt in seen.value["images"])
    assert "Where sources disagree" in seen.value["text"]


def test_pictures_are_kept_as_long_as_the_index_is(whole: Whole) -> None:
    page = whole.root / "report.html"
    before = page.read_bytes()
    page.unlink()
    OPENED.names = []
    api.hook(whole.root, "report")
    names, OPENED.names = OPENED.names, None
    assert [name for name in names if name.isdigit()] == []  # no chunk
    assert page.read_bytes() == before


def test_pictures_for_which_there_is_no_room_are_left_out(whole: Whole, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole.root, root)
    state, index = root / ".emasync", known_index(root, "image")
    assert index is not None
    (array,) = kept_pictures(state, "image", generation_of(index)) or ()
    large = replace(array, planes=(replace(array.planes[0], data=bytes(MOST_PICTURE_BYTES)),))
    keep_pictures(state, "image", generation_of(index), (array, large, array))
    (root / "report.html").unlink()

    api.hook(root, "report")

    alts = Page((root / "report.html").read_bytes()).all("alt")
    shown = {name: sum(alt.startswith(f"{name}/") for alt in alts) for name in ("image", "corner", "segments")}
    assert shown == {"image": 3, "corner": 0, "segments": 0}
    assert (root / "report.html").stat().st_size < 1 << 20


def test_it_is_not_written_again_for_nothing(whole: Whole) -> None:
    before = (whole.root / "report.html").stat().st_mtime_ns
    assert run_within(whole.root.parent / "manifest.yaml", whole.root).ok
    api.hook(whole.root, "metadata")
    assert api.hook(whole.root, "report").counts == {"written": 0}
    assert (whole.root / "report.html").stat().st_mtime_ns == before


def test_what_did_not_arrive_is_a_hole(archive: Callable[..., Archive], tmp_path: Path) -> None:
    write_ome_zarr_04(tmp_path / "em.zarr", shape=(32, 64, 64), chunks=(16, 32, 32), levels=1)
    files = files_below(tmp_path / "em.zarr")
    server = archive(
        {f"data/em.zarr/{path}": data for path, data in files.items()},
        faults={"data/em.zarr/s0/1/0/1": [{"status": 410}]},
    )
    manifest = {"version": 1, "datasets": [{"id": "d", "source": "bucket", "url": f"{server.url}/data/em.zarr"}]}

    receipt = run_within(manifest, tmp_path / "root")

    assert receipt.datasets[0].failed == 1
    alts = Page((tmp_path / "root/report.html").read_bytes()).all("alt")
    assert [alt for alt in alts if "not all of it is here" in alt] == [
        "d/s0: plane y, x at z = 16; bar 100 nm; not all of it is here",
        "d/s0: plane z, y at x = 32; bar 100 nm; not all of it is here",
    ]
    assert [alt.partition(",")[0] for alt in alts if "of the chunks" in alt] == ["d/s0: 75 % of the chunks are here"]
