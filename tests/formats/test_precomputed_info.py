"""What ``info`` says, and what it must not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emasync.errors import FormatError, SourceError
from emasync.formats.interface import Found, MultiscaleDescription, Need, Part
from emasync.formats.precomputed.format import PrecomputedFormat
from emasync.formats.precomputed.info import parse_info
from emasync.formats.precomputed.walk import PrecomputedWalk
from emasync.model.geometry import Box
from emasync.plan.select import Chosen, select_image

SCALE: dict[str, Any] = {
    "key": "8.0x8.0x8.0",
    "size": [34427, 39725, 41394],
    "chunk_sizes": [[64, 64, 64]],
    "resolution": [8.0, 8.0, 8.0],
    "encoding": "jpeg",
    "sharding": {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 9,
        "hash": "identity",
        "minishard_bits": 6,
        "shard_bits": 15,
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    },
}
INFO: dict[str, Any] = {
    "@type": "neuroglancer_multiscale_volume",
    "type": "image",
    "data_type": "uint8",
    "num_channels": 1,
    "scales": [SCALE],
}


def info(scale: dict[str, Any] | None = None, **members: Any) -> bytes:
    return json.dumps({**INFO, "scales": [{**SCALE, **(scale or {})}], **members}).encode()


def walked(data: bytes, folder: str = "") -> MultiscaleDescription:
    walk = PrecomputedWalk((folder,))
    (need,) = walk.needs()
    assert walk.needs() == ()
    walk.feed(need, data)
    assert walk.done
    found: tuple[Found, ...] = walk.found()
    (image,) = found
    assert isinstance(image, MultiscaleDescription)
    return image


def test_trap_1_and_11_the_size_is_that_of_info_and_x_comes_first_there() -> None:
    image = walked(info())
    (level,) = image.levels
    assert level.array.shape == (41394, 39725, 34427)
    assert level.array.axes == ("z", "y", "x")
    assert level.array.grid_shape == (647, 621, 538)
    assert level.array.origin == (0, 0, 0), "voxel_offset may be left out"
    assert [axis.unit for axis in image.axes] == ["nanometer"] * 3


def test_a_box_of_216_million_chunks_is_a_formula() -> None:
    (chosen,) = select_image(walked(info()))
    assert chosen.grid is not None
    assert len(chosen.grid) == 216_161_406
    assert chosen.grid.key(len(chosen.grid) - 1) == "8.0x8.0x8.0/34368-34427_39680-39725_41344-41394"


def test_channels_lie_in_one_chunk_and_come_first() -> None:
    image = walked(info({"sharding": None}, num_channels=3))
    (level,) = image.levels
    assert level.array.shape == (3, 41394, 39725, 34427)
    assert level.array.axes == ("c", "z", "y", "x")
    (chosen,) = select_image(image, select={"c": 1})
    assert chosen.grid is not None
    assert chosen.grid.shape == (647, 621, 538)


def test_trap_15_keys_are_opaque() -> None:
    """Neither the resolution nor its spelling tells the folder."""
    assert walked(info({"key": "8_8_8 (old)"})).levels[0].array.path == "8_8_8 (old)"
    assert walked(info({"key": "a/./b//c"}), "em/jpeg").levels[0].array.path == "em/jpeg/a/b/c"


def test_trap_12_chunk_shapes_are_those_of_info() -> None:
    """Copies of others have chunks of 101^3 or 63 x 63 x 125; nothing here expects 64^3."""
    image = walked(info({"chunk_sizes": [[125, 63, 101]], "sharding": None}))
    assert image.levels[0].array.chunks == (101, 63, 125)


def test_a_key_may_lead_up_but_not_out_of_the_dataset() -> None:
    assert walked(info({"key": "../raw/8"}), "em/jpeg").levels[0].array.path == "em/raw/8"
    with pytest.raises(FormatError, match="leads out of the dataset's url"):
        walked(info({"key": "../../../raw"}), "em/jpeg")


@pytest.mark.parametrize("key", ["/etc", "gs://other/x", "a\\b", "a\x00b", 7, None])
def test_keys_that_are_no_relative_path(key: object) -> None:
    with pytest.raises(FormatError, match="key"):
        walked(info({"key": key}))


def test_of_several_copies_the_first_is_taken_and_said_to_be_there() -> None:
    image = walked(info({"chunk_sizes": [[64, 64, 64], [512, 512, 1]], "sharding": None}))
    (chosen,) = select_image(image)
    rewriter = PrecomputedFormat().rewriter({chosen.array.path: part_of(chosen)}, ["info"])
    changed = rewriter.rewrite("info", image.documents["info"])
    assert changed is not None
    assert json.loads(changed)["scales"][0]["chunk_sizes"] == [[64, 64, 64]]


def part_of(chosen: Chosen) -> Part:
    return Part(chosen.array, chosen.hull, chosen.unsharded)


def test_other_folders_leave_info_with_what_they_hold() -> None:
    data = info(type="segmentation", data_type="uint64", mesh="mesh", skeletons="s", segment_properties="p", extra=1)
    image = walked(data)
    (chosen,) = select_image(image)
    changed = PrecomputedFormat().rewriter({chosen.array.path: part_of(chosen)}, ["info"]).rewrite("info", data)
    assert changed is not None
    assert set(json.loads(changed)) == {*INFO, "extra"}
    assert json.loads(changed)["scales"] == [SCALE], "a scale that is whole stays as it is"


@pytest.mark.parametrize(
    ("scale", "where"),
    [
        ({"size": [1, 2]}, "size"),
        ({"size": [1, 2, -3]}, "size"),
        ({"size": [1 << 62, 2, 3]}, "size"),
        ({"size": [1 << 59, 1 << 59, 3]}, "size"),
        ({"size": "big"}, "size"),
        ({"chunk_sizes": []}, "chunk_sizes"),
        ({"chunk_sizes": [[64, 64, 0]]}, "chunk_sizes"),
        ({"chunk_sizes": [[64, 64, 64]] * 65}, "chunk_sizes"),
        ({"voxel_offset": [0, 0, 0.5]}, "voxel_offset"),
        ({"voxel_offset": None}, "voxel_offset"),
        ({"resolution": [8, 8, 0]}, "resolution"),
        ({"resolution": [8, 8]}, "resolution"),
        ({"encoding": 5}, "encoding"),
        ({"sharding": {"@type": "other"}}, "sharding"),
    ],
)
def test_scales_that_cannot_be(scale: dict[str, Any], where: str) -> None:
    with pytest.raises(FormatError, match=where):
        walked(info(scale))


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"data_type": "float16"}, "data_type"),
        ({"num_channels": 0}, "num_channels"),
        ({"scales": []}, "scales"),
        ({"scales": [SCALE] * 1001}, "scales"),
        ({"scales": {}}, "scales"),
        ({"scales": [SCALE, SCALE]}, "scales"),
    ],
)
def test_volumes_that_cannot_be(members: dict[str, Any], where: str) -> None:
    with pytest.raises(FormatError, match=where):
        walked(info(**members))


@pytest.mark.parametrize(
    "kind", ["neuroglancer_annotations_v1", "neuroglancer_multilod_draco", "neuroglancer_skeletons"]
)
def test_trap_13_what_is_no_volume(kind: str) -> None:
    with pytest.raises(SourceError, match="not a volume of voxels"):
        parse_info("info", json.dumps({"@type": kind}).encode(), "")


def test_no_info_is_no_volume() -> None:
    walk = PrecomputedWalk(("a",))
    with pytest.raises(SourceError, match="no precomputed volume"):
        walk.feed(Need.document("a/info"), None)


def test_levels_lie_where_resolution_and_offset_say() -> None:
    """Edges, not centres: voxel 0 of every level begins at its offset times its resolution."""
    fine = {**SCALE, "voxel_offset": [1000, -20, 7], "sharding": None, "size": [120, 40, 30]}
    coarse = {**fine, "key": "c", "resolution": [24.0] * 3, "voxel_offset": [333, -7, 2], "size": [41, 14, 11]}
    image = walked(json.dumps({**INFO, "scales": [fine, coarse]}).encode())
    chosen = select_image(image, box=Box((7, -20, 1000), (9, -18, 1002)))
    by_level = {item.level: item for item in chosen}
    assert by_level[0].box == Box((0, 0, 0), (2, 2, 2))
    # 7..9, -20..-18, 1000..1002 of 8 nm are 2.33..3, -6.67..-6, 333.33..334 of 24 nm
    assert by_level[1].box == Box((0, 0, 0), (1, 1, 1))


def test_real_infos(fixtures_folder: Path) -> None:
    truth = json.loads((fixtures_folder / "TRUTH.json").read_bytes())
    for path in sorted((fixtures_folder / "precomputed").glob("*/info")):
        image = walked(path.read_bytes())
        facts = truth[f"precomputed/{path.parent.name}"]["scales"]
        for level, scale in zip(image.levels, facts, strict=True):
            assert level.array.path == scale["key"]
            assert list(level.array.shape[-3:]) == scale["size_xyz"][::-1]
            assert list(level.array.chunks[-3:]) == scale["chunk_sizes"][0][::-1]
            assert list(level.transform.scale[-3:]) == scale["resolution_nm"][::-1]
