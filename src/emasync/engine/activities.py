"""Long work that shows in no count while it goes on: for whoever asks why nothing moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Doing = Literal["checking", "hashing"]


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that is going on.

    Attributes
    ----------
    doing : {"checking", "hashing"}
    what : str
        For people: a file, or which files.
    """

    doing: Doing
    what: str


class Activities:
    """What is going on now, the oldest first. Belongs to one loop."""

    def __init__(self) -> None:
        self._going_on: dict[object, Activity] = {}

    def __repr__(self) -> str:
        return f"<Activities {self.going_on()}>"

    def going_on(self) -> tuple[Activity, ...]:
        """All of it."""
        return tuple(self._going_on.values())

    @contextmanager
    def on(self, doing: Doing, what: str) -> Iterator[None]:
        """Something goes on until the block ends."""
        mark = object()
        self._going_on[mark] = Activity(doing, what)
        try:
            yield
        finally:
            del self._going_on[mark]
