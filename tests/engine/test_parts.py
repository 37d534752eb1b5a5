from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emasync.engine.parts import Aim, missing_spans
from emasync.model.digest import Span


def test_parts_start_at_multiples_of_the_part_size() -> None:
    spans = list(missing_spans(25, [Span(3, 5)], 10))

    assert spans == [Span(0, 3), Span(5, 10), Span(10, 20), Span(20, 25)]


def test_an_empty_object_has_no_parts() -> None:
    assert list(missing_spans(0, [], 10)) == []


@given(
    total=st.integers(0, 300),
    part=st.integers(1, 50),
    cuts=st.lists(st.tuples(st.integers(0, 320), st.integers(0, 60)), max_size=8),
)
def test_missing_and_done_cover_the_object_exactly_once(total: int, part: int, cuts: list[tuple[int, int]]) -> None:
    done = [Span(start, start + size) for start, size in cuts]

    missing = list(missing_spans(total, done, part))

    seen = [index for span in missing for index in range(span.start, span.stop)]
    held = {index for span in done for index in range(span.start, min(span.stop, total))}
    assert sorted(seen) == sorted(set(range(total)) - held)
    assert all(0 < span.size_bytes <= part for span in missing)


@given(
    total=st.integers(0, 400),
    part=st.integers(1, 60),
    cuts=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 80)), max_size=8),
    bounds=st.sets(st.integers(0, 450), max_size=12),
)
def test_of_what_is_wanted_the_missing_bytes_are_asked_for_exactly_once(
    total: int, part: int, cuts: list[tuple[int, int]], bounds: set[int]
) -> None:
    ends = sorted(bounds)
    wanted = [Span(*pair) for pair in zip(ends[::2], ends[1::2], strict=False)]
    done = [Span(start, start + size) for start, size in cuts]

    missing = list(Aim(part, wanted).missing(total, done))

    seen = [index for span in missing for index in range(span.start, span.stop)]
    held = {index for span in done for index in range(span.start, span.stop)}
    meant = {index for span in wanted for index in range(span.start, min(span.stop, total))}
    assert seen == sorted(meant - held)
    assert all(0 < span.size_bytes <= part for span in missing)
