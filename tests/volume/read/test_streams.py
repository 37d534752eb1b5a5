"""Files of a root, read as Python's own binary files are."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.volume.read.test_workers import in_child

import emasync
from emasync.errors import DestinationError, InputError, NotDownloaded
from emasync.volume.files import LocalFiles
from emasync.volume.streams import buffered

DATA = np.random.default_rng(1).bytes(10_000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    (root / "ephys/sub-1").mkdir(parents=True)
    (root / "ephys/sub-1/x.bin").write_bytes(DATA)
    with h5py.File(root / "ephys/sub-1/x.h5", "w") as file:
        file["traces"] = np.arange(100_000).reshape(-1, 10)
        file.create_dataset("deep/down", data=np.arange(50_000), chunks=(777,), compression="gzip")
    return root


Step = tuple[str, int, int]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(-1, 4_000), st.just(0)),
            st.tuples(st.just("seek"), st.integers(0, 12_000), st.just(os.SEEK_SET)),
            st.tuples(st.just("seek"), st.integers(-10_000, 2_000), st.just(os.SEEK_END)),
            st.tuples(st.just("seek"), st.integers(0, 3_000), st.just(os.SEEK_CUR)),
        ),
        max_size=12,
    ),
    st.sampled_from([1, 100, 128 << 10]),
)
@settings(deadline=None)
def test_a_file_behaves_as_pythons_own(root: Path, steps: list[Step], read_ahead_bytes: int) -> None:
    content = LocalFiles(str(root)).content("ephys/sub-1/x.bin")

    with io.BytesIO(DATA) as expected, buffered(content, read_ahead_bytes) as file:
        for what, number, whence in steps:
            if what == "read":
                assert file.read(number) == expected.read(number)
            else:
                assert file.seek(number, whence) == expected.seek(number, whence)
            assert file.tell() == expected.tell()


def test_h5py_reads_it(root: Path) -> None:
    with emasync.open_file(root, "ephys", "sub-1/x.h5") as file, h5py.File(file, "r") as h5:
        np.testing.assert_array_equal(h5["traces"][50:60], np.arange(500, 600).reshape(-1, 10))
        np.testing.assert_array_equal(h5["deep/down"][:], np.arange(50_000))


def test_pynwb_reads_it(root: Path) -> None:
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries

    start = datetime(2026, 1, 1, tzinfo=UTC)
    session = NWBFile(session_description="one", identifier="1", session_start_time=start)
    session.add_acquisition(TimeSeries(name="trace", data=np.arange(1000), unit="V", rate=30.0))
    with NWBHDF5IO(root / "ephys/sub-1/x.nwb", "w") as out:
        out.write(session)

    with (
        emasync.open_file(root, "ephys", "sub-1/x.nwb") as file,
        h5py.File(file, "r") as h5,
        NWBHDF5IO(file=h5, load_namespaces=True) as source,
    ):
        np.testing.assert_array_equal(source.read().acquisition["trace"].data[100:110], np.arange(100, 110))


def test_a_forked_child_does_not_move_its_parents_position(root: Path) -> None:
    with emasync.open_file(root, "ephys", "sub-1/x.bin") as file:
        assert file.read(10) == DATA[:10]

        def read_on() -> None:
            file.seek(5_000)
            assert file.read() == DATA[5_000:]

        assert in_child(read_on) == 0
        assert file.read() == DATA[10:]


def test_many_small_reads_cost_few_large_ones(root: Path) -> None:
    class Counted:
        name = "x"
        size_bytes = len(DATA)
        reads = 0

        def read_into(self, start: int, room: memoryview) -> int:
            self.reads += 1
            room[:] = DATA[start : start + len(room)]
            return len(room)

        def close(self) -> None:
            pass

    content = Counted()
    with buffered(content, 4_096) as file:
        assert b"".join(iter(lambda: file.read(16), b"")) == DATA
    assert content.reads <= 4


def test_what_is_not_there_is_told(root: Path) -> None:
    with pytest.raises(NotDownloaded, match="run the manifest again"):
        emasync.open_file(root, "ephys", "sub-1/y.bin")
    with pytest.raises(InputError, match="no dataset 'nothing'"):
        emasync.open_file(root, "nothing", "x")
    for path in ("../ephys/sub-1/x.bin", "/etc/passwd", "sub-1//x.bin"):
        with pytest.raises(DestinationError):
            emasync.open_file(root, "ephys", path)


def test_a_closed_file_is_closed(root: Path) -> None:
    file = emasync.open_file(root, "ephys", "sub-1/x.bin")
    raw: Any = file.raw
    file.close()

    for use in (raw.tell, lambda: raw.seek(0), lambda: raw.readinto(bytearray(1))):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_positions_that_are_none_are_refused(root: Path) -> None:
    with emasync.open_file(root, "ephys", "sub-1/x.bin") as file:
        raw: Any = file.raw
        for offset, whence in ((-1, os.SEEK_SET), (-20_000, os.SEEK_END), (0, 9)):
            with pytest.raises(ValueError, match=r"seek|whence"):
                raw.seek(offset, whence)
