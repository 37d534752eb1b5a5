"""Jobs that are killed: what is fetched, in which shape, and in what weather."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from random import Random
from typing import Any, Final

CONNECTIONS: Final = 6
"""Fewer than any host is asked over at first: more would show."""

PART_BYTES: Final = 256 << 10

POLICY: Final = {
    "max_connections": CONNECTIONS,
    "part_size": "256KiB",
    "connect_timeout": "2s",
    "first_byte_timeout": "2s",
    "stall_timeout": "2s",
}
"""Patience for a server in the next room: otherwise each silence would cost a test ten seconds."""

Objects = Mapping[str, bytes]
Weather = Sequence[Mapping[str, Any]]
"""Faults of one glob, as for :meth:`Archive.start` (Any: JSON)."""


def _everything(_name: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Job:
    """What is fetched, and in what weather.

    Attributes
    ----------
    name : str
    make : callable
        Gives the objects of the archive by name below the dataset's URL; the same each time.
    entry : mapping
        Of the manifest's dataset, beside its id and place (Any: JSON).
    wanted : callable
        Whether an object of that name is to be fetched.
    workers : int
    weather : sequence of mapping
        What goes wrong with some of the objects' requests.
    """

    name: str
    make: Callable[[], Objects]
    entry: Mapping[str, Any] = field(default_factory=lambda: {"format": "raw"})
    wanted: Callable[[str], bool] = _everything
    workers: int = 1
    weather: Weather = ()

    @property
    def objects(self) -> Objects:
        """What must lie on disk at the end, by name."""
        return {name: data for name, data in self.make().items() if self.wanted(name)}


@cache
def pile(small: int, small_bytes: int, large_bytes: tuple[int, ...] = ()) -> Objects:
    """Small objects in folders of a hundred, and large ones."""
    random = Random(7)
    found = {f"small/{number // 100}/{number}": random.randbytes(small_bytes) for number in range(small)}
    return found | {f"large-{number}.bin": random.randbytes(size) for number, size in enumerate(large_bytes)}


GRID: Final = 12
CHUNK: Final = 8
DOCUMENT: Final = ".zarray"
"""Read whenever the job is planned: not one of the objects that are moved."""


@cache
def grid() -> Objects:
    """A Zarr array (version 2, nothing compressed) of which some chunks were never written: they are fill value."""
    random = Random(8)
    side = GRID * CHUNK
    document = {"zarr_format": 2, "shape": [side] * 3, "chunks": [CHUNK] * 3, "dtype": "|u1", "order": "C"}
    document |= {"fill_value": 0, "filters": None, "compressor": None, "dimension_separator": "/"}
    places = enumerate(product(range(GRID), repeat=3))
    chunks = {"/".join(map(str, at)): random.randbytes(CHUNK**3) for number, at in places if number % 50}
    return {DOCUMENT: json.dumps(document).encode(), **chunks}


def _inside(name: str) -> bool:
    return not name.endswith(f"/{GRID - 1}")


_CROP: Final = {"start": [0, 0, 0], "shape": [GRID * CHUNK, GRID * CHUNK, (GRID - 1) * CHUNK]}

CLEAR: Final[Weather] = ()


def _weather(probability: float) -> Weather:
    """One of many: each of these happens to a share of the requests, one after the other."""
    deeds: tuple[Mapping[str, Any], ...] = (
        {"reset_after": 1_000},
        {"close_after": 500},
        {"drop": True},
        {"short_body": 300},
        {"status": 503},
        {"status": 429, "retry_after": 0.2},
        {"delay_s": 0.1},
        {"stall_after": 100, "times": 1, "probability": probability / 4},
    )
    return [{"probability": probability, "seed": number, **deed} for number, deed in enumerate(deeds)]


JOBS: Final = (
    Job("many small", partial(pile, 3_000, 2_000), weather=_weather(0.001)),
    Job("large in ranges", partial(pile, 20, 1_000, (140 * PART_BYTES + 123, 5 * PART_BYTES)), weather=_weather(0.02)),
    Job("mixed, bad weather", partial(pile, 1_500, 2_000, (16 * PART_BYTES + 7,)), weather=_weather(0.005)),
    Job(
        "chunks of a box",
        grid,
        entry={"format": "zarr", "subset": "mirror", "crop": _CROP},
        wanted=_inside,
        weather=_weather(0.002),
    ),
    Job(
        "mixed, two processes",
        partial(pile, 1_500, 2_000, (16 * PART_BYTES + 7,)),
        workers=2,
        weather=_weather(0.002),
    ),
)
