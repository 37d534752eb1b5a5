"""What the project promises itself, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bench.standings import RaceResult, Results, Where

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """One promise.

    Attributes
    ----------
    what : str
    relation : {"<=", ">="}
    bound : float
    measured : callable
        Results to the figure; None: not measured. Infinite: measured, and it failed.
    unit : str
    """

    what: str
    relation: Literal["<=", ">="]
    bound: float
    measured: Callable[[Results], float | None]
    unit: str = "x"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what came out."""

    what: str
    bound: str
    measured: str
    verdict: Literal["met", "not met", "not measured"]


def judge(results: Results) -> list[Verdict]:
    """Verdict on each target, in order."""
    return [verdict_on(target, target.measured(results), scaled=results.scaled) for target in TARGETS]


def verdict_on(target: Target, figure: float | None, *, scaled: bool = False) -> Verdict:
    """Compare one figure with its bound (scaled: the figure is of a smaller job than the target means)."""
    bound = f"{target.relation} {target.bound:g} {target.unit}"
    if figure is None:
        return Verdict(target.what, bound, "", "not measured")
    met = figure <= target.bound if target.relation == "<=" else figure >= target.bound
    shown = "failed" if figure in (float("inf"), 0.0) else f"{figure:.3g} {target.unit}"
    return Verdict(target.what, bound, f"{shown}, scaled down" if scaled else shown, "met" if met else "not met")


def _ours_to(race: RaceResult | None, peer_s: Callable[[RaceResult], float | None]) -> float | None:
    """Our time over a peer's; infinite when we failed, None when either was not measured."""
    if race is None or race.ours is None or (other_s := peer_s(race)) is None:
        return None
    return race.ours.wall_s / other_s if race.ours.wall_s else float("inf")


def wall_against(
    case: str, *families: str, tls: bool = False, where: Where = "tmpfs"
) -> Callable[[Results], float | None]:
    """Our time over the best of these families."""
    return lambda results: _ours_to(results.race(case, tls=tls, where=where), lambda race: race.best_s(*families))


def goodput_against(case: str, other: Callable[[RaceResult], float | None]) -> Callable[[Results], float | None]:
    """Our goodput over another one: the same bytes, so the inverse of the times; 0 when we failed."""

    def measured(results: Results) -> float | None:
        ratio = _ours_to(results.race(case), other)
        return None if ratio is None else 1 / ratio

    return measured


def peak_rss_mib(results: Results) -> float | None:
    """Largest of all our runs at default settings, MiB."""
    ours = [race.ours for race in results.races if race.ours is not None]
    return max((one.peak_rss_bytes / MIB for one in ours), default=None)


def figure(name: str, factor: float = 1.0) -> Callable[[Results], float | None]:
    """A figure by its name, in another unit by `factor`."""

    def measured(results: Results) -> float | None:
        value = results.figures.get(name)
        return None if value is None else value * factor

    return measured


def _targets() -> Iterator[Target]:
    for tls, how in ((False, "plain"), (True, "TLS")):
        for family, bound in (("curl", 1.0), ("aiohttp", 0.5), ("aria2c", 0.4), ("s5cmd", 0.2)):
            wall = wall_against("small64k", family, tls=tls)
            yield Target(f"20,000 x 64 KiB, {how}, wall against {family}", "<=", bound, wall)
    yield Target("CPU of one more 64 KiB object", "<=", 75, figure("marginal_cpu_us emasync"), "us")
    on_disk = wall_against("small64k", "curl", where="disk")
    yield Target("20,000 x 64 KiB, disk, durable, wall against curl and sync", "<=", 1.0, on_disk)
    rivals = ("curl", "aria2c", "s5cmd", "obstore")
    for tls, how in ((False, "plain"), (True, "TLS")):
        yield Target(
            f"4 GiB in ranges, {how}, wall against the best", "<=", 1.0, wall_against("one4g", *rivals, tls=tls)
        )
    for case in ("objectstore", "ebi"):
        fixed = goodput_against(case, RaceResult.best_fixed_s)
        yield Target(f"{case}: goodput of our defaults against our best fixed setting", ">=", 0.9, fixed)
        yield Target(f"{case}: goodput against the best peer", ">=", 1.0, goodput_against(case, RaceResult.best_peer_s))
    yield Target("peak memory in any case", "<=", 200, peak_rss_mib, "MiB")
    yield Target("wall of ledger, CRC32C and durability, tmpfs", "<=", 15, figure("overhead", 100), "%")
    yield Target("start of the process to first request", "<=", 0.4, figure("start_up_s"), "s")


TARGETS = tuple(_targets())
