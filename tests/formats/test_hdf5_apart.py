"""The C library runs in a process of its own: its descriptions come back whole, and its crashes as errors."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from tests.formats.test_hdf5 import FIXTURES, needs_fixtures
from tests.formats.watched import Watched

from emasync.errors import FormatError
from emasync.formats.hdf5.apart import Limits, run_apart
from emasync.formats.hdf5.contents import contents_of
from emasync.formats.hdf5.format import Hdf5Format
from emasync.testing.nwb import write_nwb

LIMITS = Limits(processor_s=1, memory_bytes=1 << 30)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("apart") / "session.nwb"
    write_nwb(path, external_link=True)
    return path.read_bytes()


def test_a_description_comes_back_as_it_was_made(session: bytes) -> None:
    here, apart = contents_of(Watched(session)), Hdf5Format().describe(Watched(session))
    assert (apart.format, apart.notes) == (here.format, here.notes)
    assert len(here.arrays) > 10
    for mine, other in zip(here.arrays, apart.arrays, strict=True):
        for name in ("path", "shape", "chunks", "dtype", "axes", "measures", "whole", "codecs", "fill_value"):
            assert getattr(mine, name) == getattr(other, name)
        assert (mine.table is None) == (other.table is None)
        if mine.table is not None and other.table is not None:
            np.testing.assert_array_equal(mine.table.starts, other.table.starts)
            np.testing.assert_array_equal(mine.table.sizes, other.table.sizes)
            assert (mine.table.skipped is None) == (other.table.skipped is None)
            if mine.table.skipped is not None:
                np.testing.assert_array_equal(mine.table.skipped, other.table.skipped)


def test_damage_that_the_library_finds_is_told_as_it_is_here(session: bytes) -> None:
    with pytest.raises(FormatError, match=r"odd\.nwb: the file cannot be read as HDF5: .*truncated"):
        Hdf5Format().describe(Watched(session[:-5000], "odd.nwb"))


@needs_fixtures
def test_a_file_that_makes_the_library_crash_is_an_error() -> None:
    data = bytearray((FIXTURES / "hdf5/jhdf__chunked_v4_datasets.hdf5").read_bytes())
    for place, value in ((375777, 255), (1254382, 83), (206448, 163)):
        data[place] = value
    with pytest.raises(FormatError, match=r"crash\.h5: "):
        Hdf5Format().describe(Watched(bytes(data), "crash.h5"))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.abort()", "signal SIGABRT"),
        ("import sys; sys.exit('no more room')", "status 1: no more room"),
        ("import os; os.write(1, bytes(9)); os.write(1, b'x')", "status 0|SIGKILL"),
        ("import os; os.write(1, b'\\xff' * 9)", "ended with"),
        ("import os; os.write(1, bytes([0, 16, *bytes(7), *b'\\xff' * 16]))", "ended with"),
        ("import os; os.write(1, bytes([1, 3, *bytes(7), *b'abc']))", "ended with"),
    ],
    ids=["abort", "exit", "short", "no frame", "outside", "no description"],
)
def test_whatever_its_process_does_becomes_an_error_with_the_name(session: bytes, program: str, said: str) -> None:
    class Strict(Watched):
        def read(self, offset: int, size_bytes: int) -> bytes:
            raise AssertionError(f"{size_bytes} bytes were asked for at {offset}")

    with pytest.raises(FormatError, match=rf"file: the library that reads HDF5 .*({said})"):
        run_apart(Strict(session), LIMITS, program=[sys.executable, "-c", program])


def test_bounds_hold_in_the_process(session: bytes) -> None:
    with pytest.raises(FormatError, match="ended with"):
        run_apart(Watched(session), Limits(processor_s=20, memory_bytes=64 << 20))


def test_trouble_of_the_source_is_told_as_it_is(session: bytes) -> None:
    class Broken(Watched):
        def read(self, offset: int, size_bytes: int) -> bytes:
            raise OSError(5, "disk")

    with pytest.raises(OSError, match="disk"):
        Hdf5Format().describe(Broken(session))
