"""Races of block readers as tables, and verdicts on what the project promises itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from bench.block_peers import OURS
from bench.targets import Verdict


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of each crop: on the clock, and of the processor (all threads)."""

    wall_s: list[float]
    cpu_s: list[float]

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add what happens inside."""
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        yield
        self.wall_s.append(time.perf_counter() - wall_s)
        self.cpu_s.append(time.process_time() - cpu_s)


@dataclass(frozen=True, slots=True)
class Race:
    """What crops of one layout took, a reader."""

    layout: str
    crops: str
    took: Mapping[str, Took]

    def wall_ms(self, name: str, percentile: float = 50) -> float:
        """Of one reader."""
        return float(np.percentile(self.took[name].wall_s, percentile)) * 1e3

    def cpu_ms(self, name: str) -> float:
        """Of one reader, median."""
        return float(np.median(self.took[name].cpu_s)) * 1e3


@dataclass(frozen=True, slots=True)
class BlockResults:
    """All that was measured."""

    facts: Mapping[str, object]
    races: Sequence[Race]
    figures: Mapping[str, float]
    safety: Mapping[str, str]


EACH_CODEC = "few, unaligned"
"""Crops of layouts that nothing is promised of: they show where a codec is slow."""

AT_LEAST = {"TensorStore": 1.0, "zarr-python": 2.0, "tifffile": 1.0, "mrcfile": 1.0, "h5py": 1.0}
RAW_TENSORSTORE = 0.8
BATCH = 1 / 3
FIRST_BLOCK_S = 3.0


def verdicts(results: BlockResults) -> Iterator[Verdict]:
    """Each promise, and what came out."""
    for race in results.races:
        if race.crops != EACH_CODEC:
            yield from _peers(race) if OURS in race.took else _batch(race)
    for name, figure in results.figures.items():
        if name.endswith(", s"):
            yield _verdict(name, f"<= {FIRST_BLOCK_S:g} s", f"{figure:.2f} s", met=figure <= FIRST_BLOCK_S)
    for name, said in results.safety.items():
        yield _verdict(f"{name}: no hangs, no wrong bytes", "right", said, met=said == "right")


def _peers(race: Race) -> Iterator[Verdict]:
    for name, bound in AT_LEAST.items():
        if name in race.took:
            wanted = RAW_TENSORSTORE if (race.layout, name) == ("raw", "TensorStore") else bound
            ratio = race.wall_ms(name) / race.wall_ms(OURS)
            what = f"{race.layout}, {race.crops}: speed against {name}"
            yield _verdict(what, f">= {wanted:g} x", f"{ratio:.2f} x", met=ratio >= wanted)


def _batch(race: Race) -> Iterator[Verdict]:
    if race.layout in ("gzip", "blosc-zstd", "zstd shards", "n5 gzip", "hdf5 gzip"):
        ratio = race.wall_ms("batch") / race.wall_ms("one by one")
        what = f"{race.layout}: eight neighbours in a batch, against one by one"
        yield _verdict(what, f"<= {BATCH:.2f} x", f"{ratio:.2f} x", met=ratio <= BATCH)


def _verdict(what: str, bound: str, measured: str, *, met: bool) -> Verdict:
    return Verdict(what, bound, measured, "met" if met else "not met")


def write(results: BlockResults, folder: Path, name: str) -> str:
    """Write ``name.json`` and ``name.md`` into `folder`; gives the latter's text."""
    document = {
        "facts": results.facts,
        "races": [
            {"layout": race.layout, "crops": race.crops, "took": {one: asdict(took) for one, took in race.took.items()}}
            for race in results.races
        ],
        "figures": results.figures,
        "safety": results.safety,
    }
    text = "\n".join(_lines(results)) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(document, default=str) + "\n")
    (folder / f"{name}.md").write_text(text)
    return text


def _lines(results: BlockResults) -> Iterator[str]:
    yield "# Blocks\n"
    yield from (f"- {name}: {value}" for name, value in results.facts.items())
    yield "\n| layout | crops | reader | median ms | p99 ms | processor ms | time to ours | processor to ours |"
    yield "|---|---|---|---|---|---|---|---|"
    for race in results.races:
        first = next(iter(race.took))
        for one in race.took:
            wall, cpu = race.wall_ms(one) / race.wall_ms(first), race.cpu_ms(one) / race.cpu_ms(first)
            yield (
                f"| {race.layout} | {race.crops} | {one} | {race.wall_ms(one):.2f} | {race.wall_ms(one, 99):.2f} "
                f"| {race.cpu_ms(one):.2f} | {wall:.2f} x | {cpu:.2f} x |"
            )
    yield "\n| promise | bound | measured | verdict |\n|---|---|---|---|"
    yield from (f"| {one.what} | {one.bound} | {one.measured} | {one.verdict} |" for one in verdicts(results))
    yield ""
    yield from (f"- {name}: {value:.2f}" for name, value in results.figures.items())
