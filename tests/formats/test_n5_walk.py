"""Walks over containers: conventions of images, what is asked, and where walks stop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emasync.errors import FormatError, SourceError
from emasync.formats.interface import MultiscaleDescription, Need
from emasync.formats.n5 import N5Format, N5Walk
from emasync.formats.visits import WalkLimits
from emasync.registry import FORMATS
from emasync.testing.n5 import EM, LABELS, cosem_transform, write_attributes, write_openorganelle

Discover = Callable[..., Any]  # the fixture's class lives in conftest, which is no module to import


@pytest.fixture
def walk(discover: Discover) -> Discover:
    return partial(discover, walk_of=N5Walk)


def put(root: Path, path: str, **members: Any) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    write_attributes(root / path, members)


def put_array(root: Path, path: str, dimensions: list[int], **members: Any) -> None:
    block = [8] * len(dimensions)
    more = {"blockSize": block, "dataType": "uint8", "compression": {"type": "raw"}, **members}
    put(root, path, dimensions=dimensions, **more)


def put_levels(root: Path, path: str, *members: dict[str, Any]) -> None:
    """Levels of 40 x 24 x 16 voxels (x, y, z), halved each time."""
    for number, more in enumerate(members):
        put_array(root, f"{path}/s{number}", [size >> number for size in (40, 24, 16)], **more)


def asked(discovery: Any, kind: str) -> list[str]:
    return sorted(need.key for need in discovery.asked if need.kind == kind)


def places(image: MultiscaleDescription) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    return [(level.transform.scale, level.transform.translation) for level in image.levels]


# --- OpenOrganelle --------------------------------------------------------------------------------------------------


def test_a_container_of_openorganelle(tmp_path: Path, walk: Discover) -> None:
    write_openorganelle(tmp_path, shape=(20, 24, 28), blocks=(8, 8, 8))
    found = walk(tmp_path)
    assert sorted(found.images) == [EM, LABELS]
    image = found.images[EM]
    assert [(level.number, level.array.path) for level in image.levels] == [(n, f"{EM}/s{n}") for n in range(3)]
    assert [level.array.shape for level in image.levels] == [(20, 24, 28), (10, 12, 14), (5, 6, 7)]
    assert [(axis.name, axis.type, axis.unit) for axis in image.axes] == [(name, "space", "nm") for name in "zyx"]
    assert places(image)[1] == ((10.48, 8.0, 8.0), (2.62, 2.0, 2.0)), "voxels are centred between those they average"
    assert image.levels[1].array.axes == ("z", "y", "x")
    assert {group.layout for group in found.groups.values()} == {"group", "multiscale", "folder"}
    assert not found.arrays
    assert not found.walk.notes
    assert asked(found, "children") == sorted(["", "em", "labels", EM, LABELS]), "datasets are never looked into"
    assert len(asked(found, "document")) == 5 + 6


def test_the_dataset_itself_is_an_image_that_can_lend_a_box(tmp_path: Path, walk: Discover) -> None:
    write_openorganelle(tmp_path, shape=(20, 24, 28), blocks=(8, 8, 8))
    found = walk(tmp_path, [f"{EM}/s1"])
    image = found.images[f"{EM}/s1"]
    assert places(image) == [((10.48, 8.0, 8.0), (2.62, 2.0, 2.0))]
    assert [axis.unit for axis in image.axes] == ["nm"] * 3
    assert asked(found, "children") == []
    assert asked(found, "document") == [
        "attributes.json", "em/attributes.json", f"{EM}/attributes.json", f"{EM}/s1/attributes.json",
    ]  # fmt: skip


def test_trap_2_nulls_in_multiscales(tmp_path: Path, walk: Discover) -> None:
    put_levels(tmp_path, "im", {})
    datasets = [{"path": "s0", "transform": None}]
    put(tmp_path, "im", multiscales=[{"metadata": None, "name": "", "type": None, "datasets": datasets}])
    image = walk(tmp_path).images["im"]
    assert (image.name, image.levels[0].stated) == (None, False)


@pytest.mark.parametrize("order", ["C", "F", None])
def test_trap_11_a_transform_says_in_which_order_it_counts(tmp_path: Path, walk: Discover, order: str | None) -> None:
    transform: dict[str, Any] = cosem_transform((6.0, 5.0, 4.0), 1)
    more = {"axes": ["x", "z", "y"], "translate": [30.0, 20.0, 10.0], "units": ["nm", "um", "mm"], "order": order}
    transform |= more
    if order == "F":
        transform = {name: value[::-1] if isinstance(value, list) else value for name, value in transform.items()}
    put_array(tmp_path, "a", [40, 24, 16], transform=transform)
    image = walk(tmp_path).images["a"]
    assert places(image) == [((6.0, 5.0, 4.0), (30.0, 20.0, 10.0))]
    assert [(axis.name, axis.unit) for axis in image.axes] == [("x", "nm"), ("z", "um"), ("y", "mm")]


def test_trap_4_float_noise_is_no_contradiction(tmp_path: Path, walk: Discover) -> None:
    sizes = {"dimensions": [16.0, 16.0, 11.84], "unit": "nm"}
    transform = cosem_transform((11.840000000000002, 16.0, 16.0), 1)
    put_array(tmp_path, "a", [40, 24, 16], transform=transform, pixelResolution=sizes)
    assert not walk(tmp_path).walk.notes


@pytest.mark.parametrize(
    ("own", "listed", "words"),
    [
        ({"pixelResolution": [6.0, 5.0, 4.0]}, None, "pixelResolution [4.0, 5.0, 6.0] does not agree with transform"),
        ({}, {"scale": [4.0, 5.0, 6.0]}, "scale in the group's multiscales [4.0, 5.0, 6.0] does not agree"),
        ({}, {"translate": [9.0, 0.0, 0.0]}, "translation in the group's multiscales [9.0, 0.0, 0.0] does not agree"),
    ],
)
def test_trap_11_a_contradiction_is_reported_and_the_array_believed(
    tmp_path: Path, walk: Discover, own: dict[str, Any], listed: dict[str, Any] | None, words: str
) -> None:
    transform = cosem_transform((6.0, 5.0, 4.0), 1)
    put_levels(tmp_path, "im", {"transform": transform, **own})
    put(tmp_path, "im", multiscales=[{"datasets": [{"path": "s0", "transform": {**transform, **(listed or {})}}]}])
    found = walk(tmp_path)
    assert places(found.images["im"]) == [((6.0, 5.0, 4.0), (0.0, 0.0, 0.0))]
    (note,) = found.walk.notes
    assert words in note
    assert note.startswith("im/s0: ")


def test_a_level_without_its_dataset_is_left_out_and_told(tmp_path: Path, walk: Discover) -> None:
    put_levels(tmp_path, "im", {}, {}, {})
    put(tmp_path, "im", multiscales=[{"datasets": [{"path": f"s{n}"} for n in (0, 7, 2)]}])
    found = walk(tmp_path)
    assert [(level.number, level.array.path) for level in found.images["im"].levels] == [(0, "im/s0"), (2, "im/s2")]
    assert [note for note in found.walk.notes if "im/s7: level 1 of im has no dataset" in note]
    assert list(found.arrays) == ["im/s1"], "what is no level is a dataset all the same"


# --- Neuroglancer, n5-viewer, BigDataViewer, Paintera ---------------------------------------------------------------


def test_scales_of_the_group_with_its_resolution(tmp_path: Path, walk: Discover) -> None:
    factors = [[1, 1, 1], [2, 2, 1], [4, 4, 2]]
    put_levels(tmp_path, "im", {}, {}, {})
    put(tmp_path, "im", axes=["x", "y", "z"], units=["um"] * 3, resolution=[10, 20, 30], scales=factors)
    image = walk(tmp_path).images["im"]
    assert places(image) == [
        ((30.0, 20.0, 10.0), (0.0, 0.0, 0.0)),
        ((30.0, 40.0, 20.0), (0.0, 10.0, 5.0)),
        ((60.0, 80.0, 40.0), (15.0, 30.0, 15.0)),
    ]
    assert {axis.unit for axis in image.axes} == {"um"}
    assert all(level.stated for level in image.levels)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([[4, 5, 6]] * 3, id="the finest everywhere (n5-viewer)"),
        pytest.param([[4, 5, 6], [8, 10, 12], [16, 20, 24]], id="each its own (OpenOrganelle)"),
        pytest.param([[4, 5, 6], None, None], id="on the finest alone"),
    ],
)
@pytest.mark.parametrize("factors", [True, False])
def test_resolutions_of_arrays_are_never_multiplied_twice(
    tmp_path: Path, walk: Discover, sizes: list[list[float] | None], *, factors: bool
) -> None:
    members: list[dict[str, Any]] = []
    for number, size in enumerate(sizes):
        more: dict[str, Any] = {"downsamplingFactors": [2**number] * 3} if factors else {}
        members.append(more | ({} if size is None else {"pixelResolution": {"dimensions": size, "unit": "nm"}}))
    put_levels(tmp_path, "im", *members)
    found = walk(tmp_path)
    scales = [scale for scale, _ in places(found.images["im"])]
    assert scales == [(6.0, 5.0, 4.0), (12.0, 10.0, 8.0), (24.0, 20.0, 16.0)]
    assert places(found.images["im"])[2][1] == (9.0, 7.5, 6.0)
    assert not found.walk.notes
    assert {axis.unit for axis in found.images["im"].axes} == {"nm"}


def test_factors_and_resolutions_that_contradict_each_other_are_told(tmp_path: Path, walk: Discover) -> None:
    put_levels(
        tmp_path,
        "im",
        {"pixelResolution": [4, 5, 6]},
        {"pixelResolution": [12, 10, 8], "downsamplingFactors": [2, 2, 2]},
    )
    found = walk(tmp_path)
    (note,) = found.walk.notes
    assert "im/s1: pixelResolution [8.0, 10.0, 12.0] does not agree with downsampling factors give [12.0" in note


def test_levels_that_only_names_tell_are_placed_by_their_shapes(tmp_path: Path, walk: Discover) -> None:
    """Trap 6: floor halving; 21 of 43 is half."""
    for number, dimensions in enumerate(([43, 24, 16], [21, 12, 8])):
        put_array(tmp_path, f"im/s{number}", dimensions)
    image = walk(tmp_path).images["im"]
    assert places(image) == [((1.0,) * 3, (0.0,) * 3), ((2.0,) * 3, (0.5,) * 3)]
    assert not any(level.stated for level in image.levels)
    assert {axis.unit for axis in image.axes} == {None}


def test_bigdataviewer_keeps_factors_one_folder_further_up(tmp_path: Path, walk: Discover) -> None:
    put(tmp_path, "", n5="2.5.1")
    put(tmp_path, "setup0", downsamplingFactors=[[1, 1, 1], [2, 2, 1]], dataType="uint8")
    put(tmp_path, "setup0/timepoint0", multiScale=True, resolution=[0.4, 0.4, 2.0])
    for time in (0, 1):
        put_levels(tmp_path, f"setup0/timepoint{time}", {}, {})
    found = walk(tmp_path)
    assert sorted(found.images) == ["setup0/timepoint0", "setup0/timepoint1"]
    assert places(found.images["setup0/timepoint0"])[1] == ((2.0, 0.8, 0.8), (0.0, 0.2, 0.2))
    assert places(found.images["setup0/timepoint1"])[1] == ((1.0, 2.0, 2.0), (0.0, 0.5, 0.5)), "in voxels"
    alone = walk(tmp_path, ["setup0/timepoint0"])
    assert places(alone.images["setup0/timepoint0"]) == places(found.images["setup0/timepoint0"])


def test_offsets_of_paintera(tmp_path: Path, walk: Discover) -> None:
    put_levels(tmp_path, "im", {"downsamplingFactors": [1, 1, 1]}, {"downsamplingFactors": [2, 2, 2]})
    put(tmp_path, "im", resolution=[4.0, 5.0, 6.0], offset=[100.0, 200.0, 300.0])
    assert places(walk(tmp_path).images["im"]) == [
        ((6.0, 5.0, 4.0), (300.0, 200.0, 100.0)),
        ((12.0, 10.0, 8.0), (303.0, 202.5, 102.0)),
    ]


def test_names_of_levels_alone_make_no_image(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "im/s0", [8, 8, 8])
    put_array(tmp_path, "im/s1", [16, 8, 8])
    put_array(tmp_path, "im/s01", [8, 8, 8])
    found = walk(tmp_path)
    assert sorted(found.arrays) == ["im/s0", "im/s01", "im/s1"]
    assert not found.images


def test_a_resolution_of_fewer_numbers_than_axes_is_that_of_the_first(tmp_path: Path, walk: Discover) -> None:
    resolution = {"dimensions": [4.0, 5.0, 6.0], "unit": "nm"}
    put_array(tmp_path, "a", [8, 8, 8, 3], axes=["x", "y", "z", "c"], pixelResolution=resolution)
    image = walk(tmp_path).images["a"]
    assert places(image) == [((1.0, 6.0, 5.0, 4.0), (0.0,) * 4)]
    assert [(axis.name, axis.type) for axis in image.axes] == [
        ("c", None), ("z", "space"), ("y", "space"), ("x", "space"),
    ]  # fmt: skip


def test_labels_beside_an_image_are_no_level_of_it(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "im/s0", [8, 8, 8])
    put_array(tmp_path, "im/s1", [4, 4, 4], dataType="uint64")
    assert sorted(walk(tmp_path).arrays) == ["im/s0", "im/s1"]


def test_a_level_of_any_name_is_placed_by_its_group_when_it_is_named_alone(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "im/fine", [40, 24, 16])
    transform = cosem_transform((6.0, 5.0, 4.0), 2)
    put(tmp_path, "im", multiscales=[{"datasets": [{"path": "fine", "transform": transform}]}])
    assert places(walk(tmp_path, ["im/fine"]).images["im/fine"]) == [((12.0, 10.0, 8.0), (3.0, 2.5, 2.0))]


def test_axes_of_a_lone_dataset(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "named", [8, 8, 8, 3], axes=["x", "y", "z", "c"])
    put_array(tmp_path, "two", [8, 8])
    put_array(tmp_path, "five", [8, 8, 8, 3, 2])
    found = walk(tmp_path)
    assert {path: array.axes for path, array in found.arrays.items()} == {
        "named": ("c", "z", "y", "x"),
        "two": ("y", "x"),
        "five": ("d4", "d3", "z", "y", "x"),
    }
    assert found.walk.notes == ("five: 5 axes without names; the first three are taken for x, y, z",)


def test_real_metadata_of_neuroglancer(fixtures_folder: Path, walk: Discover) -> None:
    folder = fixtures_folder / "n5" / "neuroglancer_n5_multiscale_deprecated"
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}")
    image = walk(folder).images[""]
    assert places(image) == [
        ((20.0, 10.0), (0.0, 0.0)),
        ((40.0, 20.0), (10.0, 5.0)),
        ((80.0, 40.0), (30.0, 15.0)),
    ]
    assert [(axis.name, axis.unit) for axis in image.axes] == [("y", "s"), ("x", "nm")]


# --- where walks stop -----------------------------------------------------------------------------------------------


def test_blocks_of_a_dataset_that_lost_its_attributes_are_not_walked(tmp_path: Path, walk: Discover) -> None:
    for x in range(3):
        for y in range(40):
            (tmp_path / "lost" / str(x) / str(y)).mkdir(parents=True)
            (tmp_path / "lost" / str(x) / str(y) / "0").write_bytes(b"1")
    put_array(tmp_path, "layer/1", [8, 8, 8])
    found = walk(tmp_path)
    assert list(found.arrays) == ["layer/1"], "a dataset may be called by a number"
    assert asked(found, "children") == ["", "layer", "lost", "lost/0", "lost/1", "lost/2"]
    assert "lost/0: looks like blocks of a dataset without attributes.json; not looked into" in found.walk.notes


def test_folders_of_other_formats_are_passed_over(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "a.n5", [8, 8, 8])
    (tmp_path / "a.zarr" / "s0" / "0").mkdir(parents=True)
    (tmp_path / "a.zarr" / ".zgroup").write_text("{}")
    (tmp_path / "thumbnail.jpg").write_bytes(b"1")
    found = walk(tmp_path)
    assert list(found.arrays) == ["a.n5"]
    assert found.walk.notes == ("a.zarr: .zgroup there, so this is another format than N5; not looked into",)
    assert found.groups[""].extras == ("thumbnail.jpg",)
    with pytest.raises(SourceError, match=r"a\.zarr: \.zgroup there.*name it with format:"):
        walk(tmp_path, ["a.zarr"])


@pytest.mark.parametrize("listable", [True, False])
def test_a_start_that_is_not_there(tmp_path: Path, walk: Discover, *, listable: bool) -> None:
    put(tmp_path, "", n5="2.0.0")
    with pytest.raises(SourceError, match="nothing: no N5 group or dataset here"):
        walk(tmp_path, ["nothing"], listable=listable)
    with pytest.raises(SourceError, match="no legal path"):
        N5Walk(["a/../b"])


def test_levels_are_asked_for_by_name_where_nothing_can_be_listed(tmp_path: Path, walk: Discover) -> None:
    put_levels(tmp_path, "im", {}, {})
    found = walk(tmp_path, ["im"], listable=False)
    assert [level.number for level in found.images["im"].levels] == [0, 1]
    assert asked(found, "document")[-1] == "im/s2/attributes.json", "up to the first that is missing"


def test_folders_without_end(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "/".join("abcdefgh") + "/x", [8, 8, 8])
    found = walk(tmp_path)
    assert not found.arrays
    assert "6 folders without metadata inside each other; not looked into" in found.walk.notes[0]
    with pytest.raises(SourceError, match="more than 3 folders"):
        walk(tmp_path, limits=WalkLimits(nodes=3))


@pytest.mark.parametrize("backwards", [False, True])
def test_answers_may_come_in_any_order(tmp_path: Path, walk: Discover, *, backwards: bool) -> None:
    write_openorganelle(tmp_path, shape=(20, 24, 28), blocks=(8, 8, 8))
    assert sorted(walk(tmp_path, backwards=backwards).images) == [EM, LABELS]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"multiscales": [{"datasets": []}]}, "1 to 64 levels"),
        ({"multiscales": [{"datasets": [{"path": f"s{n}"} for n in range(65)]}]}, "1 to 64 levels"),
        ({"multiscales": [{"datasets": [{"path": "../s0"}]}]}, "no empty, absolute or dotted path"),
        ({"multiscales": {}}, "expected a list"),
        ({"scales": [[1, 1, 1]] * 65}, "1 to 64 levels"),
        ({"scales": [[1, 1]]}, "one number for each of the 3 axes"),
        ({"scales": [[1, 1, 0]]}, "downsampling factors are positive"),
        ({"scales": [[1, 1, 1]], "pixelResolution": [1, 2, 3, 4]}, "up to 3 positive numbers"),
        ({"scales": [[1, 1, 1]], "resolution": [1, -2, 3]}, "up to 3 positive numbers"),
        ({"scales": [[1, 1, 1]], "axes": ["x", "y"]}, "expected one name for each of the 3 axes"),
        ({"scales": [[1, 1, 1]], "offset": [0]}, "one number for each of the 3 axes"),
    ],
)
def test_broken_images_are_named(tmp_path: Path, walk: Discover, group: dict[str, Any], words: str) -> None:
    put_levels(tmp_path, "im", {})
    put(tmp_path, "im", **group)
    with pytest.raises(FormatError) as caught:
        walk(tmp_path)
    assert words in caught.value.message
    assert "im/attributes.json" in caught.value.message


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ({"order": "X"}, 'order is "C" (z, y, x) or "F" (x, y, z)'),
        ({"scale": [4, 4], "translate": [0, 0, 0]}, "one number for each of the 3 axes"),
        ({"scale": [4, 4, 4]}, "expected a list"),
        ({"scale": [4, 4, "4"], "translate": [0, 0, 0]}, "expected a number"),
        ({"scale": [4, 4, 4], "translate": [0, 0, 0], "axes": ["z"]}, "one name for each of the 3 axes"),
    ],
)
def test_broken_transforms_are_named(tmp_path: Path, walk: Discover, transform: dict[str, Any], words: str) -> None:
    put_array(tmp_path, "a", [8, 8, 8], transform=transform)
    with pytest.raises(FormatError) as caught:
        walk(tmp_path)
    assert words in caught.value.message
    assert "a/attributes.json" in caught.value.message


def test_levels_of_other_axes_are_refused(tmp_path: Path, walk: Discover) -> None:
    put_array(tmp_path, "im/s0", [8, 8, 8])
    put_array(tmp_path, "im/s1", [8, 8])
    put(tmp_path, "im", scales=[[1, 1, 1], [2, 2, 2]])
    with pytest.raises(FormatError, match="dataset of 2 axes in an image of 3"):
        walk(tmp_path)


def test_the_plug_in_is_registered() -> None:
    made = FORMATS.load("n5")()
    assert isinstance(made, N5Format)
    assert made.recognises((), ("attributes.json",))
    assert made.recognises(("a.n5",), ())
    assert not made.recognises(("a.zarr",), ("info",))
    assert made.walk(["a"]).needs() == (Need.document("attributes.json"), Need.document("a/attributes.json"))
