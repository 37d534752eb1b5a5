"""N5 through the whole program, opened by TensorStore; trap numbers are those of OpenOrganelle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.integration.folders import files_below, run_within

from emasync.errors import ErrorKind
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.n5 import (
    EM,
    LABELS,
    Container,
    read_dataset_back,
    write_attributes,
    write_dataset,
    write_openorganelle,
)
from emasync.testing.stores import FolderStore

pytest.importorskip("tensorstore")

Volume = npt.NDArray[Any]

NAME = "jrc_twin.n5"
BLOCK = 32
CROP = {"start": [40, 70, 33], "shape": [10, 20, 40]}
HULL = (slice(32, 64), slice(64, 96), slice(32, 96))
"""Whole blocks around :data:`CROP`."""

COARSE_HULL = (slice(0, 32), slice(32, 58), slice(0, 64))
"""The same on the second level, where the crop is (20:25, 35:45, 16:37) of 42 x 58 x 75; the end of y is cut."""


class Served:
    """A container in a bucket, and the truth about it."""

    def __init__(self, folder: Path, archive: Archive, truth: Container) -> None:
        self.folder = folder
        self.archive = archive
        self.truth = truth

    def manifest(self, *more: dict[str, Any], url: str = f"s3://bucket/{NAME}", **choice: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {"s3://bucket": f"{self.archive.url}/bucket"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "part", "source": "bucket", "url": url, **choice}, *more],
        }

    def asked(self) -> list[str]:
        """Keys of the container that were asked for, in order."""
        lead = f"bucket/{NAME}/"
        return [seen.path.removeprefix(lead) for seen in self.archive.requests if seen.path.startswith(lead)]

    def listings(self) -> list[str]:
        return [seen.query for seen in self.archive.requests if "list-type" in seen.query]

    def attributes(self, path: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / path / "attributes.json").read_bytes())
        return read

    def change(self, path: str, **members: Any) -> None:
        """Other attributes; None takes one away."""
        merged = {**self.attributes(path), **members}
        write_attributes(self.folder / path, {name: value for name, value in merged.items() if value is not None})


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Container]:
    folder = tmp_path_factory.mktemp("container") / NAME
    return folder, write_openorganelle(folder)


@pytest.fixture
def serve(archive: Callable[..., Archive], container: tuple[Path, Container], tmp_path: Path) -> Callable[..., Served]:
    def start(rules: Mapping[str, Any] | None = None) -> Served:
        source, truth = container
        folder = tmp_path / "served" / "bucket" / NAME
        shutil.copytree(source, folder)
        rule = BucketRules(**(rules or {}))
        return Served(folder, archive(FolderStore(tmp_path / "served"), buckets={"bucket": rule}), truth)

    return start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


def read(root: Path, path: str = f"{EM}/s0", dataset: str = "part") -> Volume:
    return read_dataset_back(root / dataset / path)


def attributes(root: Path, path: str, dataset: str = "part") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / dataset / path / "attributes.json").read_bytes())
    return found


def blocks(folder: Path) -> dict[tuple[int, ...], bytes]:
    """Blocks of a dataset by their coordinates as they are named: x, y, z."""
    found = files_below(folder)
    return {tuple(map(int, key.split("/"))): data for key, data in found.items() if key != "attributes.json"}


def check_blocks(root: Path, served: Served, path: str, shift: tuple[int, int, int] = (0, 0, 0)) -> int:
    """Every block is the publisher's, `shift` blocks (x, y, z) nearer to the origin; gives their number."""
    source, found = blocks(served.folder / path), blocks(root / "part" / path)
    moved = {tuple(a + b for a, b in zip(at, shift, strict=True)): data for at, data in found.items()}
    assert {at: source.get(at) for at in moved} == moved
    return len(found)


# --- what is chosen -----------------------------------------------------------------------------------------------


def test_a_whole_container_is_taken_as_it_is_coarse_levels_first(served: Served, tmp_path: Path) -> None:
    receipt = run_within(served.manifest(), tmp_path / "data")
    assert receipt.failures == ()
    assert files_below(tmp_path / "data" / "part") == files_below(served.folder)
    first = {path: number for number, path in reversed([*enumerate(served.asked())]) if path[-1].isdigit()}
    assert first[f"{EM}/s2/0/0/0"] < first[f"{EM}/s0/0/0/0"]


def test_trap_7_and_11_a_crop_counts_z_y_x_and_keys_count_x_y_z(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    receipt = run_within(served.manifest(arrays=[EM], scales=[0, 1], crop=CROP), root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    np.testing.assert_array_equal(read(root), served.truth.em.levels[0][HULL])
    np.testing.assert_array_equal(read(root, f"{EM}/s1"), served.truth.em.levels[1][COARSE_HULL])
    assert check_blocks(root, served, f"{EM}/s0", (1, 2, 1)) == 2
    assert check_blocks(root, served, f"{EM}/s1", (0, 1, 0)) == 2
    assert set(blocks(root / "part" / EM / "s0")) == {(0, 0, 0), (1, 0, 0)}
    assert not (root / "part" / LABELS).exists()


def test_trap_5_and_11_both_spellings_of_the_grid_move_with_the_crop(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert run_within(served.manifest(arrays=[EM], scales=[0, 1], crop=CROP), root).exit_code == 0
    fine, coarse, group = (attributes(root, path) for path in (f"{EM}/s0", f"{EM}/s1", EM))
    assert (fine["dimensions"], coarse["dimensions"]) == ([64, 32, 32], [64, 26, 32])
    assert fine["blockSize"] == [32, 32, 32]
    assert fine["transform"]["translate"] == pytest.approx([32 * 5.24, 64 * 4.0, 32 * 4.0])
    assert coarse["transform"]["translate"] == pytest.approx([2.62, 2.0 + 32 * 8.0, 2.0])
    assert fine["pixelResolution"] == {"dimensions": [4.0, 4.0, 5.24], "unit": "nm"}, "sizes do not move"
    (listed,) = group["multiscales"]
    assert [item["path"] for item in listed["datasets"]] == ["s0", "s1"]
    assert [item["transform"] for item in listed["datasets"]] == [fine["transform"], coarse["transform"]]
    # hulls begin at blocks of their own level, so s0 and s1 do not begin at one place: only transforms can say so
    assert "scales" not in group
    kept = files_below(root / "part.source-metadata")
    for name in ("attributes.json", f"{EM}/attributes.json", f"{EM}/s0/attributes.json"):
        assert kept[name] == (served.folder / name).read_bytes()


def test_a_crop_whose_levels_begin_at_one_place_keeps_the_list_of_factors(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    crop = {"start": [64, 64, 64], "shape": [4, 8, 8]}
    assert run_within(served.manifest(arrays=[EM], scales=[0, 1], crop=crop), root).exit_code == 0
    assert attributes(root, EM)["scales"] == [[1, 1, 1], [2, 2, 2]]
    np.testing.assert_array_equal(read(root), served.truth.em.levels[0][64:84, 64:96, 64:96])
    np.testing.assert_array_equal(read(root, f"{EM}/s1"), served.truth.em.levels[1][32:42, 32:58, 32:64])


def test_cut_edge_blocks_keep_their_size_when_the_hull_is_re_based(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    # the last block of all holds zeros only, so the one before it in x is taken too
    crop = {"start": [70, 100, 100], "shape": [14, 16, 50]}
    assert run_within(served.manifest(arrays=[EM], scales=[0], crop=crop), root).exit_code == 0
    np.testing.assert_array_equal(read(root), served.truth.em.levels[0][64:84, 96:116, 96:150])
    assert check_blocks(root, served, f"{EM}/s0", (3, 3, 2)) == 1
    header = np.frombuffer(blocks(root / "part" / EM / "s0")[0, 0, 0][4:16], ">u4")
    assert [*header] == [32, 20, 20], "x is whole; y and z end with the volume"


def test_a_mirror_subset_keeps_every_byte_and_key(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert run_within(served.manifest(arrays=[EM], scales=[0], crop=CROP, subset="mirror"), root).exit_code == 0
    assert check_blocks(root, served, f"{EM}/s0") == 2
    found = files_below(root / "part")
    assert {path: (served.folder / path).read_bytes() for path in found} == found
    np.testing.assert_array_equal(read(root)[HULL], served.truth.em.levels[0][HULL])


def test_levels_with_a_gap_lose_the_list_that_cannot_say_so(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert run_within(served.manifest(arrays=[EM], scales=[0, 2]), root).exit_code == 0
    group = attributes(root, EM)
    assert "scales" not in group
    assert [item["path"] for item in group["multiscales"][0]["datasets"]] == ["s0", "s2"]
    for number in (0, 2):
        np.testing.assert_array_equal(read(root, f"{EM}/s{number}"), served.truth.em.levels[number])
        assert attributes(root, f"{EM}/s{number}") == served.attributes(f"{EM}/s{number}")


def test_the_first_levels_alone(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert run_within(served.manifest(arrays=[EM], scales=[0, 1]), root).exit_code == 0
    assert attributes(root, EM)["scales"] == [[1, 1, 1], [2, 2, 2]]


@pytest.mark.parametrize("at", ["center", "random"])
def test_a_drawn_box_is_told_and_drawn_again(served: Served, tmp_path: Path, at: str) -> None:
    crop: dict[str, Any] = {"at": at, "shape": [20, 20, 20]}
    if at == "random":
        crop["seed"] = 7
    told: list[Event] = []
    boxes = []
    for name in ("one", "two"):
        told.clear()
        manifest = served.manifest(arrays=[EM], scales=[0], crop=crop)
        assert run_within(manifest, tmp_path / name, on_event=told.append).exit_code == 0
        fields: dict[str, Any] = next(dict(event.fields) for event in told if "box_start" in event.fields)
        hull = zip(fields["hull_start"], fields["hull_shape"], strict=True)
        cut = tuple(slice(low, low + size) for low, size in hull)
        np.testing.assert_array_equal(read(tmp_path / name), served.truth.em.levels[0][cut])
        boxes.append(fields["box_start"])
    assert boxes[0] == boxes[1]
    if at == "center":
        assert boxes[0] == [32, 48, 65]


def test_a_box_is_drawn_until_it_holds_data(served: Served, tmp_path: Path) -> None:
    voxels = np.zeros((64, 64, 64), "uint16")
    voxels[40:, 40:, 40:] = 7
    write_dataset(served.folder / "sparse", voxels, blocks=(16, 16, 16))
    root = tmp_path / "data"
    crop = {"at": "random", "shape": [8, 8, 8], "seed": 3, "min_nonzero": 1}
    receipt = run_within(served.manifest(arrays=["sparse"], crop=crop), root)
    assert receipt.failures == ()
    assert read(root, "sparse").any()


def test_labels_take_over_the_box_of_the_image(served: Served, tmp_path: Path) -> None:
    """Their grid is half as fine: the box is carried over in nanometres, whose unit is spelt ``nm`` here."""
    labels = served.truth.labels.levels[1]
    shutil.rmtree(served.folder / LABELS)
    more = {"transform": served.attributes(f"{EM}/s1")["transform"]}
    write_dataset(served.folder / LABELS, labels, blocks=(16, 16, 16), more=more)
    root = tmp_path / "data"
    pair = {"id": "truth", "source": "bucket", "url": f"s3://bucket/{NAME}", "role": "labels", "arrays": [LABELS]}
    manifest = served.manifest({**pair, "crop": {"same_as": "part"}}, arrays=[EM], scales=[0], crop=CROP)
    receipt = run_within(manifest, root)
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(root), served.truth.em.levels[0][HULL])
    # (40:50, 70:90, 33:73) is (20:25, 35:45, 16:37) there
    np.testing.assert_array_equal(read(root, LABELS, "truth"), labels[16:32, 32:48, 16:48])


# --- what is asked for --------------------------------------------------------------------------------------------


def test_an_array_is_planned_with_its_documents_alone(served: Served, tmp_path: Path) -> None:
    choice: dict[str, Any] = {"format": "n5", "arrays": [f"{EM}/s0"], "crop": CROP}
    assert run_within(served.manifest(**choice), tmp_path / "data").exit_code == 0
    documents = ["attributes.json", "em/attributes.json", f"{EM}/attributes.json", f"{EM}/s0/attributes.json"]
    asked = served.asked()
    assert sorted(asked[:4]) == sorted(documents)
    # a probe may tell whether missing blocks are answered with 404; what stays as it is is fetched like any object
    rest = [path for path in asked[4:] if "emasync-probe" not in path]
    assert sorted(rest) == sorted([f"{EM}/s0/1/2/1", f"{EM}/s0/2/2/1", "attributes.json"])
    assert len(asked) <= 4 + len(rest) + 1
    assert all("delimiter" not in query for query in served.listings()), "no folder is looked into"
    assert len(served.listings()) <= 1, "at most the first page, to know whether listing is allowed"


def test_discovery_never_lists_a_dataset(served: Served, tmp_path: Path) -> None:
    assert run_within(served.manifest(scales=[2]), tmp_path / "data").exit_code == 0
    folders = [query for query in served.listings() if "delimiter" in query]
    assert len(folders) == 5, "the container, em, labels and the two images"
    assert not [query for query in folders if "s0" in query]


def test_a_bucket_that_cannot_be_listed_is_taken_by_its_formula(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve({"list_denied": True})
    root = tmp_path / "data"
    receipt = run_within(served.manifest(url=f"s3://bucket/{NAME}/{EM}", format="n5"), root)
    assert receipt.failures == ()
    for number, level in enumerate(served.truth.em.levels):
        np.testing.assert_array_equal(read(root, f"s{number}"), level)


def test_levels_that_nothing_names_are_asked_for_where_nothing_can_be_listed(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve({"list_denied": True})
    served.change(EM, multiscales=None, scales=None)
    root = tmp_path / "data"
    receipt = run_within(served.manifest(arrays=[EM], crop=CROP), root)
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(root), served.truth.em.levels[0][HULL])
    np.testing.assert_array_equal(read(root, f"{EM}/s1"), served.truth.em.levels[1][COARSE_HULL])


def test_a_group_without_attributes_below_a_container_is_n5_by_its_name(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    receipt = run_within(served.manifest(url=f"s3://bucket/{NAME}/em", scales=[2]), root)
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(root, f"{EM.removeprefix('em/')}/s2"), served.truth.em.levels[2])


def test_a_url_may_name_the_dataset_itself(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    receipt = run_within(served.manifest(url=f"s3://bucket/{NAME}/{EM}/s0", crop=CROP), root)
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(root, "."), served.truth.em.levels[0][HULL])


def test_run_again_asks_nothing_and_restores_attributes(served: Served, tmp_path: Path) -> None:
    root = tmp_path / "data"
    manifest = served.manifest(arrays=[EM], scales=[0, 1], crop=CROP)
    assert run_within(manifest, root).exit_code == 0
    before = files_below(root / "part")
    (root / "part" / EM / "s0" / "attributes.json").unlink()
    served.archive.reset()
    again = run_within(manifest, root)
    assert (again.exit_code, again.totals.requests) == (0, 0)
    assert files_below(root / "part") == before


# --- what is not there --------------------------------------------------------------------------------------------


def test_trap_3_a_missing_block_is_zeros_and_counted(served: Served, tmp_path: Path) -> None:
    (served.folder / EM / "s0" / "1" / "2" / "1").unlink()
    root = tmp_path / "data"
    receipt = run_within(served.manifest(arrays=[EM], scales=[0], crop=CROP), root)
    assert [(item.status, item.absent) for item in receipt.datasets] == [("complete", 1)]
    expected = served.truth.em.levels[0][HULL].copy()
    expected[:, :, :BLOCK] = 0
    np.testing.assert_array_equal(read(root), expected)


def test_trap_3_a_block_that_could_not_be_had_is_a_failure_not_zeros(served: Served, tmp_path: Path) -> None:
    key = f"bucket/{NAME}/{EM}/s0/1/2/1"
    served.archive.set_faults({key: [{"status": 500}]})
    root = tmp_path / "data"
    manifest = served.manifest(arrays=[EM], scales=[0], crop=CROP)
    receipt = run_within(manifest, root)
    (failure,) = receipt.failures
    assert failure.location == f"s3://{key}"
    served.archive.set_faults({})
    assert run_within(manifest, root).exit_code == 0
    np.testing.assert_array_equal(read(root), served.truth.em.levels[0][HULL])


def test_trap_10_folder_markers_are_no_blocks(served: Served, tmp_path: Path, archive: Callable[..., Archive]) -> None:
    objects = {f"bucket/{NAME}/{path}": data for path, data in files_below(served.folder).items()}
    for folder in (f"{EM}/", f"{EM}/s2/", f"{EM}/s2/0/"):
        objects[f"bucket/{NAME}/{folder}"] = b""
    marked = Served(served.folder, archive(objects), served.truth)
    root = tmp_path / "data"
    receipt = run_within(marked.manifest(arrays=[EM], scales=[2]), root)
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(root, f"{EM}/s2"), served.truth.em.levels[2])


# --- what is broken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"compression": {"type": "zpaq"}}, "'zpaq'; known compressions are blosc, bzip2"),
        ({"dimensions": [1 << 62] * 3, "blockSize": [1, 1, 1]}, "more objects than can be numbered"),
    ],
)
def test_a_broken_dataset_is_refused_by_name_before_a_byte_of_data(
    served: Served, tmp_path: Path, members: dict[str, Any], words: str
) -> None:
    """More of them in tests/formats."""
    served.change(f"{EM}/s0", **members)
    root = tmp_path / "data"
    receipt = run_within(served.manifest(arrays=[f"{EM}/s0"], crop=CROP), root)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.FORMAT
    assert f"{EM}/s0/attributes.json" in failure.message
    assert words in failure.message
    assert not [path for path in served.asked() if path[-1].isdigit()]
    assert files_below(root / "part") == {}


def test_a_broken_container_is_taken_object_by_object_when_all_of_it_is_wanted(served: Served, tmp_path: Path) -> None:
    served.change(f"{EM}/s0", compression={"type": "zpaq"})
    told: list[Event] = []
    receipt = run_within(served.manifest(), tmp_path / "data", on_event=told.append)
    assert receipt.failures == ()
    assert files_below(tmp_path / "data" / "part") == files_below(served.folder)
    assert any("object by object" in str(event.fields.get("message")) for event in told)


def test_trap_11_two_spellings_that_disagree_are_reported(served: Served, tmp_path: Path) -> None:
    """A size written z, y, x where x, y, z belongs: the transform is used, and the contradiction told."""
    served.change(f"{EM}/s0", pixelResolution={"dimensions": [5.24, 4.0, 4.0], "unit": "nm"})
    told: list[Event] = []
    root = tmp_path / "data"
    assert run_within(served.manifest(arrays=[EM], scales=[0], crop=CROP), root, on_event=told.append).exit_code == 0
    messages = [str(event.fields["message"]) for event in told if event.event == "warning"]
    assert [text for text in messages if "[4.0, 4.0, 5.24] does not agree with transform [5.24, 4.0, 4.0]" in text]
    assert attributes(root, f"{EM}/s0")["transform"]["translate"] == pytest.approx([32 * 5.24, 256.0, 128.0])


def test_another_format_is_told(served: Served, tmp_path: Path) -> None:
    (served.folder / "em" / ".zgroup").write_text('{"zarr_format": 2}')
    receipt = run_within(served.manifest(format="n5", arrays=["em"], scales=[0]), tmp_path / "data")
    (failure,) = receipt.failures
    assert "em: .zgroup there, so this is another format than N5; name it with format:" in failure.message


# --- writers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "padded"), [("raw", True), ("gzip", True), ("zlib", False), ("zstd", False), ("blosc", False)]
)
def test_blocks_of_every_writer_stay_as_they_are(
    served: Served, tmp_path: Path, compression: str, *, padded: bool
) -> None:
    voxels = served.truth.em.levels[1].astype("int16") - 100
    blocks_of = (16, 20, 30)
    write_dataset(served.folder / "one", voxels, blocks=blocks_of, compression=compression, padded=padded)
    root = tmp_path / "data"
    crop = {"start": [35, 45, 65], "shape": [7, 13, 10]}
    receipt = run_within(served.manifest(arrays=["one"], crop=crop), root)
    assert receipt.failures == ()
    np.testing.assert_array_equal(read(root, "one"), voxels[32:42, 40:58, 60:75])
    assert check_blocks(root, served, "one", (2, 2, 2)) == 1


def test_axes_that_are_not_spatial(served: Served, tmp_path: Path) -> None:
    """Channels are counted last where nobody names axes, and that is said; ``select`` takes one of them."""
    voxels = np.stack([served.truth.em.levels[2], 255 - served.truth.em.levels[2]])
    write_dataset(served.folder / "four", voxels, blocks=(1, 16, 16, 16), compression="raw")
    told: list[Event] = []
    root = tmp_path / "data"
    crop = {"start": [3, 20, 33], "shape": [2, 2, 2]}
    choice: dict[str, Any] = {"arrays": ["four"], "crop": crop, "select": {"d3": 1}}
    assert run_within(served.manifest(**choice), root, on_event=told.append).failures == ()
    np.testing.assert_array_equal(read(root, "four"), voxels[1:2, 0:16, 16:29, 32:37])
    assert set(blocks(root / "part" / "four")) == {(0, 0, 0, 0)}
    messages = [str(event.fields["message"]) for event in told if event.event == "warning"]
    assert messages == ["four: 4 axes without names; the first three are taken for x, y, z"]


# --- real files ---------------------------------------------------------------------------------------------------


class Real:
    """Real files, served."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        self.folder = folder
        self.archive = archive

    def run(self, root: Path, **choice: Any) -> None:
        manifest = {
            "version": 1,
            "mirrors": {"s3://bucket": f"{self.archive.url}/bucket"},
            "datasets": [{"id": "part", "source": "bucket", "url": f"s3://bucket/{self.folder.name}", **choice}],
        }
        assert run_within(manifest, root).failures == ()


@pytest.fixture
def real(archive: Callable[..., Archive], fixtures_folder: Path, tmp_path: Path) -> Callable[[str], Real]:
    def start(name: str) -> Real:
        folder = fixtures_folder / "n5" / name
        if not folder.is_dir():
            pytest.skip(f"no real files at {folder}")
        (tmp_path / "served").mkdir()
        (tmp_path / "served" / "bucket").symlink_to(folder.parent, target_is_directory=True)
        return Real(folder, archive(FolderStore(tmp_path / "served")))

    return start


@pytest.mark.parametrize("name", ["n5_backward_2.5.1.n5", "n5_backward_3.1.3.n5"])
def test_cut_blocks_of_the_java_writer(real: Callable[[str], Real], tmp_path: Path, name: str) -> None:
    served = real(name)
    root = tmp_path / "data"
    served.run(root, arrays=["raw"], crop={"start": [0, 4, 5], "shape": [1, 1, 2]})
    whole = read_dataset_back(served.folder / "raw")
    assert whole.shape == (5, 7)
    np.testing.assert_array_equal(read(root, "raw"), whole[4:5, 5:7])
    assert blocks(root / "part" / "raw") == {(0, 0): (served.folder / "raw" / "1" / "1").read_bytes()}


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("zarr_implementations_n5-java.n5", "raw"),
        ("zarr_implementations_n5-java.n5", "bzip2"),
        ("zarr_implementations_n5-java.n5", "xz"),
        ("zarr_implementations_n5-java.n5", "lz4"),
        ("zarr_implementations_zarr.n5", "gzip"),
    ],
)
def test_a_crop_of_what_other_writers_wrote(
    real: Callable[[str], Real], tmp_path: Path, name: str, compression: str
) -> None:
    served = real(name)
    root = tmp_path / "data"
    served.run(root, arrays=[compression], crop={"start": [450, 390, 1], "shape": [62, 20, 1]})
    source = blocks(served.folder / compression)
    found = blocks(root / "part" / compression)
    assert found == {(x, y, z): source[x + 1, y + 3, z + 4] for x in (0,) for y in (0, 1) for z in (0, 1)}
    assert attributes(root, compression)["dimensions"] == [1, 200, 112]
    if compression != "lz4":  # TensorStore does not read it
        whole = read_dataset_back(served.folder / compression)
        np.testing.assert_array_equal(read(root, compression), whole[400:512, 300:500, 1:2])


def test_four_axes_of_webknossos_come_whole(real: Callable[[str], Real], tmp_path: Path) -> None:
    """Its folders have no attributes, and its dataset is called 1: a number that is no block."""
    served = real("webknossos_simple_n5")
    root = tmp_path / "data"
    served.run(root, format="n5", arrays=["color"])
    np.testing.assert_array_equal(read(root, "color/1"), read_dataset_back(served.folder / "color" / "1"))
