"""Blocks are what slices of the whole array are, whatever the layout on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.read.desk import Array, Stored, store, voxels, with_bounds

from emasync.errors import EmasyncError, ErrorKind, FormatError, InputError, IntegrityError, NotDownloaded
from emasync.formats.stored import Measure
from emasync.volume.interface import ABSENT, NOT_DOWNLOADED, UNKNOWN
from emasync.volume.padding import PADS

SHAPE, CHUNKS = (37, 41, 50), (8, 16, 11)

LAYOUTS: dict[str, dict[str, Any]] = {
    "gzip": {},
    "gzip, one file": {"files": "one"},
    "gzip, cut edges": {"edges": "cut"},
    "uncompressed": {"codecs": ()},
    "uncompressed, one file": {"codecs": (), "files": "one"},
    "uncompressed, cut edges": {"codecs": (), "edges": "cut"},
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Stored]:
    """Arrays that are only read, written once a layout."""
    made: dict[tuple[str, str], Stored] = {}

    def get(layout: str, dtype: str = "<u2") -> Stored:
        if (layout, dtype) not in made:
            data = voxels(SHAPE, dtype)
            made[layout, dtype] = store(tmp_path_factory.mktemp("array"), data, CHUNKS, **LAYOUTS[layout])
        return made[layout, dtype]

    return get


@st.composite
def boxes(draw: st.DrawFn) -> tuple[slice, ...]:
    ends = [sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))) for size in SHAPE]
    return tuple(slice(low, high) for low, high in ends)


@pytest.mark.parametrize("cache_bytes", [0, 100_000, 10_000_000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_box_is_the_slice_of_the_whole(kept: Callable[..., Stored], layout: str, cache_bytes: int) -> None:
    stored = kept(layout)
    volume = stored.volume(cache_bytes=cache_bytes, threads=2)

    @settings(deadline=None)
    @given(boxes())
    def check(box: tuple[slice, ...]) -> None:
        start, shape = [part.start for part in box], [part.stop - part.start for part in box]
        found = volume.read(start, shape)
        np.testing.assert_array_equal(found, stored.data[box])
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(volume[box], stored.data[box])

    check()


@pytest.mark.parametrize("dtype", ["|u1", "|i1", ">u2", "<i4", ">f4", "<f8", "|b1", "<c8", ">u8"])
@pytest.mark.parametrize("layout", ["gzip", "uncompressed"])
def test_voxels_are_of_the_published_type_in_this_machines_order(
    kept: Callable[..., Stored], layout: str, dtype: str
) -> None:
    stored = kept(layout, dtype)
    volume = stored.volume()

    found = volume.read((5, 3, 2), (20, 20, 20))

    assert found.dtype == volume.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, stored.data[5:25, 3:23, 2:22])


PAD_SHAPE, PAD_CHUNKS = (6, 9, 7), (4, 4, 4)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    origin = (100, -3, 20)
    return store(tmp_path_factory.mktemp("small"), voxels(PAD_SHAPE), PAD_CHUNKS, origin=origin, fill_value=7)


@pytest.mark.parametrize("pad", [pad for pad in PADS if pad not in ("error", "constant")])
def test_padding_is_numpys(small: Stored, pad: Any) -> None:
    volume = small.volume()
    width = 15  # more than twice the array: patterns repeat
    whole = np.pad(small.data, width, mode=pad)

    @settings(deadline=None)
    @given(st.tuples(*(st.integers(-width, size + width) for size in PAD_SHAPE)), st.tuples(*[st.integers(0, 12)] * 3))
    def check(start: tuple[int, ...], shape: tuple[int, ...]) -> None:
        shape = tuple(min(n, size + width - at) for at, n, size in zip(start, shape, PAD_SHAPE, strict=True))
        found = volume.read(np.add(start, small.array.origin).tolist(), shape, pad=pad)
        np.testing.assert_array_equal(
            found, whole[tuple(slice(at + width, at + width + n) for at, n in zip(start, shape, strict=True))]
        )

    check()


def test_constant_padding_is_the_fill_value_or_what_is_asked_for(small: Stored) -> None:
    volume, (z, y, x) = small.volume(), small.array.origin
    expected = np.pad(small.data, 2, constant_values=7)

    found = volume.read((z - 2, y - 2, x - 2), [size + 4 for size in PAD_SHAPE], pad="constant")
    np.testing.assert_array_equal(found, expected)

    found = volume.read((z - 2, y - 2, x - 2), [size + 4 for size in PAD_SHAPE], pad="constant", fill=9)
    np.testing.assert_array_equal(found, np.pad(small.data, 2, constant_values=9))

    assert (volume.read((z + 50, y, x), (2, 2, 2), pad="constant") == 7).all()


@pytest.mark.parametrize(
    "arguments",
    [{"pad": "mirror"}, {"pad": "edge", "fill": 1}, {"fill": 0}, {"pad": "constant", "fill": -1}],
)
def test_paddings_that_mean_nothing_are_refused(small: Stored, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        small.volume().read(small.array.origin, (1, 1, 1), **arguments)


def test_out_of_bounds_is_an_error_that_tells_the_bounds(small: Stored) -> None:
    volume = small.volume()
    for start in ((99, -3, 20), (100, -3, 21)):
        with pytest.raises(EmasyncError) as caught:
            volume.read(start, PAD_SHAPE)
        assert caught.value.kind is ErrorKind.OUT_OF_BOUNDS
        assert "[100, -3, 20] to [106, 6, 27]" in caught.value.message


def test_what_is_on_disk_beyond_the_box_asked_for_can_be_read(tmp_path: Path) -> None:
    stored = with_bounds(store(tmp_path, voxels((8, 8, 8)), (4, 4, 4)), (1, 2, 3), (6, 7, 8))
    volume = stored.volume()

    assert volume.shape == (5, 5, 5)
    assert volume.bounds.start == (1, 2, 3)
    assert volume.chunk_bounds.stop == (8, 8, 8)
    np.testing.assert_array_equal(volume.read((0, 0, 0), (8, 8, 8)), stored.data)
    np.testing.assert_array_equal(volume[:], stored.data[1:6, 2:7, 3:8])
    np.testing.assert_array_equal(np.asarray(volume), stored.data[1:6, 2:7, 3:8])


def test_indices_are_source_coordinates(small: Stored) -> None:
    volume = small.volume()

    np.testing.assert_array_equal(volume[102], small.data[2])
    np.testing.assert_array_equal(volume[..., -3:0, 21], small.data[:, 0:3, 1])
    np.testing.assert_array_equal(volume[101::2, -2, ...], small.data[1::2, 1])
    assert volume[np.int64(105), 5, 26] == small.data[5, 8, 6]
    beyond: tuple[object, ...] = (-1, slice(0, 3), (100, 0, 20, 0))
    for key in beyond:
        with pytest.raises(EmasyncError):
            volume[key]
    for key in ("z", None, [100, 101], slice(None, None, -1), (..., ...)):
        with pytest.raises(InputError):
            volume[key]


@pytest.mark.parametrize(
    ("start", "shape"),
    [((101.5, 0, 20), (1, 1, 1)), ((101, 0, 20), (1, 1, 1.0)), ((101, 0), (1, 1)), ((101, 0, 20), (1, -1, 1)), (5, 5)],
)
def test_boxes_are_whole_numbers_one_an_axis(small: Stored, start: Any, shape: Any) -> None:
    with pytest.raises(InputError, match="set/a: start"):
        small.volume().read(start, shape)
    with pytest.raises(InputError, match="set/a: start"):
        small.volume().read_many([start], shape)


def test_out_takes_the_block_whatever_its_strides(small: Stored) -> None:
    volume = small.volume()
    room = np.zeros((5, 6, 4), "u2")

    found = volume.read((101, -2, 21), (4, 6, 5), out=room.T)

    assert found.base is room
    np.testing.assert_array_equal(room.T, small.data[1:5, 1:7, 1:6])
    for wrong in (np.zeros((4, 6, 5), "u4"), np.zeros((4, 6, 6), "u2")):
        with pytest.raises(InputError, match=r"expected uint16 \(4, 6, 5\)"):
            volume.read((101, -2, 21), (4, 6, 5), out=wrong)


@pytest.mark.parametrize("pad", ["error", "reflect", "constant"])
def test_many_blocks_are_what_single_ones_are(kept: Callable[..., Stored], pad: Any) -> None:
    volume = kept("gzip").volume(threads=2)
    low = 0 if pad == "error" else -6
    starts = np.random.default_rng(5).integers(low, [17, 21, 30], (12, 3))

    found = volume.read_many(starts, (20, 20, 20), pad=pad)

    assert found.shape == (12, 20, 20, 20)
    for start, block in zip(starts.tolist(), found, strict=True):
        np.testing.assert_array_equal(block, volume.read(start, (20, 20, 20), pad=pad))


def test_a_batch_decodes_each_chunk_once(kept: Callable[..., Stored]) -> None:
    stored = kept("gzip")
    volume = stored.volume()

    volume.read_many([(0, 0, 0), (1, 1, 1), (4, 10, 3), (0, 0, 0)], (12, 17, 12))

    assert len(stored.reads) == len(set(stored.reads)) == 2 * 2 * 2


def test_no_blocks_are_an_empty_batch(kept: Callable[..., Stored]) -> None:
    assert kept("gzip").volume().read_many([], (4, 5, 6)).shape == (0, 4, 5, 6)


ORDERS = ["zyx", "xyz", "yxz", "tczyx", "zyxc", "czyx", "cxyz", "yx", "xy", "zyxt"]


@pytest.mark.parametrize("codecs", [None, ()], ids=["gzip", "uncompressed"])
@pytest.mark.parametrize("axes", ORDERS)
def test_blocks_are_zyxc_whatever_the_order_on_disk(tmp_path: Path, axes: str, codecs: Any) -> None:
    sizes, chunk = {"z": 5, "y": 6, "x": 7, "c": 3, "t": 1}, {"z": 2, "y": 4, "x": 3, "c": 2, "t": 1}
    data = voxels([sizes[axis] for axis in axes])
    options = {} if codecs is None else {"codecs": codecs}
    volume = store(tmp_path, data, [chunk[axis] for axis in axes], axes=axes, **options).volume()
    kept = [axis for axis in "zyxc" if axis in axes]
    expected = np.squeeze(data, axes.index("t")) if "t" in axes else data
    expected = expected.transpose([axes.replace("t", "").index(axis) for axis in kept])

    assert volume.axes == tuple(kept)
    assert volume.shape == expected.shape
    assert volume.chunks == tuple(chunk[axis] for axis in kept)
    np.testing.assert_array_equal(volume[...], expected)
    spatial = len(kept) - ("c" in kept)
    found = volume.read([1] * spatial, [3] * spatial)  # all channels
    np.testing.assert_array_equal(found, expected[(slice(1, 4),) * spatial])


def test_an_axis_with_a_choice_must_be_selected(tmp_path: Path) -> None:
    data = voxels((4, 2, 5, 6, 7))
    stored = store(tmp_path, data, (1, 1, 2, 4, 3), axes="tczyx", origin=(10, 0, 0, 0, 0))

    with pytest.raises(EmasyncError, match="axis t has 4 positions, choose one by select: t=10, t=11") as caught:
        stored.volume()
    assert caught.value.kind is ErrorKind.AMBIGUOUS
    np.testing.assert_array_equal(stored.volume(select={"t": 12})[:], data[2].transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(stored.volume(select={"t": 12, "C": 1})[:], data[2, 1])
    with pytest.raises(EmasyncError, match="t=14 is out of bounds, 10 to 13"):
        stored.volume(select={"t": 14})
    for select in ({"q": 0}, {"z": 1}):
        with pytest.raises(InputError, match="axes to select from: t, c"):
            stored.volume(select=select)


@pytest.mark.parametrize("axes", ["ab", "aa", "tc"])
def test_arrays_without_spatial_axes_keep_theirs(tmp_path: Path, axes: str) -> None:
    data = voxels((1, 30))
    volume = store(tmp_path, data, (1, 8), axes=axes).volume()

    assert volume.axes == tuple(axes)
    np.testing.assert_array_equal(volume[:], data)


def test_an_array_without_axes_is_one_voxel(tmp_path: Path) -> None:
    volume = store(tmp_path, np.array(5, "<i4"), (), axes="").volume()

    assert volume.read((), ()) == 5


def test_sizes_of_voxels_are_told_in_nanometres(tmp_path: Path) -> None:
    um, nm = Measure(0.05, "micrometer", "here"), Measure(4.0, "nm", "there")
    volume = store(tmp_path, voxels((4, 4, 4)), (4, 4, 4), axes="xyz", measures=(nm, nm, um)).volume()

    assert volume.voxel_size == (0.05, 4.0, 4.0)
    assert volume.voxel_size_nm == (50.0, 4.0, 4.0)
    assert volume.unit is None
    assert [measure.source for measure in volume.measures if measure] == ["here", "there", "there"]


@pytest.mark.parametrize("measure", [None, Measure(1.0, "", "x"), Measure(1.0, "pixel", "x")])
def test_sizes_without_a_known_unit_are_not_guessed(tmp_path: Path, measure: Measure | None) -> None:
    volume = store(tmp_path, voxels((4, 4)), (4, 4), axes="yx", measures=(measure, measure)).volume()

    assert volume.voxel_size_nm is None


def marked(root: Path, data: Array, state: int, **options: Any) -> Stored:
    """Chunk 3 of 8 has no bytes."""
    stored = store(root, data, (4, 4, 4), **options)
    stored.places.files[3] = state
    return stored


@pytest.mark.parametrize("codecs", [None, ()], ids=["gzip", "uncompressed"])
@pytest.mark.parametrize("cache_bytes", [0, 10_000])
def test_a_chunk_that_was_left_out_has_the_fill_value(tmp_path: Path, codecs: Any, cache_bytes: int) -> None:
    data = voxels((8, 8, 8))
    data[:4, 4:, 4:] = 321
    options = {} if codecs is None else {"codecs": codecs}
    stored = marked(tmp_path, data, ABSENT, fill_value=321, **options)
    (tmp_path / "set/a/3").unlink()

    np.testing.assert_array_equal(stored.volume(cache_bytes=cache_bytes)[:], data)


@pytest.mark.parametrize(
    ("dtype", "fill_value", "expected"),
    [
        ("<f4", float("nan"), np.nan),
        ("<f8", "Infinity", np.inf),
        ("<c8", [1, "NaN"], complex(1, np.nan)),
        ("<u2", None, 0),
    ],
)
def test_fill_values_of_all_kinds(tmp_path: Path, dtype: str, fill_value: Any, expected: Any) -> None:
    stored = marked(tmp_path, voxels((8, 8, 8), dtype), ABSENT, fill_value=fill_value)

    np.testing.assert_array_equal(stored.volume()[0, 4, 4], np.array(expected, dtype))


@pytest.mark.parametrize(
    ("state", "kind"), [(NOT_DOWNLOADED, ErrorKind.NOT_DOWNLOADED), (UNKNOWN, ErrorKind.UNKNOWN_CHUNK)]
)
def test_what_is_not_here_is_never_made_up(tmp_path: Path, state: int, kind: ErrorKind) -> None:
    stored = marked(tmp_path, voxels((8, 8, 8)), state, origin=(10, 20, 30))
    volume = stored.volume()

    np.testing.assert_array_equal(volume[14:18], stored.data[4:8])
    with pytest.raises(NotDownloaded, match="set/a: the chunk of voxels z 10 to 14, y 24 to 28, x 34 to 38") as caught:
        volume.read((13, 23, 33), (2, 2, 2))
    assert caught.value.kind is kind


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4))
    (tmp_path / "set/a/5").unlink()

    with pytest.raises(NotDownloaded, match="set/a/5 is not there"):
        stored.volume()[:]


@pytest.mark.parametrize("codecs", [None, ()], ids=["gzip", "uncompressed"])
def test_damage_is_found_by_checksum_on_the_first_touch(tmp_path: Path, codecs: Any) -> None:
    options = {} if codecs is None else {"codecs": codecs}
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4), files="one", crcs=True, **options)
    volume, unchecked = stored.volume(), stored.volume(check=False)
    assert (volume[:] == stored.data).all()

    path, at = tmp_path / "set/a/all", stored.places.starts[6] + stored.places.sizes[6] - 2
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)

    with pytest.raises(
        IntegrityError, match=rf"set/a/all: the chunk at byte {stored.places.starts[6]} has the CRC-32C"
    ):
        stored.volume().read((4, 4, 0), (1, 1, 1))
    if codecs == ():
        assert (unchecked[:] != stored.data).sum() == 1
        assert (volume[:] != stored.data).sum() == 1  # was touched before


def test_broken_chunks_are_named_with_file_and_offset(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4), files="one")
    path, start = tmp_path / "set/a/all", stored.places.starts[2]
    path.write_bytes(path.read_bytes()[:start] + b"rubbish" * 1000)

    with pytest.raises(FormatError, match=rf"set/a/all, byte {start}"):
        stored.volume()[:]


@pytest.mark.parametrize("codecs", [None, ()], ids=["gzip", "uncompressed"])
def test_files_that_end_early_are_named(tmp_path: Path, codecs: Any) -> None:
    options = {} if codecs is None else {"codecs": codecs}
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4), files="one", **options)
    path = tmp_path / "set/a/all"
    path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(FormatError, match=r"set/a/all: bytes .* the file ends at byte"):
        stored.volume()[:]


def test_nothing_is_read_through_links(tmp_path: Path) -> None:
    stored = store(tmp_path / "root", voxels((8, 8, 8)), (4, 4, 4))
    (tmp_path / "root/set/a").rename(tmp_path / "elsewhere")
    (tmp_path / "root/set/a").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NotDownloaded, match="nothing is read through symbolic links"):
        stored.volume()[:]


def test_uncompressed_chunks_are_read_no_further_than_needed(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((64, 128, 64)), (64, 64, 64), codecs=())

    stored.volume().read((10, 0, 0), (2, 64, 64))

    assert stored.reads == [("set/a/0", 10 * 64 * 64 * 2, 2 * 64 * 64 * 2)]


def test_rows_far_from_each_other_are_looked_up_in_memory(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((4, 1024, 512)), (4, 512, 512), codecs=(), files="one")

    found = stored.volume().read((0, 3, 100), (4, 509, 7))

    np.testing.assert_array_equal(found, stored.data[:, 3:512, 100:107])
    assert stored.reads == []


def test_neighbours_in_a_file_are_read_at_once(tmp_path: Path) -> None:
    stored = store(tmp_path, voxels((8, 8, 8)), (4, 4, 4), files="one")

    np.testing.assert_array_equal(stored.volume()[:], stored.data)

    assert len(stored.reads) == 1
