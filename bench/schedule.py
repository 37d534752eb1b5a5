"""Which races are held, with whom: the full programme and the quick one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.cases import CASES, Case
from bench.contestants import (
    Contestant,
    aiohttp,
    aria2c,
    aria2c_defaults,
    curl,
    curl_defaults,
    emasync,
    missing_peers,
    obstore,
    rclone,
    rclone_defaults,
    s5cmd,
    s5cmd_defaults,
    sequential,
)
from bench.racing import Race
from bench.shaped import SHAPES
from bench.standings import Where

FULL_ROUNDS, QUICK_ROUNDS = 5, 3
SWEEP = {"objectstore": (16, 32, 64), "ebi": (2, 4, 8)}
"""Fixed numbers of connections, by shape, up to the most that our policy allows; fewer would take hours."""

PART_SIZES = ("4MiB", "32MiB")

QUICK_FACTOR = {"small64k": 0.1, "one4g": 1 / 16, "objectstore": 1 / 24, "ebi": 1 / 6, "marginal": 0.1}
"""Scale of each case in the quick programme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line.

    Attributes
    ----------
    quick : bool
    cases : sequence of str
        Empty: all.
    only : sequence of str
        Families or names of contestants; empty: all.
    rounds : int or None
        None: as the programme has it.
    where : sequence of {"tmpfs", "disk"}
    tls : sequence of bool
    scale : float
        Times the programme's own.
    """

    quick: bool = False
    cases: Sequence[str] = ()
    only: Sequence[str] = ()
    rounds: int | None = None
    where: Sequence[Where] = ("tmpfs", "disk")
    tls: Sequence[bool] = (False, True)
    scale: float = 1.0

    def wants(self, case: str) -> bool:
        """Whether a case (or measurement) is asked for."""
        return not self.cases or case in self.cases

    def factor(self, case: str) -> float:
        """Scale of a case."""
        return self.scale * (QUICK_FACTOR.get(case, 0.1) if self.quick else 1.0)

    def rounds_of(self, case: str) -> int:
        """Rounds of a case; slow servers vary less than this machine does."""
        if self.rounds is not None:
            return self.rounds
        if self.quick:
            return 1 if CASES[case].shape else QUICK_ROUNDS
        return FULL_ROUNDS

    def chosen(self, contestants: Sequence[Contestant]) -> list[Contestant]:
        """Those that are asked for and installed."""
        missing = missing_peers()
        wanted = set(self.only)
        return [
            one
            for one in contestants
            if one.family not in missing and (not wanted or one.family in wanted or one.name in wanted)
        ]


def programme(options: Options) -> Iterator[list[Race]]:
    """Races to hold, those over the same objects together."""
    for case in CASES.values():
        if case.name == "marginal" or not options.wants(case.name):
            continue
        if options.quick and case.name not in QUICK_FACTOR and not options.cases:
            continue
        if races := [race for race in _races(case, options) if race.contestants]:
            yield races


def _races(case: Case, options: Options) -> Iterator[Race]:
    scaled = case.scaled(options.factor(case.name))
    for where in options.where:
        for tls in options.tls:
            if case.shape and (tls or where == "disk"):
                continue  # the server is the limit, neither ciphers nor disk
            if options.quick and where == "disk" and (tls or case.name != "small64k"):
                continue
            yield Race(
                case=scaled,
                tls=tls,
                where=where,
                contestants=options.chosen(line_up(case, quick=options.quick, where=where)),
                rounds=options.rounds_of(case.name),
                time_limit_s=time_limit_s(case, quick=options.quick),
            )


def time_limit_s(case: Case, *, quick: bool) -> float:
    """Longest time of one run: a few times what a fair program needs."""
    if quick:
        return 45.0 if case.shape else 30.0
    return 300.0 if case.shape == "ebi" else 600.0


def line_up(case: Case, *, quick: bool, where: Where) -> list[Contestant]:
    """Who runs in a case."""
    if case.shape:
        return _shaped_quick(case.shape) if quick else _shaped_full(case.shape)
    if quick and where == "disk":
        return [emasync(), curl(32)]
    best = [emasync(), curl(32), aria2c(), s5cmd(32), obstore(), aiohttp()]
    if quick:
        return best[:-1] if case.name == "one4g" else [one for one in best if one.family != "obstore"]
    return [*best, rclone(32), curl_defaults(), aria2c_defaults(), s5cmd_defaults(), rclone_defaults(), sequential()]


def _shaped_full(shape: str) -> list[Contestant]:
    fixed = [emasync(f"emasync n={number}", {"max_connections": number}) for number in SWEEP[shape]]
    middle = SHAPES[shape].max_connections or 32
    parts = [
        emasync(f"emasync n={middle} part={size}", {"max_connections": middle, "part_size": size})
        for size in PART_SIZES
    ]
    return [emasync(), *fixed, *parts, *_shaped_peers(shape)]


def _shaped_peers(shape: str) -> list[Contestant]:
    manners = SHAPES[shape]
    hangs = manners.hang_fraction > 0
    peers = [curl_defaults(), aria2c_defaults(), s5cmd_defaults(), rclone_defaults()]
    if (most := manners.max_connections) is not None:
        rivals = [curl(most, hangs=hangs), aria2c(most, 1, hangs=hangs), aria2c(1, most, hangs=hangs)]
        rivals += [rclone(most, 0, hangs=hangs), s5cmd(most, 1), obstore(most), aiohttp(most, hangs=hangs)]
        return [*rivals, *peers]
    return [*(make(64) for make in (curl, s5cmd, rclone, obstore, aiohttp)), aria2c(64, 1), *peers]


def _shaped_quick(shape: str) -> list[Contestant]:
    most = SHAPES[shape].max_connections
    if most is not None:
        rival = aria2c(most, 1, hangs=True)
        return [emasync(), emasync(f"emasync n={most}", {"max_connections": most}), rival]
    fixed = [emasync(f"emasync n={number}", {"max_connections": number}) for number in (32, 64)]
    return [emasync(), *fixed, curl(64), s5cmd(64)]
