"""Ways to store and to name datasets that NWB files have seldom: filters, types, links, odd places, odd sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from tests.formats.test_hdf5 import arrays, decoded, described, index_rows, table_of
from tests.formats.watched import Watched

from emasync.errors import FormatError
from emasync.formats.hdf5 import chunk_map, contents
from emasync.formats.hdf5.chunk_map import MAX_CELLS, SMALL_CELLS
from emasync.formats.hdf5.contents import MAX_NOTES
from emasync.formats.hdf5.tree import MAX_DEPTH
from emasync.formats.stored import FileDescription

Written = Callable[[Callable[[h5py.File], object]], FileDescription]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Describes what a function puts into a file."""

    def make(fill: Callable[[h5py.File], object]) -> FileDescription:
        with h5py.File(tmp_path / "made.h5", "w") as file:
            fill(file)
        return described(tmp_path / "made.h5")

    return make


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"compression": "gzip", "shuffle": True, "fletcher32": True}, ["shuffle", "gzip", "fletcher32"]),
        ({"compression": "lzf"}, ["lzf"]),
        ({"scaleoffset": 4}, ["scaleoffset"]),
        ({"compression": "szip"}, ["szip"]),
    ],
)
def test_filters_are_codecs_in_the_order_of_writing(
    written: Written, options: dict[str, object], names: list[str]
) -> None:
    found = written(lambda file: file.create_dataset("a", data=np.arange(100), chunks=(10,), **options))
    codecs = found.arrays[0].codecs
    assert [codec.name for codec in codecs] == names
    assert all(codec.configuration["parameters"] for codec in codecs if codec.name in ("gzip", "szip", "scaleoffset"))


def test_filters_that_nobody_has_are_named_by_number(tmp_path: Path) -> None:
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(100), chunks=(10,), compression="lzf")
    data = path.read_bytes()
    at = data.index(b"lzf\0")
    header = data.rindex((32000).to_bytes(2, "little"), 0, at)
    path.write_bytes(data[:header] + (40404).to_bytes(2, "little") + data[header + 2 :])
    codec = described(path).arrays[0].codecs[0]
    assert (codec.name, codec.configuration["id"], codec.configuration["name"]) == ("hdf5_40404", 40404, "lzf")


def test_chunks_that_lzf_could_not_shrink_are_told_by_their_mask(written: Written) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 64, "u1")
    data = np.concatenate([noise, np.zeros(64, "u1")])
    found = written(lambda file: file.create_dataset("a", data=data, chunks=(64,), compression="lzf"))
    assert [row[3] for row in index_rows(found.arrays[0])] == [1, 0]
    assert index_rows(found.arrays[0])[0][2] == 64


@pytest.mark.parametrize("dtype", ["<i2", ">u4", "<f2", ">f8", "|b1", "<c8", "|i1"])
def test_types_are_numpys_with_their_byte_order(written: Written, tmp_path: Path, dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    found = written(lambda file: file.create_dataset("a", data=values))
    assert found.arrays[0].dtype == dtype
    np.testing.assert_array_equal(decoded((tmp_path / "made.h5").read_bytes(), found.arrays[0]), values)


def test_enumerations_are_their_numbers(written: Written) -> None:
    kind = h5py.enum_dtype({"rest": 0, "run": 1}, basetype="<u2")
    assert written(lambda file: file.create_dataset("a", (3,), kind)).arrays[0].dtype == "<u2"


def test_numbers_of_odd_width_are_refused_and_not_read_as_others(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        kind = h5t.STD_I32LE.copy()
        kind.set_precision(24)
        h5d.create(file.id, b"a", kind, h5s.create_simple((4,)))
        file.create_dataset("tuples", (4,), np.dtype(("<i4", (3,))))
        file.create_dataset("empty", data=h5py.Empty("f4"))
        file.create_dataset("opaque", data=np.zeros(3, "V5"))

    found = written(fill)
    assert found.arrays == ()
    assert list(found.notes) == [
        "a: it holds numbers of 4 bytes in a form that numpy does not have",
        "empty: it is empty: it has no shape",
        "opaque: it holds no numbers",
        "tuples: it holds an array in each element",
    ]


def test_fill_values_are_those_of_the_file(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("a", (10,), "<i2", chunks=(5,), fillvalue=-7)
        file.create_dataset("b", (10,), "<f4", fillvalue=0.5)
        file.create_dataset("c", (10,), "<c8")

    assert [array.fill_value for array in written(fill).arrays] == [-7, 0.5, [0, 0]]


def test_scalars_and_arrays_without_voxels_have_their_shape(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        file["none"] = np.zeros((0, 3))
        file.create_dataset("none_in_chunks", (0, 3), "f4", chunks=(2, 3), maxshape=(None, 3))
        file["one"] = 1.5

    found = arrays(written(fill))
    assert [found[name].shape for name in ("none", "none_in_chunks", "one")] == [(0, 3), (0, 3), ()]
    assert table_of(found["none"]).sizes.size == table_of(found["none_in_chunks"]).sizes.size == 0
    assert found["one"].whole is not None


def test_chunks_beyond_the_shape_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "shrunk.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(1003), chunks=(100,), maxshape=(None,))
    data = path.read_bytes()
    assert data.count((1003).to_bytes(8, "little")) == 1
    path.write_bytes(data.replace((1003).to_bytes(8, "little"), (350).to_bytes(8, "little")))
    found = described(path).arrays[0]
    assert [row[0] for row in index_rows(found)] == [[0], [100], [200], [300]]
    np.testing.assert_array_equal(decoded(path.read_bytes(), found), np.arange(350))


def test_virtual_datasets_and_external_storage_are_told_and_their_files_left_alone(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((4,), "<i2")
        layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
        file.create_virtual_dataset("put_together", layout)
        file.create_dataset("outside", (4,), "<i2", external=[("/etc/hostname", 0, 8)])

    found = written(fill)
    assert found.arrays == ()
    assert list(found.notes) == [
        "outside: its bytes are in another file, '/etc/hostname' (external storage), which is not opened",
        "put_together: it is put together from 1 others (virtual dataset)",
    ]


def test_an_object_with_many_names_is_one_array_and_links_may_run_in_circles(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        file["a/values"] = np.arange(3)
        file["b/same"] = file["a/values"]
        file["b/up"] = file["/"]
        file["a/b"] = file["b"]
        file["c"] = h5py.SoftLink("/a/values")
        file["d"] = h5py.SoftLink("/d")

    assert [array.path for array in written(fill).arrays] == ["a/b/same"]


def test_groups_that_lie_too_deep_are_refused(written: Written) -> None:
    with pytest.raises(FormatError, match="groups more than 256 deep"):
        written(lambda file: file.create_group("/".join(["g"] * (MAX_DEPTH + 5))))


def test_notes_are_counted_where_there_are_too_many(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        for number in range(MAX_NOTES + 3):
            file[f"n{number}"] = h5py.ExternalLink("other.h5", "/x")

    notes = written(fill).notes
    assert (len(notes), notes[-1]) == (MAX_NOTES + 1, "and 3 more notes")


def test_a_grid_of_billions_in_a_small_file_is_told_and_takes_no_table(written: Written) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("huge", (1 << 40,), "u1", chunks=(1,))
        sparse = file.create_dataset("sparse", (SMALL_CELLS * 8,), "u1", chunks=(1,))
        sparse[:2] = 1

    found = written(fill)
    assert found.arrays == ()
    assert [note.split(": ")[0] for note in found.notes] == ["huge", "sparse"]
    assert found.notes[0] == f"huge: {1 << 40} chunks are more than {MAX_CELLS}"
    assert f"2 of {SMALL_CELLS * 8} chunks were written" in found.notes[1]


def test_more_chunks_than_are_looked_at_together_are_all_found(tmp_path: Path) -> None:
    path = tmp_path / "many.h5"
    with h5py.File(path, "w", libver="latest") as file:
        made = h5p.create(h5p.DATASET_CREATE)
        made.set_chunk((1, 1))
        made.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        made.set_fill_time(h5d.FILL_TIME_NEVER)
        h5d.create(file.id, b"a", h5t.STD_U8LE, h5s.create_simple((300, 400)), dcpl=made)
    table = table_of(described(path).arrays[0])
    assert table.sizes.shape == (300, 400)
    assert table.sizes.all()
    assert len(np.unique(table.starts)) == 300 * 400


def test_a_chunk_outside_of_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(10, dtype="<i8"), chunks=(5,))
        place = file["a"].id.get_chunk_info(1).byte_offset
    data = path.read_bytes()
    assert data.count(place.to_bytes(8, "little")) == 1
    path.write_bytes(data.replace(place.to_bytes(8, "little"), (len(data) - 39).to_bytes(8, "little")))
    with pytest.raises(FormatError, match=rf"cut\.h5: a: a chunk of 40 bytes lies at byte {len(data) - 39}"):
        described(path)


def test_nwb_trap_14_chunks_are_never_asked_for_by_number() -> None:
    sources = Path(contents.__file__).parent.glob("*.py")
    text = {path.name: path.read_text() for path in sources}
    assert "chunk_iter" in text[Path(chunk_map.__file__).name]
    assert not [name for name, source in text.items() if "get_chunk_info" in source]


def test_pixels_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(1 << 20)
        file.create_dataset("b", data=np.zeros(1 << 20), chunks=(1 << 17,))
    source = Watched(path.read_bytes())
    assert len(contents.contents_of(source).arrays) == 2
    assert source.read_bytes < 1 << 18


def test_trouble_of_the_source_is_no_damage_of_the_file(tmp_path: Path) -> None:
    class Broken(Watched):
        def read(self, offset: int, size_bytes: int) -> bytes:
            raise OSError(5, "disk")

    with pytest.raises(OSError, match="disk"):
        contents.contents_of(Broken(bytes(5000)))
