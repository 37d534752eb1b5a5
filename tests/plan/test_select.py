"""Levels and boxes become chunk grids: arithmetic, checked against what zarr-python touches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise, product
from typing import Any, Literal

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import MemoryStore

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import ArrayDescription, Axis, LevelDescription, MultiscaleDescription, Transform
from emasync.model.geometry import Box
from emasync.model.task import Rank
from emasync.plan.draw import draw_box, draw_boxes
from emasync.plan.select import Chosen, select_array, select_image, spatial_axes, whole_box


def array(
    path: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    *,
    axes: tuple[str, ...] | None = ("z", "y", "x"),
    inner_chunks: tuple[int, ...] | None = None,
    encoding: Literal["default", "v2"] = "v2",
    separator: Literal["/", "."] = "/",
) -> ArrayDescription:
    return ArrayDescription(
        path=path,
        format="zarr2",
        shape=shape,
        chunks=chunks,
        inner_chunks=inner_chunks,
        dtype="<i2",
        axes=axes,
        encoding=encoding,
        separator=separator,
    )


def image(
    arrays: list[ArrayDescription], scales: Sequence[tuple[float, ...]], translations: Sequence[tuple[float, ...]]
) -> MultiscaleDescription:
    count = len(scales[0])
    return MultiscaleDescription(
        path="em/fibsem-int16",
        version="0.4",
        axes=tuple(Axis(name) for name in (arrays[0].axes or ())),
        levels=tuple(
            LevelDescription(number=number, array=item, transform=Transform(scale=scale, translation=translation))
            for number, (item, scale, translation) in enumerate(zip(arrays, scales, translations, strict=True))
        ),
        transform=Transform(scale=(1.0,) * count, translation=(0.0,) * count),
    )


NACC_SHAPES = [
    (564, 2520, 2596),
    (282, 1260, 1298),
    (141, 630, 649),
    (70, 315, 324),
    (35, 157, 162),
    (17, 78, 81),
    (8, 39, 40),
    (4, 19, 20),
    (2, 9, 10),
]
NACC_Z = [
    (2.96, 0.0),
    (5.92, 1.48),
    (11.840000000000002, 4.4399999999999995),
    (23.68, 10.36),
    (47.36, 22.2),
    (94.72, 45.88),
    (189.44, 93.24),
    (378.8799999999999, 187.96),
    (757.7599999999999, 377.4),
]


def nacc() -> MultiscaleDescription:
    """OpenOrganelle jrc_mus-nacc-2, recon-2/em/fibsem-int16: published shapes, scales and translations."""
    arrays = [array(f"em/fibsem-int16/s{n}", shape, (64, 64, 64)) for n, shape in enumerate(NACC_SHAPES)]
    sides = [(4.0 * 2**n, 2.0 * (2**n - 1)) for n in range(9)]
    scales = [(z, side, side) for (z, _), (side, _) in zip(NACC_Z, sides, strict=True)]
    return image(arrays, scales, [(z, side, side) for (_, z), (_, side) in zip(NACC_Z, sides, strict=True)])


def by_level(chosen: tuple[Chosen, ...]) -> dict[int, Chosen]:
    return {choice.level: choice for choice in chosen}


# --- whole levels -----------------------------------------------------------------------------------------------


def test_whole_levels_come_coarsest_first() -> None:
    chosen = select_image(nacc(), scales=(0, 3, 8, 3))
    assert [choice.level for choice in chosen] == [8, 3, 0]
    assert [choice.rank for choice in chosen] == [Rank.LEVELS, Rank.LEVELS + 5, Rank.LEVELS + 8]
    assert all(choice.whole and choice.box == whole_box(choice.array) for choice in chosen)
    grid = by_level(chosen)[0].grid
    assert grid is not None
    assert len(grid) == 14_760
    assert grid.key(0) == grid.destination(0) == "em/fibsem-int16/s0/0/0/0"
    assert not grid.rebase


def test_all_levels_by_default() -> None:
    assert sum(len(choice.grid or ()) for choice in select_image(nacc())) == 17_266


def test_a_scale_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SourceError, match=r"^em/fibsem-int16: no scale 9; there are 0, 1, 2, 3, 4, 5, 6, 7, 8$"):
        select_image(nacc(), scales=(0, 9))
    with pytest.raises(SourceError, match="no scale -1"):
        select_image(nacc(), scales=(-1,))
    with pytest.raises(SourceError, match="no scale 12"):
        select_image(nacc(), box=Box((0, 0, 0), (1, 1, 1)), box_scale=12)


def test_levels_keep_their_numbers_where_one_is_missing() -> None:
    full = nacc()
    thinned = MultiscaleDescription(
        path=full.path, version="0.4", axes=full.axes, levels=full.levels[1:3], transform=full.transform
    )
    assert [choice.level for choice in select_image(thinned)] == [2, 1]
    with pytest.raises(SourceError, match="no scale 0; there are 1, 2"):
        select_image(thinned, scales=(0,))


def test_an_array_without_extent_has_no_objects() -> None:
    chosen = select_array(array("empty", (0, 4), (1, 2), axes=None))
    assert chosen.grid is None
    assert chosen.whole


def test_an_array_without_axes_has_one_object() -> None:
    chosen = select_array(array("scalar", (), (), axes=None))
    assert chosen.grid is not None
    assert [chosen.grid.key(number) for number in range(len(chosen.grid))] == ["scalar/0"]


def test_an_array_at_the_base_has_no_prefix() -> None:
    grid = select_array(array("", (4, 4), (2, 2), axes=None, encoding="default")).grid
    assert grid is not None
    assert grid.key(3) == "c/1/1"


# --- boxes across levels ----------------------------------------------------------------------------------------


def test_half_voxel_translations_halve_boxes_exactly() -> None:
    chosen = by_level(select_image(nacc(), box=Box((0, 256, 512), (256, 768, 1024))))
    for level, choice in chosen.items():
        factor = 2**level
        start = tuple(low // factor for low in (0, 256, 512))
        stop = tuple(-(-high // factor) for high in (256, 768, 1024))
        assert choice.box == Box(start, stop), level


def test_boxes_are_rounded_outward() -> None:
    chosen = by_level(select_image(nacc(), scales=(0, 2), box=Box((5, 1001, 2000), (6, 1003, 2001))))
    assert chosen[0].box == Box((5, 1001, 2000), (6, 1003, 2001))
    assert chosen[2].box == Box((1, 250, 500), (2, 251, 501))


def test_a_box_of_a_coarse_level_grows_on_finer_ones() -> None:
    chosen = by_level(select_image(nacc(), scales=(0, 3), box=Box((1, 2, 3), (2, 4, 6)), box_scale=3))
    assert chosen[3].box == Box((1, 2, 3), (2, 4, 6))
    assert chosen[0].box == Box((8, 16, 24), (16, 32, 48))


def test_what_floor_halving_dropped_falls_to_the_last_voxel() -> None:
    chosen = by_level(select_image(nacc(), scales=(8,), box=Box((563, 2519, 2595), (564, 2520, 2596))))
    assert chosen[8].box == Box((1, 8, 9), (2, 9, 10))


def test_pyramids_without_translations_share_their_first_edge() -> None:
    arrays = [array(f"s{n}", (512 >> n,) * 3, (64, 64, 64)) for n in range(3)]
    scales = [(2.0**n,) * 3 for n in range(3)]
    plain = image(arrays, scales, [(7.0, 7.0, 7.0)] * 3)
    chosen = by_level(select_image(plain, box=Box((0, 128, 256), (128, 256, 512))))
    assert chosen[1].box == Box((0, 64, 128), (64, 128, 256))
    assert chosen[2].box == Box((0, 32, 64), (32, 64, 128))


def test_other_translations_are_taken_literally() -> None:
    # level 1 begins two fine voxels later than the edges of level 0 would have it
    arrays = [array("s0", (100,) * 3, (10,) * 3), array("s1", (48,) * 3, (10,) * 3)]
    shifted = image(arrays, [(1.0,) * 3, (2.0,) * 3], [(0.0,) * 3, (2.5,) * 3])
    chosen = by_level(select_image(shifted, box=Box((10, 0, 0), (20, 1, 100))))
    assert chosen[1].box == Box((4, 0, 0), (9, 1, 48))


def test_a_scale_that_cannot_place_a_box_is_refused() -> None:
    arrays = [array("s0", (100,) * 3, (10,) * 3), array("s1", (50,) * 3, (10,) * 3)]
    broken = image(arrays, [(1.0, 1.0, 1.0), (2.0, 0.0, 2.0)], [(0.0,) * 3] * 2)
    with pytest.raises(SourceError, match=r"s1: scale 0\.0 on axis 1; a crop needs positive scales"):
        select_image(broken, box=Box((0, 0, 0), (10, 10, 10)))


@given(
    st.tuples(*[st.tuples(st.integers(0, 299), st.integers(1, 300)) for _ in range(3)]),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_voxel_of_a_box_is_lost_on_another_level(
    spans: tuple[tuple[int, int], ...],
    level: int,
    half: bool,
) -> None:
    box = Box(tuple(low for low, _ in spans), tuple(min(300, low + size) for low, size in spans))
    arrays = [array(f"s{n}", (300 >> n,) * 3, (16, 32, 64)) for n in range(4)]
    voxel = 2.96
    scales = [(voxel * 2**n,) * 3 for n in range(4)]
    moved = [(voxel * (2**n - 1) / 2 if half else 0.0,) * 3 for n in range(4)]
    choice = by_level(select_image(image(arrays, scales, moved), box=box))[level]
    factor, extent = 2**level, 300 >> level
    for axis in range(3):
        inside = range(box.start[axis] // factor, -(-box.stop[axis] // factor))
        wanted = {min(number, extent - 1) for number in inside}
        assert wanted == set(range(choice.box.start[axis], choice.box.stop[axis]))


# --- boxes that cannot be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "box",
    [
        Box((0, 0, 0), (565, 10, 10)),
        Box((600, 0, 0), (610, 10, 10)),
        Box((-1, 0, 0), (10, 10, 10)),
        Box((0, 0, 0), (10, 0, 10)),
    ],
)
def test_a_crop_beyond_the_array_says_shape_and_box(box: Box) -> None:
    with pytest.raises(SourceError, match=r"is not inside the array of shape \[564, 2520, 2596\]") as failure:
        select_image(nacc(), scales=(3,), box=box)
    assert str(list(box.stop)) in failure.value.message
    assert failure.value.kind is ErrorKind.SOURCE


def sharded(*codecs: str) -> ArrayDescription:
    """An array of 50^3 shards and 10^3 inner chunks, with more codecs behind the shards."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    shard = {"chunk_shape": [10] * 3, "codecs": ["bytes"], "index_codecs": [little]}
    document = {"codecs": [{"name": "sharding_indexed", "configuration": shard}, *codecs]}
    described = array("s0", (104,) * 3, (50,) * 3, inner_chunks=(10,) * 3, encoding="default")
    return replace(described, documents={"s0/zarr.json": json.dumps(document).encode()})


def test_a_crop_of_shards_is_cut_at_inner_chunks() -> None:
    chosen = select_array(sharded(), box=Box((12, 60, 95), (31, 61, 104)))
    assert (chosen.hull, chosen.unsharded) == (Box((10, 60, 90), (40, 70, 104)), True)
    assert chosen.grid is not None
    assert [chosen.grid.destination(number) for number in range(3)] == ["s0/c/0/0/0", "s0/c/0/0/1", "s0/c/1/0/0"]


def test_a_mirror_and_a_whole_array_keep_their_shards() -> None:
    chosen = select_array(sharded(), box=Box((12, 60, 95), (31, 61, 104)), rebase=False)
    assert (chosen.hull, chosen.unsharded) == (Box((0, 50, 50), (50, 100, 104)), False)
    whole = select_array(sharded("gzip"))
    assert (whole.whole, whole.unsharded) == (True, False)


def test_shards_that_cannot_be_taken_apart_are_named() -> None:
    with pytest.raises(SourceError, match=r"s0/zarr.json: codecs\[1\] is 'gzip', which is applied to whole") as failure:
        select_array(sharded("gzip"), box=Box((0, 0, 0), (100, 100, 100)))
    assert failure.value.kind is ErrorKind.NOT_BUILT
    assert select_array(sharded("gzip"), box=Box((0, 0, 0), (1, 1, 1)), rebase=False).hull.shape == (50, 50, 50)


# --- axes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "count", "expected"),
    [
        (("t", "c", "z", "y", "x"), 5, (2, 3, 4)),
        (("c", "x", "y", "z"), 4, (3, 2, 1)),
        (("Y", "X"), 2, (0, 1)),
        (("c", "y", "x"), 3, (1, 2)),
        (("plane", "row", "column"), 3, (0, 1, 2)),
        (None, 5, (2, 3, 4)),
        (None, 2, (0, 1)),
        (None, 0, ()),
    ],
)
def test_names_decide_which_axes_are_spatial(
    axes: tuple[str, ...] | None, count: int, expected: tuple[int, ...]
) -> None:
    assert spatial_axes(axes, count) == expected


def test_axes_that_are_not_spatial_stay_whole_or_are_picked() -> None:
    volume = array("0", (2, 3, 40, 50, 60), (1, 2, 10, 10, 10), axes=("t", "c", "z", "y", "x"))
    box = Box((10, 20, 30), (20, 30, 40))
    assert select_array(volume, box=box).hull == Box((0, 0, 10, 20, 30), (2, 3, 20, 30, 40))
    picked = select_array(volume, box=box, select={"c": 2, "T": 1})
    assert picked.box == Box((1, 2, 10, 20, 30), (2, 3, 20, 30, 40))
    assert picked.hull == Box((1, 2, 10, 20, 30), (2, 3, 20, 30, 40))
    assert select_array(volume, select={"c": 0}).hull == Box((0, 0, 0, 0, 0), (2, 2, 40, 50, 60))


def test_picked_axes_hold_on_every_level() -> None:
    axes = ("c", "z", "y", "x")
    arrays = [array(f"s{n}", (3, *(64 >> n,) * 3), (1, 16, 16, 16), axes=axes) for n in range(2)]
    pyramid = image(arrays, [(1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 2.0, 2.0)], [(0.0,) * 4] * 2)
    chosen = by_level(select_image(pyramid, box=Box((0, 0, 32), (16, 32, 64)), select={"c": 1}))
    assert chosen[0].box == Box((1, 0, 0, 32), (2, 16, 32, 64))
    assert chosen[1].box == Box((1, 0, 0, 16), (2, 8, 16, 32))
    picked = by_level(select_image(pyramid, scales=(1,), select={"c": 2}))
    assert picked[1].box == Box((2, 0, 0, 0), (3, 32, 32, 32))


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"q": 0}, "select names axis 'q'; axes to select from: c"),
        ({"z": 0}, "select names axis 'z'; axes to select from: c"),
        ({"c": 3}, "select c: 3 is beyond the 3 there are"),
        ({"c": -1}, "select c: -1 is beyond the 3 there are"),
    ],
)
def test_an_axis_or_index_that_is_not_there_is_named(select: dict[str, int], message: str) -> None:
    volume = array("0", (3, 4, 4, 4), (1, 4, 4, 4), axes=("c", "z", "y", "x"))
    with pytest.raises(SourceError, match=message):
        select_array(volume, select=select)


def test_unnamed_axes_cannot_be_picked() -> None:
    with pytest.raises(SourceError, match="axes to select from: none"):
        select_array(array("0", (3, 4, 4, 4), (1, 4, 4, 4), axes=None), select={"c": 0})


def test_axes_in_reverse_order_are_met_by_name() -> None:
    volume = array("0", (60, 50, 40), (10, 10, 10), axes=("x", "y", "z"))
    assert select_array(volume, box=Box((30, 10, 0), (40, 20, 10))).hull == Box((0, 10, 30), (10, 20, 40))


def test_planes_take_boxes_of_one_plane() -> None:
    plane = array("0", (50, 60), (10, 10), axes=("y", "x"))
    assert select_array(plane, box=Box((0, 10, 20), (1, 20, 30))).hull == Box((10, 20), (20, 30))
    assert select_array(plane, box=Box((10, 20), (20, 30))).hull == Box((10, 20), (20, 30))
    with pytest.raises(SourceError, match=r"a box of 3 axes does not fit an array of shape \[50, 60\]"):
        select_array(plane, box=Box((0, 10, 20), (2, 20, 30)))
    with pytest.raises(SourceError, match="a box of 2 axes does not fit"):
        select_array(array("0", (9, 9, 9), (3, 3, 3)), box=Box((0, 0), (1, 1)))


# --- grids against zarr-python ----------------------------------------------------------------------------------


class WatchedStore(MemoryStore):
    """Remembers which keys were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        self.asked.append(key)
        return await super().get(key, prototype, byte_range)


ENCODINGS: list[tuple[Literal["default", "v2"], Literal["/", "."]]] = list(product(("default", "v2"), ("/", ".")))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), encoding=st.sampled_from(ENCODINGS), zarr_format=st.sampled_from([2, 3]))
def test_the_grid_names_every_key_that_zarr_python_touches_once(
    data: st.DataObject, encoding: tuple[Literal["default", "v2"], Literal["/", "."]], zarr_format: int
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 30), min_size=3, max_size=3)))
    chunks = tuple(data.draw(st.lists(st.integers(1, 12), min_size=3, max_size=3)))
    start = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    stop = tuple(data.draw(st.integers(low + 1, size)) for low, size in zip(start, shape, strict=True))
    name: Literal["default", "v2"] = "v2" if zarr_format == 2 else encoding[0]
    separator = encoding[1]
    store = WatchedStore()
    source = zarr.create_array(
        store,
        name="a",
        shape=shape,
        chunks=chunks,
        dtype="u1",
        zarr_format=zarr_format,  # type: ignore[arg-type]  # 2 or 3
        chunk_key_encoding={"name": name, "separator": separator},
    )
    store.asked.clear()
    box = Box(start, stop)
    source[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))]

    chosen = select_array(array("a", shape, chunks, encoding=name, separator=separator), box=box)
    assert chosen.grid is not None
    keys = [chosen.grid.key(number) for number in range(len(chosen.grid))]
    assert sorted(keys) == sorted(store.asked)
    assert chosen.hull.contains(box)
    places = [chosen.grid.destination(number) for number in range(len(chosen.grid))]
    assert len(set(places)) == len(places)
    _assert_cut_is_smallest(chosen)


def _assert_cut_is_smallest(chosen: Chosen) -> None:
    """Each side of the hull lies on a chunk edge or the array's end, less than one chunk from the box."""
    for low, high, start, stop, chunk, size in zip(
        chosen.hull.start,
        chosen.hull.stop,
        chosen.box.start,
        chosen.box.stop,
        chosen.array.chunks,
        chosen.array.shape,
        strict=True,
    ):
        assert low % chunk == 0
        assert high % chunk == 0 or high == size
        assert start - low < chunk
        assert high - stop < chunk


def test_a_mirror_keeps_the_keys_of_the_source() -> None:
    volume = array("s0", (100,) * 3, (10,) * 3)
    box = Box((50, 60, 70), (55, 65, 75))
    kept, cut = select_array(volume, box=box, rebase=False).grid, select_array(volume, box=box).grid
    assert kept is not None
    assert cut is not None
    assert kept.destination(0) == kept.key(0) == cut.key(0) == "s0/5/6/7"
    assert cut.destination(0) == "s0/0/0/0"


# --- drawn boxes ------------------------------------------------------------------------------------------------


def test_the_centre_is_the_centre() -> None:
    assert draw_box((10, 20, 31), (100, 100, 100), at="center") == Box((45, 40, 34), (55, 60, 65))
    within = Box((10, 10, 10), (30, 30, 30))
    assert draw_box((10, 10, 10), (100, 100, 100), at="center", within=within) == Box((15, 15, 15), (25, 25, 25))


def test_a_seed_draws_the_same_box_for_ever() -> None:
    shape, extent = (1000, 1000, 1000), (41_408, 39_552, 34_432)
    first = draw_box(shape, extent, at="random", seed=20250720)
    assert first == next(draw_boxes(shape, extent, seed=20250720))
    raw = np.random.PCG64(20250720).random_raw(3)
    assert first.start == tuple(int(number) * (size - 999) >> 64 for number, size in zip(raw, extent, strict=True))
    assert first != draw_box(shape, extent, at="random", seed=20250721)


@given(seed=st.integers(0, 2**63), size=st.integers(1, 40), low=st.integers(0, 20))
def test_drawn_boxes_stay_where_they_may_be(seed: int, size: int, low: int) -> None:
    within = Box((low,) * 3, (low + 40,) * 3)
    boxes = list(islice(draw_boxes((size,) * 3, (60,) * 3, seed=seed, within=within), 5))
    assert all(within.contains(box) and box.shape == (size,) * 3 for box in boxes)
    if size < 20:
        assert any(one != other for one, other in pairwise(boxes))


def test_every_place_can_be_drawn() -> None:
    starts = {box.start for box in islice(draw_boxes((9,), (12,), seed=1), 200)}
    assert starts == {(0,), (1,), (2,), (3,)}


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (11, 1, 1), "array_shape": (10, 10, 10)},
        {"shape": (0, 1, 1), "array_shape": (10, 10, 10)},
        {"shape": (1, 1), "array_shape": (10, 10, 10)},
        {"shape": (5, 5, 5), "array_shape": (10, 10, 10), "within": Box((8, 0, 0), (12, 10, 10))},
        {"shape": (5, 5, 5), "array_shape": (10, 10, 10), "within": Box((8, 0, 0), (10, 10, 10))},
    ],
)
def test_a_box_that_does_not_fit_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="does not fit into"):
        draw_box(**arguments, at="center")
    with pytest.raises(SourceError, match="does not fit into"):
        draw_box(**arguments, at="random")
