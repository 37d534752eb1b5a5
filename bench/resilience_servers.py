"""Servers in trouble: silent ones, refusing ones, capped ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from bench.cases import KIB, MIB, Case, Group
from bench.content import Dataset
from bench.contestants import Job, emasync
from bench.gated import GATES, Log, gated, read_log
from bench.measuring import Run, check, free_environment, measure
from bench.racing import Arena

TIME_LIMIT_S = 300.0
STALL_TIMEOUT_S = 3
CONNECTIONS = 8
SLACK = 1.2
"""Of the bound on what stalls cost: back-off, and connections that are not free at once."""

STEADY_FROM_S = 5
"""Seconds after which a limit is taken to be found where nothing is refused."""

FOUND_S = 20
"""Seconds after which it is taken to be found at a server that refuses."""

RECOVERED_S = 10
LOOKED_AT_S = 10
"""Seconds of goodput that are looked at once it should have recovered."""


@dataclass(frozen=True, slots=True)
class Met:
    """One run, and what the server says of it."""

    run: Run
    log: Log


def meet(arena: Arena, dataset: Dataset, gate: str, hosts: Mapping[str, int | str]) -> Met:
    """Fetch `dataset` from a gated server; says so on the terminal."""
    folder = arena.folders["tmpfs"] / "run"
    folder.mkdir()
    try:
        with gated(gate, arena.origin.files.parent, arena.origin.pages) as url:
            launch = emasync(gate, hosts).launch(Job(dataset, url, folder, arena.origin.authority))
            environment = free_environment(folder, arena.origin.authority)
            run = measure(launch.command, folder, environment, time_limit_s=TIME_LIMIT_S, sync=False)
            log = read_log(url)
        if problem := run.problem or check(dataset, launch.data):
            raise RuntimeError(f"{gate}: {problem}")
    finally:
        shutil.rmtree(folder)
    total = log.span(0, float("inf"))
    print(f"  {gate:<10}{run.wall_s:8.2f} s  {total.served} served, {total.refused} refused", flush=True)
    return Met(run, log)


# --- silence -----------------------------------------------------------------------------------------------------


def stalls(arena: Arena, *, quick: bool) -> dict[str, float]:
    """Small objects, and one in ranges, with and without answers that stop for ever."""
    factor = 0.25 if quick else 1.0
    small = Case(name="stallsmall", groups=(Group(count=2_000, size_bytes=64 * KIB),)).scaled(factor)
    ranges = Case(name="stallranges", groups=(Group(count=4, size_bytes=200 * MIB),)).scaled(factor)
    return {**_stalls(arena, small, "small"), **_stalls(arena, ranges, "ranges")}


def _stalls(arena: Arena, case: Case, name: str) -> dict[str, float]:
    hosts: dict[str, int | str] = {"max_connections": CONNECTIONS}
    hosts |= {"stall_timeout": f"{STALL_TIMEOUT_S}s", "part_size": "1MiB"}
    with arena.dataset(case) as dataset:
        calm, stalled = (meet(arena, dataset, gate, hosts) for gate in ("calm", "stalls"))
    requests = stalled.log.span(0, float("inf")).served
    cost_s = SLACK * GATES["stalls"].hang_fraction * requests * STALL_TIMEOUT_S / CONNECTIONS + STALL_TIMEOUT_S
    return {
        f"stalls {name}": stalled.run.wall_s / (calm.run.wall_s + cost_s),
        f"stalls {name} wall_s": stalled.run.wall_s,
        f"stalls {name} without wall_s": calm.run.wall_s,
        f"stalls {name} requests": requests,
    }


# --- refusals ----------------------------------------------------------------------------------------------------


def storm(arena: Arena, *, quick: bool) -> dict[str, float]:
    """Goodput before a storm and after it."""
    del quick  # seconds are seconds
    gate = GATES["storm"]
    case = Case(name="storm", groups=(Group(count=16_000, size_bytes=64 * KIB),))
    hosts: dict[str, int | str] = {"max_connections": 16}
    with arena.dataset(case) as dataset:
        log = meet(arena, dataset, "storm", hosts).log
    patience_ends_s = log.last_refusal_s + gate.retry_after_s
    before = _rates(log, STEADY_FROM_S, int(gate.storm_from_s))
    rates = _rates(log, int(patience_ends_s) + 1, max(log.seconds))  # the last second is not a whole one
    after = rates[RECOVERED_S - 1 : RECOVERED_S - 1 + LOOKED_AT_S]
    if len(after) < LOOKED_AT_S // 2:
        raise RuntimeError("the transfer was over too soon after the storm: give it more objects")
    usual = mean(before)
    first = next((index for index, rate in enumerate(rates) if rate >= 0.95 * usual), len(rates))
    return {
        "storm recovered": mean(after) / usual,
        "storm requests_per_s before": usual,
        "storm requests_per_s after": mean(after),
        "storm first good second": first + 1.0,
        "storm refused": log.span(0, float("inf")).refused,
    }


def _rates(log: Log, first: int, stop: int) -> list[int]:
    """Objects that were served in each whole second."""
    return [log.seconds[second].served if second in log.seconds else 0 for second in range(first, stop)]


def capped(arena: Arena, *, quick: bool) -> dict[str, float]:
    """Refusals of a server that takes so many requests a second."""
    case = Case(name="capped", groups=(Group(count=8_000 if quick else 16_000, size_bytes=64 * KIB),))
    with arena.dataset(case) as dataset:
        log = meet(arena, dataset, "capped", {}).log
    last = max(log.seconds)
    steady, search = log.span(FOUND_S, last), log.span(0, FOUND_S)
    return {
        "capped wasted": steady.refused / (steady.refused + steady.served),
        "capped wasted while searching": search.refused / (search.refused + search.served),
        "capped requests_per_s": steady.served / (last - FOUND_S),
        "capped allowed_per_s": GATES["capped"].requests_per_s,
    }
