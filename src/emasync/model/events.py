"""Events of a run: what ``--json`` prints and ``on_event`` receives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

EventName = Literal[
    "plan_progress",
    "dataset_started",
    "asset_planned",
    "progress",
    "host",
    "stalled",
    "retry",
    "failed",
    "waiting",
    "warning",
    "dataset_done",
    "hook",
    "object_done",
    "receipt",
]

EventValue = str | int | float | bool | None | list["EventValue"] | dict[str, "EventValue"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes
    ----------
    event : str
        Its name; the set of names only grows.
    fields : mapping of str to JSON value
        Sizes in bytes (``*_bytes``), durations in seconds (``*_s``).
    """

    event: EventName
    fields: Mapping[str, EventValue] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


def ignore_event(_event: Event) -> None:
    """Listen to nothing."""
