"""Which spans of a large object are still to be fetched. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emasync.model.digest import Span


def missing_spans(total_bytes: int, done: Iterable[Span], part_bytes: int) -> Iterator[Span]:
    """Cut what is missing of an object into parts.

    Parameters
    ----------
    total_bytes : int
        Size of the object.
    done : iterable of Span
        Finished spans, in any order; they may overlap.
    part_bytes : int
        Longest part. Parts start at multiples of it where they can, which is how uploads were cut.

    Yields
    ------
    Span
        Not empty, in order, disjoint; together with `done` they cover ``[0, total_bytes)``.
    """
    position = 0
    for span in (*sorted(done, key=lambda span: span.start), Span(total_bytes, total_bytes)):
        yield from _cut(position, min(span.start, total_bytes), part_bytes)
        position = max(position, span.stop)


def _cut(start: int, stop: int, part_bytes: int) -> Iterator[Span]:
    while start < stop:
        end = min(stop, (start // part_bytes + 1) * part_bytes)
        yield Span(start, end)
        start = end
