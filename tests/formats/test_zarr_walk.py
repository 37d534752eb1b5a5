"""Walks over trees: what is found, what is asked, and where they stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emasync.errors import FormatError, SourceError
from emasync.formats.interface import Need
from emasync.formats.paths import ancestors, legal_name, normal_path
from emasync.formats.visits import WalkLimits
from emasync.formats.zarr import ZarrFormat, ZarrWalk
from emasync.registry import FORMATS

Discover = Callable[..., Any]  # the fixture's class lives in conftest, which is no module to import

GROUP = {"zarr_format": 2}
ZARRAY = {"zarr_format": 2, "shape": [8, 8, 8], "chunks": [4, 4, 4], "dtype": "|u1", "order": "C", "fill_value": 0}


def put(root: Path, path: str, **documents: object) -> None:
    """Write ``.zgroup``, ``.zattrs``, ``.zarray`` or ``zarr.json`` below `path`."""
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (folder / ("zarr.json" if name == "zarr_json" else f".{name}")).write_text(json.dumps(text))


def put_image(root: Path, path: str, *levels: str) -> None:
    datasets = [{"path": level} for level in levels]
    put(
        root,
        path,
        zgroup=GROUP,
        zattrs={"multiscales": [{"version": "0.4", "axes": ["z", "y", "x"], "datasets": datasets}]},
    )
    for level in levels:
        put(root / path, level, zarray=ZARRAY)


def asked(discovery: Any, kind: str) -> set[str]:
    return {need.key for need in discovery.asked if need.kind == kind}


# --- kinds of trees ---------------------------------------------------------------------------------------------


def test_an_image_is_found_with_its_levels_and_documents(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "s0", "s1")
    put(tmp_path, "s0", zattrs={"kept": 1})
    (tmp_path / ".zmetadata").write_text("{}")
    (tmp_path / "README.md").write_text("hello")
    discovery = discover(tmp_path)
    image = discovery.images[""]
    assert [level.array.path for level in image.levels] == ["s0", "s1"]
    assert set(image.documents) == {".zgroup", ".zattrs", ".zmetadata"}
    assert set(image.levels[0].documents) == {"s0/.zarray", "s0/.zattrs"}
    assert discovery.groups[""].extras == ("README.md",)
    assert discovery.groups[""].layout == "multiscale"
    assert not discovery.arrays


def test_arrays_are_never_looked_into(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "s0")
    put(tmp_path, "plain", zarray=ZARRAY)
    for path in ("s0/0/0", "plain/0/0"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "0").write_bytes(b"chunk")
    discovery = discover(tmp_path)
    assert asked(discovery, "children") == {""}
    assert not any(key.startswith(("s0/0", "plain/0")) for key in asked(discovery, "document"))


def test_a_plain_folder_of_tiles_is_walked(tmp_path: Path, discover: Discover) -> None:
    for tile in ("tile_x_0000_ch_488.zarr", "tile_x_0001_ch_488.zarr"):
        put_image(tmp_path, f"SPIM.ome.zarr/{tile}", "0", "1")
    (tmp_path / "acquisition.json").write_text("{}")
    discovery = discover(tmp_path)
    assert sorted(discovery.images) == [
        "SPIM.ome.zarr/tile_x_0000_ch_488.zarr",
        "SPIM.ome.zarr/tile_x_0001_ch_488.zarr",
    ]
    assert discovery.groups[""].extras == ("acquisition.json",)
    assert discovery.groups[""].layout == "folder"


def test_levels_below_groups_of_their_own_bring_those_along(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "scale0/image", "scale1/image")
    for name in ("scale0", "scale1"):
        put(tmp_path, name, zgroup=GROUP, zattrs={"_ARRAY_DIMENSIONS": ["y", "x"]})
    discovery = discover(tmp_path)
    image = discovery.images[""]
    assert set(image.levels[1].between) == {"scale1/.zgroup", "scale1/.zattrs"}
    assert set(image.levels[1].documents) == {"scale1/.zgroup", "scale1/.zattrs", "scale1/image/.zarray"}
    assert list(discovery.groups) == [""]


def test_several_images_of_one_group(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "a", "b")
    images = [{"version": "0.4", "axes": ["z", "y", "x"], "datasets": [{"path": name}]} for name in "ab"]
    put(tmp_path, "", zattrs={"multiscales": images})
    found = [item for item in discover(tmp_path).found if hasattr(item, "levels")]
    assert [(item.index, item.levels[0].array.path) for item in found] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("listable", [True, False])
def test_bioformats2raw_series_are_found_with_and_without_listing(
    tmp_path: Path, discover: Discover, *, listable: bool
) -> None:
    put(tmp_path, "", zgroup=GROUP, zattrs={"bioformats2raw.layout": 3})
    put(tmp_path, "OME", zgroup=GROUP, zattrs={"series": ["first", "1"]})
    (tmp_path / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    for path in ("first", "1", "1/labels/cells"):
        put_image(tmp_path, path, "0")
    put(tmp_path, "1/labels", zgroup=GROUP, zattrs={"labels": ["cells"]})
    discovery = discover(tmp_path, listable=listable)
    assert sorted(discovery.images) == ["1", "1/labels/cells", "first"]
    assert discovery.groups["OME"].extras == (("OME/METADATA.ome.xml",) if listable else ())
    assert discovery.groups["1/labels"].layout == "labels"


def test_numbered_groups_are_counted_up_where_nothing_can_be_listed(tmp_path: Path, discover: Discover) -> None:
    put(tmp_path, "", zgroup=GROUP, zattrs={"bioformats2raw.layout": 3})
    for path in ("0", "1", "2", "4"):
        put_image(tmp_path, path, "0")
    assert sorted(discover(tmp_path, listable=False).images) == ["0", "1", "2"]
    assert sorted(discover(tmp_path).images) == ["0", "1", "2", "4"]


@pytest.mark.parametrize("listable", [True, False])
def test_plates_are_walked_along_their_wells(tmp_path: Path, discover: Discover, *, listable: bool) -> None:
    put(tmp_path, "", zgroup=GROUP, zattrs={"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    for well in ("A/1", "B/2"):
        put(tmp_path, well, zgroup=GROUP, zattrs={"well": {"images": [{"path": "0"}]}})
        put_image(tmp_path, f"{well}/0", "0", "1")
    put(tmp_path, "A", zgroup=GROUP)
    discovery = discover(tmp_path, listable=listable)
    assert sorted(discovery.images) == ["A/1/0", "B/2/0"]
    assert "A/.zgroup" in discovery.groups["A"].documents
    assert discovery.groups[""].children == ("A/1", "B/2")


def test_formats_may_be_mixed(tmp_path: Path, discover: Discover) -> None:
    put(tmp_path, "", zarr_json={"zarr_format": 3, "node_type": "group"})
    zarr.create_array(tmp_path / "new", shape=(4,), chunks=(2,), dtype="u1", zarr_format=3)
    put(tmp_path, "old", zarray=ZARRAY)
    put(tmp_path, "older", zgroup=GROUP)
    zarr.create_array(tmp_path / "older" / "newer", shape=(4,), chunks=(2,), dtype="u1", zarr_format=3)
    arrays = discover(tmp_path).arrays
    assert {path: item.format for path, item in arrays.items()} == {
        "new": "zarr3",
        "old": "zarr2",
        "older/newer": "zarr3",
    }


def test_v3_wins_where_a_store_carries_both(tmp_path: Path, discover: Discover) -> None:
    zarr.create_array(tmp_path, shape=(4,), chunks=(2,), dtype="u1", zarr_format=3)
    put(tmp_path, "", zarray=ZARRAY)
    assert set(discover(tmp_path).arrays[""].documents) == {"zarr.json"}


def test_attributes_alone_make_a_group(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "0")
    (tmp_path / ".zgroup").unlink()
    assert list(discover(tmp_path).images) == [""]


# --- starts -----------------------------------------------------------------------------------------------------


def test_a_start_is_walked_and_what_is_above_is_read_only(tmp_path: Path, discover: Discover) -> None:
    put(tmp_path, "", zgroup=GROUP)
    (tmp_path / ".zmetadata").write_text("{}")
    put(tmp_path, "recon-2", zgroup=GROUP)
    put(tmp_path, "recon-2/em", zgroup=GROUP)
    put_image(tmp_path, "recon-2/em/fibsem-int16", "s0", "s1")
    put_image(tmp_path, "recon-1/em/fibsem-int16", "s0")
    discovery = discover(tmp_path, ["/recon-2//em/fibsem-int16/"])
    assert list(discovery.images) == ["recon-2/em/fibsem-int16"]
    assert asked(discovery, "children") == {"recon-2/em/fibsem-int16"}
    assert set(discovery.groups) == {"", "recon-2", "recon-2/em", "recon-2/em/fibsem-int16"}
    assert set(discovery.groups[""].documents) == {".zgroup", ".zmetadata"}


def test_one_level_of_an_image_is_an_array(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "em", "s0", "s1")
    discovery = discover(tmp_path, ["em/s1"])
    assert list(discovery.arrays) == ["em/s1"]
    assert discovery.groups["em"].layout == "multiscale"
    assert not discovery.images


def test_starts_inside_others_are_not_walked_twice(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "em", "s0", "s1")
    discovery = discover(tmp_path, ["em/s1", "em", "em"])
    assert list(discovery.images) == ["em"]
    assert not discovery.arrays
    assert len(discovery.asked) == len(set(discovery.asked))


@pytest.mark.parametrize("start", ["../x", "a/./b", "a\\b", "a\nb"])
def test_a_start_must_be_a_legal_path(start: str) -> None:
    with pytest.raises(SourceError, match="no legal path of an array or group"):
        ZarrWalk([start])


@pytest.mark.parametrize("listable", [True, False])
def test_a_start_that_is_not_there_is_named(tmp_path: Path, discover: Discover, *, listable: bool) -> None:
    put(tmp_path, "", zgroup=GROUP)
    with pytest.raises(SourceError, match="recon-3: no Zarr array or group here"):
        discover(tmp_path, ["recon-3"], listable=listable)


def test_a_group_that_cannot_be_listed_and_names_nothing_is_noted(tmp_path: Path, discover: Discover) -> None:
    put(tmp_path, "g", zgroup=GROUP)
    put(tmp_path, "g/a", zarray=ZARRAY)
    discovery = discover(tmp_path, ["g"], listable=False)
    assert not discovery.arrays
    assert discovery.walk.notes == ("g: cannot be listed and names no arrays; name them with arrays:",)


# --- slightly wrong and hostile trees ---------------------------------------------------------------------------


def test_a_level_that_is_not_there_is_left_out_with_a_note(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "s0", "s1")
    (tmp_path / "s0" / ".zarray").unlink()
    discovery = discover(tmp_path)
    assert [level.number for level in discovery.images[""].levels] == [1]
    assert discovery.walk.notes == ("s0: level 0 of the base has no array; left out",)


def test_an_image_without_any_level_is_a_group(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "1")
    (tmp_path / "1").rename(tmp_path / "1-1-1")
    discovery = discover(tmp_path)
    assert not discovery.images
    assert list(discovery.arrays) == ["1-1-1"]


def test_unknown_versions_are_walked_as_plain_groups(tmp_path: Path, discover: Discover) -> None:
    put_image(tmp_path, "", "s0")
    put(tmp_path, "", zattrs={"multiscales": [{"version": "0.6.dev3", "datasets": [{"path": "s0"}]}]})
    discovery = discover(tmp_path)
    assert list(discovery.arrays) == ["s0"]
    assert discovery.walk.notes == (
        "the base: OME-NGFF 0.6.dev3 is not known here (0.1 to 0.5 are); its arrays are taken singly",
    )


def test_listed_names_that_cannot_be_nodes_are_passed_over() -> None:
    walk = ZarrWalk()
    for need in walk.needs():
        walk.feed(need, None)
    (need,) = walk.needs()

    class Names:
        folders = ("", ".", "..", "a\x1b[2J", "fine")
        objects = ("", "note.txt")

    walk.feed(need, Names())
    assert {need.key.rpartition("/")[0] for need in walk.needs()} == {"fine"}
    assert len(walk.notes) == 4
    assert not any("\x1b" in note for note in walk.notes)
    (folder,) = walk.found()
    assert getattr(folder, "extras", None) == ("note.txt",)


def test_the_number_of_folders_is_bounded(tmp_path: Path, discover: Discover) -> None:
    for number in range(20):
        put(tmp_path, f"a{number}", zarray=ZARRAY)
    with pytest.raises(SourceError, match="more than 10 folders below the base"):
        discover(tmp_path, limits=WalkLimits(nodes=10))


def test_the_depth_is_bounded(tmp_path: Path, discover: Discover) -> None:
    path = "/".join("abcdef")
    for folder in (*ancestors(path), path):
        put(tmp_path, folder, zgroup=GROUP)
    assert len(discover(tmp_path, limits=WalkLimits(depth=6)).groups) == 7
    with pytest.raises(SourceError, match="nested deeper than 4 folders"):
        discover(tmp_path, limits=WalkLimits(depth=4))


def test_chunk_folders_without_metadata_are_not_followed_for_ever(tmp_path: Path, discover: Discover) -> None:
    (tmp_path / "lost" / "c" / "0" / "1" / "2" / "3" / "4" / "5").mkdir(parents=True)
    discovery = discover(tmp_path, limits=WalkLimits(bare_depth=3))
    assert asked(discovery, "children") == {"", "lost", "lost/c"}
    assert discovery.walk.notes == ("lost/c/0: 3 folders without metadata inside each other; not looked into",)


def test_notes_are_bounded() -> None:
    walk = ZarrWalk()
    for need in walk.needs():
        walk.feed(need, None)

    class Names:
        folders = ("..",) * 1002
        objects = ()

    walk.feed(walk.needs()[0], Names())
    assert len(walk.notes) == 1000


def test_a_walk_is_over_after_an_error(tmp_path: Path) -> None:
    walk = ZarrWalk()
    needs = walk.needs()
    broken = next(need for need in needs if need.key == "zarr.json")
    others = [need for need in needs if need != broken]
    walk.feed(broken, b"{")
    for need in others[:-1]:
        walk.feed(need, None)
    with pytest.raises(FormatError, match=r"^zarr\.json: expected a JSON object"):
        walk.feed(others[-1], None)
    assert walk.done
    assert walk.needs() == ()
    walk.feed(others[0], None)


# --- the protocol -----------------------------------------------------------------------------------------------


def test_the_order_of_answers_does_not_matter(tmp_path: Path, discover: Discover) -> None:
    put(tmp_path, "", zgroup=GROUP)
    for path in ("a", "b/c", "b/d"):
        put_image(tmp_path, path, "0", "1")
    forwards, backwards = discover(tmp_path), discover(tmp_path, backwards=True)
    assert forwards.images == backwards.images
    assert forwards.groups == backwards.groups
    assert set(forwards.asked) == set(backwards.asked)


def test_levels_are_asked_for_at_the_same_time(tmp_path: Path) -> None:
    put_image(tmp_path, "", *(f"s{n}" for n in range(9)))
    walk = ZarrWalk()
    rounds = []
    while needs := walk.needs():
        rounds.append(len(needs))
        for need in needs:
            path = tmp_path / need.key
            walk.feed(need, path.read_bytes() if need.kind == "document" and path.is_file() else None)
    assert rounds[:2] == [4, 19]


def test_a_need_is_answered_once() -> None:
    walk = ZarrWalk()
    (need, *_) = walk.needs()
    walk.feed(need, None)
    with pytest.raises(ValueError, match="was not asked for, or is answered already"):
        walk.feed(need, None)
    with pytest.raises(ValueError, match="was not asked for"):
        walk.feed(Need.document("other"), None)
    assert repr(walk) == "<ZarrWalk: 1 folders seen, 3 needs open>"


def test_the_plug_in_is_found_by_name_and_recognises_its_own() -> None:
    form = FORMATS.load("zarr")()
    assert isinstance(form, ZarrFormat)
    assert form.recognises([], [".zattrs"])
    assert form.recognises(["tile.ome.zarr"], [])
    assert not form.recognises(["s0"], ["attributes.json"])
    assert isinstance(form.walk(("a",)), ZarrWalk)


def test_paths() -> None:
    assert normal_path("/a//b/") == "a/b"
    assert normal_path("") == ""
    assert normal_path("a/../b") is None
    assert ancestors("") == ()
    assert ancestors("a/b/c") == ("", "a", "a/b")
    assert legal_name("s0")
    assert not any(map(legal_name, ("", ".", "..", "a/b")))


def test_a_walk_of_many_tiles_stays_quick(discover: Discover, tmp_path: Path) -> None:
    """Needs are counted: four documents and a listing a group, two documents a level, all known to be few."""
    put(tmp_path, "", zgroup=GROUP)
    for number in range(50):
        put_image(tmp_path, f"tile_{number:03}", "0", "1", "2")
    discovery = discover(tmp_path)
    assert len(discovery.images) == 50
    assert len(discovery.asked) == 5 + 50 * (3 + 1 + 3 * 2)
    assert np.unique([len(image.levels) for image in discovery.images.values()]).tolist() == [3]
