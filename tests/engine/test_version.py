"""What is known of the bytes of one generation of a large object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emasync.engine.version import Version
from emasync.ledger.interface import Part

PART_BYTES = 8


def part(start: int, stop: int) -> Part:
    return Part(start=start, stop=stop, crc32c=0, epoch=0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, PART_BYTES)), max_size=30), st.integers(0, 30))
def test_bytes_are_counted_as_they_come(pieces: list[tuple[int, int]], split: int) -> None:
    """Some parts are an earlier run's, some came twice, some were cut short and came again whole."""
    parts = [part(slot * PART_BYTES, slot * PART_BYTES + size) for slot, size in pieces]
    version = Version(generation=0, total_bytes=80, done={one.start: one for one in parts[:split]})
    for one in parts[split:]:
        version.keep(one)
    assert version.held_bytes == sum(one.stop - one.start for one in version.done.values())
    assert version.complete == (version.held_bytes == version.total_bytes)


def test_an_object_of_no_bytes_is_complete_when_its_size_is_known() -> None:
    assert not Version(generation=0).complete
    assert Version(generation=0, total_bytes=0).complete
