"""Frames survive any cut of the stream, and no length makes the reader hold more than a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.executors.frames import FRAME_BYTES, HEADER_BYTES, FrameError, FrameReader, frame


@given(st.lists(st.binary(max_size=200)), st.lists(st.integers(min_value=1, max_value=50)))
def test_any_cut_of_the_stream_gives_the_same_bodies(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, bodies))
    reader, found = FrameReader(), []
    for size in [*cuts, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        found += list(reader.feed(piece))
    found += list(reader.feed(stream))
    assert found == bodies


def test_a_long_frame_is_refused_at_its_length() -> None:
    with pytest.raises(FrameError, match="is announced"):
        list(FrameReader().feed((FRAME_BYTES + 1).to_bytes(HEADER_BYTES, "big")))


def test_a_long_message_is_not_sent() -> None:
    with pytest.raises(FrameError, match="at most"):
        frame(bytes(FRAME_BYTES + 1))
    assert len(frame(bytes(FRAME_BYTES))) == FRAME_BYTES + HEADER_BYTES
