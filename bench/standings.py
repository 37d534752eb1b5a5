"""What was measured, as values: races, standings, figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from bench.contestants import EMASYNC
from bench.measuring import Run

Where = Literal["tmpfs", "disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All runs of one contestant in one race.

    Attributes
    ----------
    name, family, kind : str
        See :class:`bench.contestants.Contestant`.
    command : str
        Without this machine's folders.
    runs : tuple of Run
        In the order of the rounds.
    sync_counts : bool
        Whether the ``sync`` after a run is part of its time.
    """

    name: str
    family: str
    kind: str
    command: str
    runs: tuple[Run, ...]
    sync_counts: bool = False

    @property
    def problem(self) -> str | None:
        """First thing that went wrong in any run."""
        return next((run.problem for run in self.runs if run.problem), None)

    @property
    def walls_s(self) -> list[float]:
        """Time of each run; with the sync where it counts."""
        return [run.wall_s + (run.sync_s if self.sync_counts else 0.0) for run in self.runs]

    @property
    def wall_s(self) -> float | None:
        """Median time; None when a run failed: a program that gets it right now and then has no time."""
        return median(self.walls_s) if self.runs and not self.problem else None

    @property
    def cpu_s(self) -> float:
        """Median of user and system time."""
        return median(run.cpu_s for run in self.runs)

    @property
    def peak_rss_bytes(self) -> int:
        """Largest of all runs."""
        return max(run.peak_rss_bytes for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceResult:
    """One case, on one kind of connection, to one kind of disk.

    Attributes
    ----------
    case : str
    tls : bool
    where : {"tmpfs", "disk"}
    objects : int
    size_bytes : int
        Of all objects.
    standings : tuple of Standing
    """

    case: str
    tls: bool
    where: Where
    objects: int
    size_bytes: int
    standings: tuple[Standing, ...]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.case}, {'TLS' if self.tls else 'plain'}, {self.where}"

    @property
    def ours(self) -> Standing | None:
        """Our standing at default settings; None when we did not run."""
        return next((one for one in self.standings if one.family == EMASYNC and one.kind == "defaults"), None)

    def best_s(self, *families: str) -> float | None:
        """Shortest median time among the variants of these families; None when none finished."""
        return min((one.wall_s for one in self.standings if one.family in families and one.wall_s), default=None)

    def best_peer_s(self) -> float | None:
        """Shortest median time among all that is not ours."""
        strangers = {one.family for one in self.standings if one.kind in ("defaults", "best")} - {EMASYNC}
        return self.best_s(*strangers)

    def best_fixed_s(self) -> float | None:
        """Shortest median time in the sweep of our own limits."""
        return min((one.wall_s for one in self.standings if one.kind == "fixed" and one.wall_s), default=None)


@dataclass(slots=True)
class Results:
    """Everything of one session; grows.

    Attributes
    ----------
    races : list of RaceResult
    figures : dict of str to float
        Measurements that are no race: ``marginal_cpu_us``, ``overhead``, ``start_up_s``, and companions.
    facts : mapping
        Machine, versions, options.
    scaled : bool
        Whether the work was smaller than the targets mean: verdicts show a direction only.
    """

    facts: Mapping[str, object]
    scaled: bool = False
    races: list[RaceResult] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def take(self, result: RaceResult) -> None:
        """Keep a race, instead of an earlier one of the same kind."""
        same = (result.case, result.tls, result.where)
        self.races = [one for one in self.races if (one.case, one.tls, one.where) != same] + [result]

    def race(self, case: str, *, tls: bool = False, where: Where = "tmpfs") -> RaceResult | None:
        """One race; None when it was not held."""
        return next((one for one in self.races if (one.case, one.tls, one.where) == (case, tls, where)), None)
