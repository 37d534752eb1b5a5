from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.errors import FormatError
from emasync.formats.binary.recording import Recording
from emasync.model.globs import Selection
from emasync.model.location import Location
from emasync.sources import aind_recordings
from emasync.sources.aind_recordings import check_recordings
from emasync.sources.walk import BucketTree
from emasync.testing.fetcher import MemoryFetcher

PAYLOADS = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "payloads" / "aind"


def described(**kwargs: Any) -> bytes:
    layout = {"file_paths": ["traces.raw"], "num_channels": 4, "dtype": "<i2", "file_offset": 0}
    return json.dumps({"kwargs": layout | kwargs}).encode()


@pytest.mark.parametrize("folder", ["spikeinterface_0.97.1.synthetic", "spikeinterface_0.105.3.synthetic"])
def test_descriptions_as_two_generations_write_them(folder: str) -> None:
    path = PAYLOADS / folder / "binary.json"
    if not path.is_file():
        pytest.skip(f"no real file at {path}")
    found = Recording.parse(path.read_bytes())
    assert found == Recording(files=("traces_cached_seg0.raw",), channels=4, dtype="<f4", rate_hz=30_000)
    assert found.frame_bytes == 16


@given(
    samples=st.integers(1, 10**9), channels=st.integers(1, 5000), offset=st.integers(0, 10**6), cut=st.integers(1, 8)
)
def test_the_size_law(samples: int, channels: int, offset: int, cut: int) -> None:
    frames = Recording.parse(described(num_channels=channels, dtype="float64", file_offset=offset))
    size_bytes = samples * channels * 8 + offset
    assert frames.fault(size_bytes) is None
    assert (frames.fault(size_bytes - cut) is None) == (cut == 8 and channels == 1 and samples > 1)


@pytest.mark.parametrize(
    ("dtype", "itemsize_bytes"), [("<i2", 2), ("int16", 2), ("uint16", 2), ("|u1", 1), ("<f4", 4), ("float64", 8)]
)
def test_number_types(dtype: str, itemsize_bytes: int) -> None:
    assert Recording.parse(described(dtype=dtype)).frame_bytes == 4 * itemsize_bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"kwargs": 3}',
        described(file_paths=[]),
        described(file_paths=["/scratch/traces.raw"]),
        described(file_paths=["../../other/traces.raw"]),
        described(file_paths="traces.raw"),
        described(num_channels=None),
        described(num_channels=0),
        described(num_channels=True),
        described(num_channels=-1),
        described(dtype="object"),
        described(dtype="i16"),
        described(dtype="f1"),
        described(file_offset="3"),
    ],
)
def test_descriptions_that_are_none(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the parser's business, that it is refused is ours
        Recording.parse(data)


def test_an_empty_file_holds_no_recording() -> None:
    assert Recording.parse(described()).fault(0) is not None


def tree_of(objects: dict[str, bytes]) -> BucketTree:
    return BucketTree(
        MemoryFetcher({f"s3://bk/p/{key}": data for key, data in objects.items()}), Location.parse("s3://bk/p")
    )


SESSIONS = {
    "whole/binary.json": described(),
    "whole/traces.raw": b"12345678",
    "cut/binary.json": described(),
    "cut/traces.raw": b"1234567",
    "gone/binary.json": described(file_paths=["traces.raw", "more/traces.raw"]),
    "gone/traces.raw": b"12345678",
    "odd/binary.json": b"{}",
}


async def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(FormatError) as caught:
        await check_recordings(tree_of(SESSIONS), Selection())
    assert caught.value.message == (
        "recordings are not whole at the source: cut/traces.raw: 7 bytes are no whole number of frames of 8 bytes "
        "behind an offset of 0; gone/more/traces.raw: named in binary.json and not there; odd/binary.json: "
        "no kwargs in it"
    )


async def test_what_globs_leave_out_is_not_looked_at() -> None:
    await check_recordings(tree_of(SESSIONS), Selection(("whole/**",)))
    await check_recordings(tree_of(SESSIONS), Selection(("cut/*.json",)))
    await check_recordings(tree_of(SESSIONS), Selection((), ("cut/**", "gone/**", "odd/**")))


async def test_a_recording_may_lie_at_the_base() -> None:
    await check_recordings(tree_of({"binary.json": described(), "traces.raw": b"12345678"}), Selection())
    with pytest.raises(FormatError, match=r": traces\.raw: 9 bytes"):
        await check_recordings(tree_of({"binary.json": described(), "traces.raw": b"123456789"}), Selection())


async def test_a_message_is_bounded_and_so_are_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"{number:02d}/binary.json": b"{}" for number in range(12)}
    with pytest.raises(FormatError, match=r"and 2 more$"):
        await check_recordings(tree_of(many), Selection())
    monkeypatch.setattr(aind_recordings, "MAX_RECORDINGS", 11)
    with pytest.raises(FormatError, match="more than 11 recordings"):
        await check_recordings(tree_of(many), Selection())
