"""The self-test as a whole: what is tried in which form, and what came of it."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import count, product
from pathlib import Path
from typing import Any, Final, Literal, get_args

from emasync.testing.selftest.bad_days import BadDay
from emasync.testing.selftest.kills import JOBS, Killed, kill
from emasync.testing.selftest.machine import Trial, trials
from emasync.testing.selftest.matrix import ALL_DAYS, Met, Often, Way, meet
from emasync.testing.selftest.power import POWER_JOBS, Cut, PowerCuts

Form = Literal["quick", "usual", "full"]
Part = Literal["faults", "machine", "power", "kills"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

QUICK_DAYS: Final = frozenset({
    "reset after some bytes",
    "no answer but a reset",
    "half-close after some bytes",
    "503",
    "200 instead of 206",
    "wrong Content-Range",
    "short body",
    "long body",
    "gzip on a range",
    "error page",
    "chunks",
    "another size",
    "another tag for the same bytes",
    "two lengths",
    "each field twice",
    "interim answers",
    "a kept connection that vanishes",
    "rows twice",
    "the same page again",
    "values of other types",
})  # fmt: skip
"""Over in a second each."""

SEEDS: Final = 1_000_000
"""Of jobs and cuts, for each seed of a self-test."""

SIDE_BY_SIDE: Final = 3
"""Parts of the matrix at a time: they mostly wait."""

KILLS_SIDE_BY_SIDE: Final = 4
"""Jobs at a time: between two kills they mostly wait, for the weather or for the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is tried.

    Attributes
    ----------
    days : tuple of BadDay
    ways : tuple of Way
    often : tuple of Often
    kills, cuts : int
        At least so many processes are killed, so often the power is cut.
    """

    days: tuple[BadDay, ...] = ALL_DAYS
    ways: tuple[Way, ...] = ("wire", "fallback", "processes")
    often: tuple[Often, ...] = ("once",)
    kills: int = 20
    cuts: int = 40


EXTENTS: Final[dict[Form, Extent]] = {
    "quick": Extent(
        days=tuple(day for day in ALL_DAYS if day.name in QUICK_DAYS), ways=("wire", "processes"), kills=3, cuts=10
    ),
    "usual": Extent(),
    "full": Extent(often=("once", "always"), kills=300, cuts=400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes
    ----------
    part : str
        What was tried.
    tried, identical, named, wrong : int
        How often; how often it ended in identical bytes; in a failure that was named, and mended by the next run;
        in what must not be.
    notes : tuple of str
        The first things that must not be.
    figures : mapping of str to int
        What was done and what it cost; those of several self-tests may be added up, unless they are called ``most``.
    """

    part: str
    tried: int
    identical: int
    named: int = 0
    wrong: int = 0
    notes: tuple[str, ...] = ()
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestReport:
    """What a self-test found.

    Attributes
    ----------
    form : {"quick", "usual", "full"}
    lines : tuple of Line
    wall_s : float
    """

    form: Form
    wall_s: float
    lines: tuple[Line, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, nothing was wrong and nothing failed without a name."""
        return not any(line.wrong for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON (Any)."""
        rows = [asdict(line) for line in self.lines]
        return {"ok": self.ok, "form": self.form, "wall_s": round(self.wall_s, 1), "lines": rows}


def selftest(
    folder: Path,
    form: Form = "usual",
    *,
    kills: int | None = None,
    seed: int = 0,
    only: Sequence[Part] = PARTS,
    on_line: Callable[[Line], None] | None = None,
) -> SelftestReport:
    """Try what goes wrong with archives, processes, power and disks, on this machine; no network.

    Parameters
    ----------
    folder : Path
        Empty; for roots.
    form : {"quick", "usual", "full"}
    kills : int, optional
        At least so many kills, and so many power cuts, whatever the form says.
    seed : int
        Another one, other moments of kills and power cuts.
    only : sequence of {"faults", "machine", "power", "kills"}
        Parts to be tried.
    on_line : callable, optional
        Told of each line of the table as it is known.
    """
    began_s, extent, lines = time.monotonic(), EXTENTS[form], list[Line]()
    first = seed * SEEDS
    parts: dict[Part, Iterator[Line]] = {
        "faults": _matrix(extent, folder / "matrix"),
        "machine": _machine(folder / "machine"),
        "power": _power(extent.cuts if kills is None else kills, first, folder / "power"),
        "kills": _kills(extent.kills if kills is None else kills, first, folder / "kills"),
    }
    for part in PARTS:
        for line in parts[part] if part in only else ():
            lines.append(line)
            if on_line is not None:
                on_line(line)
    return SelftestReport(form=form, lines=tuple(lines), wall_s=time.monotonic() - began_s)


def _matrix(extent: Extent, folder: Path) -> Iterator[Line]:
    """One line a way and shape."""
    tasks = [(way, often) for often, way in product(extent.often, extent.ways)]

    def work(task: tuple[Way, Often]) -> list[Met]:
        way, often = task
        return list(meet(extent.days, way, often, folder / f"{way}-{often}"))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for (way, often), rows in zip(tasks, pool.map(work, tasks), strict=True):
            for shape in dict.fromkeys(row.shape for row in rows):
                yield _met_line(f"{shape}, {way}, {often}", [row for row in rows if row.shape == shape])


def _met_line(part: str, rows: Sequence[Met]) -> Line:
    wrong = [f"{row.day}: {row.wrong}" for row in rows if row.wrong]
    named = sum(bool(row.kinds) and not row.wrong for row in rows)
    return Line(
        part=f"faults: {part}",
        tried=len(rows),
        identical=len(rows) - named - len(wrong),
        named=named,
        wrong=len(wrong),
        notes=tuple(wrong),
    )


def _machine(folder: Path) -> Iterator[Line]:
    rows: list[Trial] = list(trials(folder))
    wrong = [f"{row.name}: {row.wrong}" for row in rows if row.wrong]
    stopped = sum(row.ended not in ("exit 0", "not met") and not row.wrong for row in rows)
    yield Line(
        part="disks and clocks",
        tried=len(rows),
        identical=len(rows) - stopped - len(wrong),
        named=stopped,
        wrong=len(wrong),
        notes=tuple(wrong),
    )


def _power(cuts: int, first_seed: int, folder: Path) -> Iterator[Line]:
    """One line a shape of job; `cuts` in all."""
    for number, shape in enumerate(POWER_JOBS):
        wanted = cuts // len(POWER_JOBS) + (number < cuts % len(POWER_JOBS))
        if wanted:
            with PowerCuts(folder / f"{number}", shape) as power:
                rows: list[Cut] = [power.cut(first_seed + seed) for seed in range(wanted)]
            yield _power_line(shape, rows)


def _power_line(shape: str, rows: Sequence[Cut]) -> Line:
    wrong = [f"cut {row.seed}: {row.wrong}" for row in rows if row.wrong]
    return Line(
        part=f"power cuts: {shape}",
        tried=len(rows),
        identical=len(rows) - len(wrong),
        wrong=len(wrong),
        notes=tuple(wrong),
        figures={"power cuts": len(rows), "most bytes again": max(row.again_bytes for row in rows)},
    )


def _kills(kills: int, first_seed: int, folder: Path) -> Iterator[Line]:
    rows = _until(kills, first_seed, folder)
    for job in JOBS:
        ours = [row for row in rows if row.job == job.name]
        if ours:
            yield _kills_line(job.name, ours)


def _until(kills: int, first_seed: int, folder: Path) -> list[Killed]:
    """Jobs in turn until enough was killed; each place in the line takes the next job when it is done with one."""
    rows: list[Killed] = []
    seeds = count(first_seed)

    def work(_place: int) -> None:
        while sum(row.kills for row in rows) < kills:
            rows.append(_kill(folder, next(seeds)))

    with ThreadPoolExecutor(KILLS_SIDE_BY_SIDE) as pool:
        list(pool.map(work, range(KILLS_SIDE_BY_SIDE)))
    return rows


def _kill(folder: Path, seed: int) -> Killed:
    place = folder / str(seed)
    killed = kill(JOBS[seed % len(JOBS)], seed, place)
    if not killed.wrong:
        shutil.rmtree(place)
    return killed


def _kills_line(job: str, rows: Iterable[Killed]) -> Line:
    rows = list(rows)
    wrong = [f"seed {row.seed} ({row.how}): {row.wrong}" for row in rows if row.wrong]
    kills, stops = sum(row.kills for row in rows), sum(row.stops for row in rows)
    return Line(
        part=f"kills: {job}",
        tried=kills + stops,
        identical=kills + stops - len(wrong),
        wrong=len(wrong),
        notes=tuple(wrong),
        figures=_kill_figures(rows),
    )


def _kill_figures(rows: Sequence[Killed]) -> dict[str, int]:
    """What was done by kind and step, and what it cost."""
    losses = [loss for row in rows for loss in row.losses]
    done = Counter(f"killed {blow.where}" for row in rows for blow in row.blows if blow.struck)
    return {
        "jobs": len(rows),
        "kills": sum(row.kills for row in rows),
        "stops": sum(row.stops for row in rows),
        "refused requests": sum(row.troubles for row in rows),
        **dict(sorted(done.items())),
        "bytes again": sum(loss.size_bytes for loss in losses),
        "most small objects again": max((loss.small_objects for loss in losses), default=0),
        "most bytes of large objects again": max((loss.large_bytes for loss in losses), default=0),
    }
