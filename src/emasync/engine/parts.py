"""Which spans of a large object are still to be fetched. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    for gap in _gaps(total_bytes, done):
        yield from _cut(gap.start, gap.stop, part_bytes)


def _gaps(total_bytes: int, done: Iterable[Span]) -> Iterator[Span]:
    """What lies between spans, in order."""
    position = 0
    for span in (*sorted(done, key=lambda span: span.start), Span(total_bytes, total_bytes)):
        stop = min(span.start, total_bytes)
        if position < stop:
            yield Span(position, stop)
        position = max(position, span.stop)


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be fetched of an object: all of it, or some bytes.

    Attributes
    ----------
    part_bytes : int
        Longest part.
    wanted : sequence of Span, optional
        Disjoint, in order, not empty; None: the whole object.
    """

    part_bytes: int
    wanted: Sequence[Span] | None = None

    def missing(self, total_bytes: int, done: Collection[Span]) -> Iterator[Span]:
        """Parts to fetch of an object of so many bytes, as :func:`missing_spans`; nothing beyond its end."""
        if self.wanted is None:
            yield from missing_spans(total_bytes, done, self.part_bytes)
            return
        at = 0
        for gap in _gaps(total_bytes, done):
            while at < len(self.wanted) and self.wanted[at].start < gap.stop:
                span = self.wanted[at]
                yield from _cut(max(span.start, gap.start), min(span.stop, gap.stop), self.part_bytes)
                if span.stop > gap.stop:
                    break  # the rest of it may lie in the next gap
                at += 1

    def first(self, size_bytes: int | None) -> Span:
        """What to ask for first of an object of which nothing is here; None: nobody said how long it is."""
        if size_bytes is None:
            size_bytes = self.part_bytes if self.wanted is None else self.wanted[0].stop
        return next(self.missing(size_bytes, ()), Span(0, 0))


def _cut(start: int, stop: int, part_bytes: int) -> Iterator[Span]:
    while start < stop:
        end = min(stop, (start // part_bytes + 1) * part_bytes)
        yield Span(start, end)
        start = end
