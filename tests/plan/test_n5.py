"""Parts of N5 containers: what a reader of the part finds is what was chosen, where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plan.conftest import Bench

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import ArrayDescription, Found, MultiscaleDescription, Part
from emasync.formats.n5 import N5Format
from emasync.model.geometry import Box
from emasync.plan.extents import box_of, extent_of
from emasync.plan.select import Chosen, select_array, select_image
from emasync.plan.subset import rewrite, wanted_documents
from emasync.plan.whole import documents_of
from emasync.testing.n5 import cosem_transform

SHAPE = (50, 70, 90)
"""Of the finest level, z, y, x."""

BLOCK = (8, 16, 10)
SIZES = (6.0, 5.0, 4.0)
LEVELS = 4

Documents = dict[str, dict[str, Any]]
"""Attributes (Any: JSON) by folder."""


def arrays(folder: str, more: Callable[[int], dict[str, Any]] = lambda _number: {}) -> Documents:
    found = {}
    for number in range(LEVELS):
        found[f"{folder}/s{number}".lstrip("/")] = {
            "dimensions": [size >> number for size in reversed(SHAPE)],
            "blockSize": [*reversed(BLOCK)],
            "dataType": "uint8",
            "compression": {"type": "gzip"},
            "kept": number,
            **more(number),
        }
    return found


def factors(number: int) -> list[int]:
    return [2**number] * 3


def openorganelle() -> Documents:
    transforms = [cosem_transform(SIZES, 2**number) for number in range(LEVELS)]
    datasets = [{"path": f"s{number}", "transform": transform} for number, transform in enumerate(transforms)]

    def more(number: int) -> dict[str, Any]:
        resolution = {"dimensions": transforms[number]["scale"][::-1], "unit": "nm"}
        return {"transform": transforms[number], "pixelResolution": resolution}

    group = {
        "axes": ["x", "y", "z"],
        "units": ["nm"] * 3,
        "pixelResolution": {"dimensions": [*reversed(SIZES)], "unit": "nm"},
        "scales": [factors(number) for number in range(LEVELS)],
        "multiscales": [{"name": "em", "datasets": datasets}],
    }
    return {"": {"n5": "2.5.1"}, "em/im": group, **arrays("em/im", more)}


def openorganelle_in_fortran_order() -> Documents:
    """Transforms that count x, y, z, in the group alone."""
    made = openorganelle()
    group = made["em/im"]
    for item in group["multiscales"][0]["datasets"]:
        turned = {name: value[::-1] for name, value in item["transform"].items() if name != "order"}
        item["transform"] = {"order": "F", **turned}
    for number in range(LEVELS):
        del made[f"em/im/s{number}"]["transform"]
    return made


def neuroglancer() -> Documents:
    scales = [factors(number) for number in range(LEVELS)]
    group = {"axes": ["x", "y", "z"], "units": ["um"] * 3, "resolution": [*reversed(SIZES)], "scales": scales}
    return {"em/im": group, **arrays("em/im")}


def n5_viewer() -> Documents:
    resolution = {"dimensions": [*reversed(SIZES)], "unit": "nm"}
    return arrays(
        "em/im", lambda number: {"pixelResolution": resolution, "downsamplingFactors": factors(number), "other": [1]}
    )


def bigdataviewer() -> Documents:
    setup = {"downsamplingFactors": [factors(number) for number in range(LEVELS)], "dataType": "uint8"}
    timepoint = {"multiScale": True, "resolution": [*reversed(SIZES)]}
    return {"em": setup, "em/timepoint0": timepoint, **arrays("em/timepoint0")}


def paintera() -> Documents:
    group = {"resolution": [*reversed(SIZES)], "offset": [40.0, 500.0, -60.0], "multiScale": True}
    return {"em/im": group, **arrays("em/im", lambda number: {"downsamplingFactors": factors(number)})}


def named_only() -> Documents:
    return arrays("em/im")


CONVENTIONS = (
    openorganelle, openorganelle_in_fortran_order, neuroglancer, n5_viewer, bigdataviewer, paintera, named_only,
)  # fmt: skip


def encode(documents: Documents) -> dict[str, bytes]:
    return {f"{path}/attributes.json".lstrip("/"): json.dumps(value).encode() for path, value in documents.items()}


class Names:
    """A folder of a tree that is given by its documents."""

    def __init__(self, keys: Sequence[str], folder: str) -> None:
        lead = f"{folder}/" if folder else ""
        rest = [key.removeprefix(lead) for key in keys if key.startswith(lead)]
        self.folders = sorted({key.split("/")[0] for key in rest if "/" in key})
        self.objects = [key for key in rest if "/" not in key]


def walk(documents: Mapping[str, bytes], start: Sequence[str] = ("",)) -> list[Found]:
    found: list[Found] = []
    run = N5Format().walk(start)
    while needs := run.needs():
        for need in needs:
            if need.kind == "document":
                run.feed(need, documents.get(need.key))
            else:
                run.feed(need, Names([*documents], need.key))
        found += run.found()
    assert not run.notes
    return found


def image_in(found: Sequence[Found]) -> MultiscaleDescription:
    (image,) = (item for item in found if isinstance(item, MultiscaleDescription))
    return image


def part_of(documents: Mapping[str, bytes], chosen: Sequence[Chosen], start: Sequence[str] = ("",)) -> dict[str, bytes]:
    """Documents on disk after a choice."""
    found = walk(documents, start)
    wanted = wanted_documents(found, chosen)
    assert wanted.keys() <= documents_of(found).keys()
    changed = {item.key: item.data for item in rewrite(wanted, chosen, N5Format())}
    return {**wanted, **changed}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_part_is_where_it_was(data: st.DataObject) -> None:
    documents = encode(data.draw(st.sampled_from(CONVENTIONS))())
    image = image_in(walk(documents))
    scales = sorted(data.draw(st.sets(st.integers(0, LEVELS - 1), min_size=1)))
    start = [data.draw(st.integers(0, size - 1)) for size in SHAPE]
    stop = [data.draw(st.integers(low + 1, size)) for low, size in zip(start, SHAPE, strict=True)]
    box = data.draw(st.sampled_from([None, Box(tuple(start), tuple(stop))]))
    chosen = {item.level: item for item in select_image(image, scales=scales, box=box)}
    part = image_in(walk(part_of(documents, [*chosen.values()])))
    there = {level.array.path: level for level in part.levels}
    assert len(there) == len(scales)
    for level in image.levels:
        if (item := chosen.get(level.number)) is None:
            continue
        found = there[level.array.path]
        assert found.array.shape == item.hull.shape
        assert found.array.chunks == level.array.chunks
        assert found.transform.scale == pytest.approx(level.transform.scale)
        moved = [
            at + size * low
            for at, size, low in zip(level.transform.translation, level.transform.scale, item.hull.start, strict=True)
        ]
        assert found.transform.translation == pytest.approx(moved)
    units = [axis.unit for axis in image.axes]
    assert [axis.unit for axis in part.axes] == units or units == [None] * 3
    assert [axis.name for axis in part.axes] == ["z", "y", "x"]


def test_a_coarse_part_that_is_larger_than_a_fine_one_is_a_level_all_the_same() -> None:
    documents = encode(n5_viewer())
    image = image_in(walk(documents))
    chosen = select_image(image, scales=[2, 3], box=Box((32, 0, 0), (33, 1, 1)))
    part = image_in(walk(part_of(documents, chosen)))
    assert [level.array.shape for level in part.levels] == [(4, 16, 10), (6, 8, 10)]


@pytest.mark.parametrize("convention", CONVENTIONS[:-1])
@pytest.mark.parametrize("number", [0, 2])
def test_a_level_that_is_named_is_where_its_image_has_it(convention: Callable[[], Documents], number: int) -> None:
    documents = encode(convention())
    level = image_in(walk(documents)).levels[number]
    alone = image_in(walk(documents, [level.array.path]))
    (found,) = alone.levels
    assert (found.number, found.array.shape) == (0, level.array.shape)
    assert found.transform.scale == pytest.approx(level.transform.scale)
    assert found.transform.translation == pytest.approx(level.transform.translation)
    assert alone.axes == image_in(walk(documents)).axes
    chosen = select_image(alone, box=Box((8, 20, 11), (9, 21, 12)) if number == 0 else None)
    part = image_in(walk(part_of(documents, chosen, [level.array.path])))
    assert part.levels[0].transform.scale == pytest.approx(level.transform.scale)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_is_whole_stays_as_it_is(convention: Callable[[], Documents]) -> None:
    documents = encode(convention())
    image = image_in(walk(documents))
    assert part_of(documents, select_image(image)) == documents


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_other_member_stays(convention: Callable[[], Documents]) -> None:
    made = convention()
    documents = encode(made)
    image = image_in(walk(documents))
    part = part_of(documents, select_image(image, scales=[0], box=Box((9, 20, 30), (12, 40, 50))))
    (path,) = (level.array.path for level in image.levels if level.number == 0)
    old, new = made[path], json.loads(part[f"{path}/attributes.json"])
    moved = {"dimensions", "transform"}
    assert {name: value for name, value in new.items() if name not in moved} == {
        name: value for name, value in old.items() if name not in moved
    }
    assert new["dimensions"] == [20, 32, 8]


def rewritten(convention: Callable[[], Documents], path: str, **choice: Any) -> dict[str, Any]:
    documents = encode(convention())
    part = part_of(documents, select_image(image_in(walk(documents)), **choice))
    found: dict[str, Any] = json.loads(part[f"{path}/attributes.json"])
    return found


EVEN = Box((16, 32, 20), (24, 64, 40))
"""Its hull begins at one place on the first two levels."""

UNEVEN = Box((8, 16, 10), (24, 64, 40))
"""Its hull does not: the second level begins with the array."""


def test_lists_of_factors_are_cut_or_go() -> None:
    assert rewritten(neuroglancer, "em/im", scales=[0, 1])["scales"] == [[1, 1, 1], [2, 2, 2]]
    assert rewritten(neuroglancer, "em/im", scales=[0, 1], box=EVEN)["scales"] == [[1, 1, 1], [2, 2, 2]]
    for gone in ({"scales": [0, 2]}, {"scales": [1]}, {"scales": [0, 1], "box": UNEVEN}):
        new = rewritten(neuroglancer, "em/im", **gone)
        assert "scales" not in new
        assert new["resolution"] == [4.0, 5.0, 6.0]
        assert all("transform" in item for item in new["multiscales"][0]["datasets"])


def test_factors_of_a_level_go_where_levels_no_longer_begin_at_one_place() -> None:
    even = rewritten(n5_viewer, "em/im/s1", scales=[0, 1], box=EVEN)
    assert even["downsamplingFactors"] == [2, 2, 2]
    first = [3.0 + 8 * 12.0, 2.5 + 16 * 10.0, 2.0 + 10 * 8.0]
    assert even["transform"]["translate"] == first, "nothing else can say where it begins"
    uneven = rewritten(n5_viewer, "em/im/s1", scales=[0, 1], box=UNEVEN)
    assert "downsamplingFactors" not in uneven
    assert uneven["pixelResolution"] == {"dimensions": [8.0, 10.0, 12.0], "unit": "nm"}, "no longer to be multiplied"
    assert uneven["transform"] == cosem_transform(SIZES, 2)


@pytest.mark.parametrize(("member", "value"), [("pixelResolution", [4.0, 5.0, 6.0]), ("resolution", [4.0, 5.0, 6.0])])
def test_a_resolution_keeps_its_spelling(member: str, value: list[float]) -> None:
    def made() -> Documents:
        return arrays("em/im", lambda number: {member: value, "downsamplingFactors": factors(number)})

    assert rewritten(made, "em/im/s1", scales=[0, 1], box=UNEVEN)[member] == [8.0, 10.0, 12.0]
    assert rewritten(made, "em/im/s1", scales=[0, 1], box=EVEN)[member] == value


def test_a_setup_of_bigdataviewer_tells_the_levels_that_are_there() -> None:
    assert rewritten(bigdataviewer, "em", scales=[0, 1])["downsamplingFactors"] == [[1, 1, 1], [2, 2, 2]]
    assert "downsamplingFactors" not in rewritten(bigdataviewer, "em", scales=[0, 2])
    assert "downsamplingFactors" not in rewritten(bigdataviewer, "em", scales=[0, 1], box=UNEVEN)


def test_a_setup_whose_timepoints_keep_different_levels_tells_none() -> None:
    documents = encode({**bigdataviewer(), **arrays("em/timepoint1")})
    images = [item for item in walk(documents) if isinstance(item, MultiscaleDescription)]
    one, two = sorted(images, key=lambda image: image.path)
    chosen = [*select_image(one, scales=[0, 1]), *select_image(two, scales=[0])]
    assert "downsamplingFactors" not in json.loads(part_of(documents, chosen)["em/attributes.json"])
    chosen = [*select_image(one, scales=[0, 1]), *select_image(two, scales=[0, 2])]
    assert "downsamplingFactors" not in json.loads(part_of(documents, chosen)["em/attributes.json"])
    chosen = [*select_image(one, scales=[0, 1]), *select_image(two, scales=[0, 1])]
    assert len(json.loads(part_of(documents, chosen)["em/attributes.json"])["downsamplingFactors"]) == 2


def test_offsets_of_paintera_move_or_go() -> None:
    even = rewritten(paintera, "em/im", scales=[0, 1], box=EVEN)
    assert even["offset"] == [40.0 + 20 * 4.0, 500.0 + 32 * 5.0, -60.0 + 16 * 6.0]
    assert "offset" not in rewritten(paintera, "em/im", scales=[0, 1], box=UNEVEN)
    level = rewritten(paintera, "em/im/s1", scales=[0, 1], box=UNEVEN)
    assert level["pixelResolution"] == {"dimensions": [8.0, 10.0, 12.0], "unit": "pixel"}


def test_an_offset_of_a_dataset_moves_with_it() -> None:
    def made() -> Documents:
        own = {"resolution": [*reversed(SIZES)], "offset": [1.0, 2.0, 3.0]}
        return arrays("em/im", lambda number: {**own, "downsamplingFactors": factors(number)})

    level = rewritten(made, "em/im/s1", scales=[0, 1], box=EVEN)
    assert level["offset"] == [1.0 + 10 * 8.0, 2.0 + 16 * 10.0, 3.0 + 8 * 12.0]


def test_an_image_of_which_nothing_is_kept_is_none() -> None:
    documents = encode({**openorganelle(), **{f"x/{path}": value for path, value in openorganelle().items() if path}})
    first, _ = sorted(
        (item for item in walk(documents) if isinstance(item, MultiscaleDescription)), key=lambda image: image.path
    )
    new = json.loads(part_of(documents, select_image(first, scales=[0]))["x/em/im/attributes.json"])
    assert {"multiscales", "scales"}.isdisjoint(new)


def test_positions_that_cannot_be_rewritten_are_refused() -> None:
    made = openorganelle()
    for item in made["em/im"]["multiscales"][0]["datasets"]:
        item["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1, 1]}]
    documents = encode(made)
    image = image_in(walk(documents))
    assert part_of(documents, select_image(image, scales=[0]))
    with pytest.raises(SourceError, match="subset: mirror") as caught:
        part_of(documents, select_image(image, scales=[0], box=EVEN))
    assert caught.value.kind == ErrorKind.NOT_BUILT


def test_documents_of_other_names_stay() -> None:
    rewriter = N5Format().rewriter({}, [])
    assert rewriter.rewrite("em/notes.json", b"{broken") is None


def test_a_dataset_that_nobody_placed_gets_no_place() -> None:
    documents = encode({"a": {**arrays("")["s0"]}})
    (array,) = (item for item in walk(documents) if isinstance(item, ArrayDescription))
    part = Part(array, Box((8, 16, 10), (16, 32, 20)))
    new = (
        N5Format()
        .rewriter({"a": part}, ["a/attributes.json"])
        .rewrite("a/attributes.json", documents["a/attributes.json"])
    )
    assert new is not None
    assert json.loads(new) == {**arrays("")["s0"], "dimensions": [10, 16, 8]}


def test_datasets_that_are_only_called_levels_become_no_image() -> None:
    small, large = arrays("")["s1"], arrays("")["s0"]
    documents = encode({"em": {"kept": 1}, "em/s0": small, "em/s1": large})
    array = next(item for item in walk(documents) if isinstance(item, ArrayDescription) and item.path == "em/s1")
    assert part_of(documents, [select_array(array)]) == {
        name: data for name, data in documents.items() if "s0" not in name
    }


def test_a_name_that_is_no_levels_is_not_counted_as_one() -> None:
    dataset = {**arrays("")["s0"], "pixelResolution": [4.0, 5.0, 6.0]}
    documents = encode({"em": {"kept": 1}, "em/s01": dataset})
    chosen = select_image(image_in(walk(documents)), box=EVEN)
    assert part_of(documents, chosen)["em/attributes.json"] == documents["em/attributes.json"]


@pytest.mark.parametrize(("unit", "nanometres"), [("nm", 1.0), ("um", 1e3), ("µm", 1e3), ("μm", 1e3), ("mm", 1e6)])
def test_boxes_are_carried_over_in_the_symbols_that_n5_uses(unit: str, nanometres: float) -> None:
    made = neuroglancer()
    made["em/im"]["units"] = [unit] * 3
    image = image_in(walk(encode(made)))
    extent = extent_of(image, Box((10, 20, 30), (20, 30, 40)), 0)
    first = [low * size - size / 2 for low, size in zip((10, 20, 30), SIZES, strict=True)]
    assert extent.start == pytest.approx([edge * nanometres for edge in first])
    assert box_of(image, extent) == Box((10, 20, 30), (20, 30, 40))


# --- which format a place is in -------------------------------------------------------------------------------------


CHUNK = "em/im/s3/0/0/0"
"""One of the level that is asked for: an array without any is a failure."""


async def test_a_container_is_known_by_its_attributes_and_asked_first(bench: Bench) -> None:
    documents = {f"p/a.n5/{key}": data for key, data in encode(openorganelle()).items()}
    bench.put({**documents, f"p/a.n5/{CHUNK}": b"1"})
    assert await bench.compile(url="s3://bucket/p/a.n5", arrays=["em/im"], scales=[3])
    asked = bench.requests()
    assert asked[0] == "s3://bucket/p/a.n5/attributes.json"
    assert not [path for path in asked if path.endswith((".zattrs", "zarr.json", "info"))]


async def test_a_container_of_another_name_is_known_by_its_attributes(bench: Bench) -> None:
    bench.put({f"p/{key}": data for key, data in encode(openorganelle()).items()} | {f"p/{CHUNK}": b"1"})
    assert await bench.compile(arrays=["em/im"], scales=[3])


async def test_a_group_inside_a_container_is_known_by_the_name_above(bench: Bench) -> None:
    bench.put({f"p/a.n5/{key}": data for key, data in encode(openorganelle()).items()} | {f"p/a.n5/{CHUNK}": b"1"})
    assert await bench.compile(url="s3://bucket/p/a.n5/em", scales=[3])


async def test_a_web_page_in_the_place_of_attributes_is_none(bench: Bench) -> None:
    bench.put({"p/attributes.json": b"<html>", "p/x.tif": b"1"})
    assert await bench.compile()
    assert set(await bench.destinations()) == {"attributes.json", "x.tif"}
    assert not bench.told("warning")


async def test_contradictions_are_told_while_planning(bench: Bench) -> None:
    made = openorganelle()
    made["em/im/s3"]["pixelResolution"]["dimensions"] = [1.0, 2.0, 3.0]
    bench.put({f"p/{key}": data for key, data in encode(made).items()} | {f"p/{CHUNK}": b"1"})
    assert await bench.compile(arrays=["em/im"], scales=[3])
    (fields,) = bench.told("warning")
    assert fields["dataset"] == "d"
    assert "em/im/s3: pixelResolution [3.0, 2.0, 1.0] does not agree with transform" in fields["message"]
