"""HDF5 and NWB: places of chunks that independent readers found, every layout, and files that lie."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.formats.watched import Watched

from emasync.errors import FormatError
from emasync.formats.hdf5.contents import contents_of
from emasync.formats.hdf5.format import Hdf5Format
from emasync.formats.stored import ChunkTable, FileDescription, StoredArray
from emasync.testing.mearec import write_mearec
from emasync.testing.nwb import SMALL_CHUNK, write_nwb
from emasync.testing.nwb_session import FRAMES
from emasync.testing.visual_coding import SESSIONS

FIXTURES = Path(__file__).parents[3] / "shared/fixtures"
FILES = sorted([*FIXTURES.glob("hdf5/**/*.*5"), *FIXTURES.glob("hdf5/*.nc"), *FIXTURES.glob("nwb_hdf5/*.nwb")])
HOSTILE = sorted(FIXTURES.glob("hostile_hdf5/*/*.h5"))
needs_fixtures = pytest.mark.skipif(not FILES, reason="the folder of real files is not beside the checkout")

WELL_FORMED = {"gh_2649_plain_model.h5"}
"""Of the hostile ones: what another was made from."""


def described(path: Path) -> FileDescription:
    data = path.read_bytes()
    assert Hdf5Format().recognises(data[:8192])
    return contents_of(Watched(data, path.name))


def arrays(found: FileDescription) -> dict[str, StoredArray]:
    return {array.path: array for array in found.arrays}


def truth() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / "TRUTH.json").read_text())
    return found


def table_of(array: StoredArray) -> ChunkTable:
    assert array.table is not None
    return array.table


def index_rows(array: StoredArray) -> list[tuple[list[int], int, int, int]]:
    """Rows as the truth has them: first voxel, offset, length, mask; written chunks only."""
    table = table_of(array)
    skipped = np.zeros_like(table.starts) if table.skipped is None else table.skipped
    return [
        (
            [index * chunk for index, chunk in zip(cell, array.chunks, strict=True)],
            int(table.starts[cell]),
            int(table.sizes[cell]),
            int(skipped[cell]),
        )
        for cell in np.ndindex(*table.starts.shape)
        if table.sizes[cell]
    ]


def index_digest(rows: list[tuple[list[int], int, int, int]]) -> str:
    """As the truth has it: in the order of the chunks' first voxels, compared as numbers."""
    lines = [f"{'/'.join(map(str, first))},{start},{size},{mask}" for first, start, size, mask in sorted(rows)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def decoded(data: bytes, array: StoredArray) -> np.ndarray[Any, np.dtype[Any]]:
    """What the description promises, read with nothing but the description."""
    if array.whole is not None:
        return np.frombuffer(data[array.whole.start : array.whole.stop], array.dtype).reshape(array.shape)
    found = np.full([-(-n // c) * c for n, c in zip(array.shape, array.chunks, strict=True)], array.fill_value)
    found = found.astype(array.dtype)
    for first, start, size, mask in index_rows(array):
        chunk = data[start : start + size]
        for bit, codec in reversed(list(enumerate(array.codecs))):
            chunk = chunk if mask >> bit & 1 else _undone(chunk, codec.name, np.dtype(array.dtype).itemsize)
        place = tuple(slice(at, at + n) for at, n in zip(first, array.chunks, strict=True))
        found[place] = np.frombuffer(chunk, array.dtype).reshape(array.chunks)
    return found[tuple(slice(n) for n in array.shape)]


def _undone(chunk: bytes, codec: str, item_bytes: int) -> bytes:
    match codec:
        case "gzip":
            return zlib.decompress(chunk)
        case "shuffle":
            return np.frombuffer(chunk, "u1").reshape(item_bytes, -1).T.tobytes()
        case "fletcher32":
            return chunk[:-4]
    raise AssertionError(codec)


@needs_fixtures
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files_hold_what_other_readers_found(path: Path) -> None:
    found = described(path)
    said = truth()[str(path.relative_to(FIXTURES))]
    if "error" in said:
        assert "left it open" in found.notes[0]
        return
    expected = {name: item for name, item in said["datasets"].items() if np.dtype(_kind(item)).kind in "biufc"}
    known = arrays(found)
    assert set(expected) <= set(known)
    assert len(known) == len(expected) or len(said["datasets"]) < said["n_datasets"]  # long lists are cut there
    assert found.format == ("nwb" if "nwb_version" in said else "hdf5")
    for name, item in expected.items():
        array = known[name]
        assert list(array.shape) == item["shape"]
        assert np.dtype(array.dtype) == np.dtype(_kind(item))
        assert [codec.configuration["id"] for codec in array.codecs] == item["filters"]
        if item["layout"] == "chunked":
            assert list(array.chunks) == item["chunks"]
            assert len(index_rows(array)) == item["nchunks"]
            assert index_digest(index_rows(array)) == item["chunk_index_sha256"]
        elif item["offset"] is not None:
            assert array.whole is not None
            values = decoded(path.read_bytes(), array)
            little = np.dtype(array.dtype).newbyteorder("<")
            assert (array.whole.start, hashlib.sha256(values.astype(little).tobytes()).hexdigest()) == (
                item["offset"],
                item["sha256"],
            )


def _kind(item: dict[str, Any]) -> str:
    """Types as the truth has them; records are a list there."""
    kind: str = item["dtype"]
    return "V8" if kind.startswith("[") else kind


@needs_fixtures
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.name)
def test_hostile_files_are_refused_with_their_name(path: Path) -> None:
    if path.name in WELL_FORMED:
        assert described(path).arrays
        return
    with pytest.raises(FormatError, match=path.name):
        contents_of(Watched(path.read_bytes(), path.name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hdf5")


@pytest.fixture(scope="module")
def session(folder: Path) -> tuple[Path, dict[str, Any]]:
    """A session with every layout, and what readers must find."""
    path = folder / "session.nwb"
    return path, write_nwb(path)


@pytest.mark.parametrize("user_block_bytes", [0, 512, 4096])
def test_nwb_traps_5_6_7_values_are_where_the_description_says(folder: Path, user_block_bytes: int) -> None:
    path = folder / f"block{user_block_bytes}.nwb"
    expected = write_nwb(path, user_block_bytes=user_block_bytes)
    found = arrays(described(path))
    data = path.read_bytes()
    read = {
        name: decoded(data, array)
        for name, array in found.items()
        if array.whole is not None or array.table is not None
    }
    assert set(expected) - set(read) == {"acquisition/compact/data"}
    for name, values in read.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.parametrize("number", range(len(SESSIONS)))
def test_nwb_trap_1_files_with_and_without_a_subject_are_described(folder: Path, number: int) -> None:
    path = folder / f"mouse{number}.nwb"
    expected = write_nwb(path, list(SESSIONS.values())[number])
    found = described(path)
    assert (found.format, set(arrays(found))) == ("nwb", set(expected))


def test_nwb_trap_3_the_version_may_be_a_dataset(folder: Path) -> None:
    path = folder / "first.nwb"
    expected = write_nwb(path, first_version=True)
    found = described(path)
    assert (found.format, set(arrays(found))) == ("nwb", set(expected))


def test_nwb_trap_4_references_and_records_are_named_and_skipped(session: tuple[Path, dict[str, Any]]) -> None:
    notes = described(session[0]).notes
    assert "general/extracellular_ephys/electrodes/group: it holds references to objects" in notes
    assert "intervals/trials/timeseries: it holds records of idx_start, count, timeseries (compound type)" in notes
    assert "identifier: it holds text" in notes


def test_nwb_trap_6_one_chunk_of_a_dataset_went_past_a_filter(session: tuple[Path, dict[str, Any]]) -> None:
    array = arrays(described(session[0]))["acquisition/mixed/data"]
    assert table_of(array).skipped is not None
    assert [row[3] for row in index_rows(array)] == [0, 1, 0, 0, 0]
    assert table_of(arrays(described(session[0]))["acquisition/checked/data"]).skipped is None


def test_nwb_trap_7_what_was_never_written_is_one_absent_chunk(session: tuple[Path, dict[str, Any]]) -> None:
    array = arrays(described(session[0]))["acquisition/unallocated/data"]
    assert array.whole is None
    assert table_of(array).sizes.tolist() == [0]


def test_chunks_never_written_have_no_bytes(session: tuple[Path, dict[str, Any]]) -> None:
    array = arrays(described(session[0]))["acquisition/sparse/data"]
    assert [row[0] for row in index_rows(array)] == [[0]]
    assert table_of(array).sizes.shape == (-(-FRAMES // SMALL_CHUNK),)


def test_nwb_trap_8_values_in_the_header_have_no_place(session: tuple[Path, dict[str, Any]]) -> None:
    found = described(session[0])
    array = arrays(found)["acquisition/compact/data"]
    assert (array.whole, array.table) == (None, None)
    assert any(note.startswith("acquisition/compact/data: ") and "compact" in note for note in found.notes)


def test_nwb_trap_9_external_links_are_told_and_not_followed(folder: Path) -> None:
    path = folder / "linked.nwb"
    write_nwb(path, external_link=True)
    with h5py.File(folder / "elsewhere.h5", "w") as other:
        other["data"] = np.arange(3)
    found = described(path)
    assert "acquisition/elsewhere" not in arrays(found)
    assert [note for note in found.notes if note.startswith("acquisition/elsewhere: ")] == [
        "acquisition/elsewhere: it is a link to '/data' in another file, 'elsewhere.h5', which is not opened"
    ]


def test_nwb_trap_10_the_body_of_a_refusal_is_no_hdf5() -> None:
    body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>" + bytes(1000)
    assert not Hdf5Format().recognises(body)
    with pytest.raises(FormatError, match="signature not found"):
        contents_of(Watched(body))


def test_nwb_trap_15_namespaces_that_are_not_there_do_not_matter(folder: Path) -> None:
    path = folder / "extended.nwb"
    expected = write_nwb(path)
    with h5py.File(path, "r+") as file:
        file["acquisition/running_speed"].attrs["namespace"] = "ndx-nobody-has"
        file.attrs[".specloc"] = "specifications"
    assert set(arrays(described(path))) == set(expected)


def test_simulated_recordings_are_one_piece_each(folder: Path) -> None:
    path = folder / "recordings.h5"
    traces = write_mearec(path)
    found = described(path)
    array = arrays(found)["recordings"]
    assert (found.format, array.dtype) == ("hdf5", "<f4")
    np.testing.assert_array_equal(decoded(path.read_bytes(), array), traces)
