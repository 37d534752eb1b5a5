"""Small datasets, and results as a session would give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bench.cases import Case, Group
from bench.content import Dataset, make_dataset
from bench.measuring import Run
from bench.standings import RaceResult, Standing, Where


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """2,500 objects of a few bytes, and three of 100 kB: files below ``files``, pages below ``pages``."""
    case = Case(
        name="tiny", groups=(Group(count=2_500, size_bytes=40, spread_bytes=20), Group(count=3, size_bytes=100_000))
    )
    pages = tmp_path / "pages"
    pages.mkdir()
    return make_dataset(case, tmp_path / "files", pages)


@pytest.fixture
def a_run() -> Callable[..., Run]:
    def make(wall_s: float, **more: object) -> Run:
        facts = {"sync_s": 0.0, "cpu_s": 1.0, "peak_rss_bytes": 100 << 20} | more
        return Run(wall_s=wall_s, **facts)  # type: ignore[arg-type]  # checked by the tests that pass them

    return make


@pytest.fixture
def a_race(a_run: Callable[..., Run]) -> Callable[..., RaceResult]:
    """A race in which contestants (name, family, kind) took so many seconds; None: failed."""

    def make(
        times_s: dict[tuple[str, str, str], float | None],
        *,
        case: str = "small64k",
        tls: bool = False,
        where: Where = "tmpfs",
    ) -> RaceResult:
        standings = tuple(
            Standing(
                name=name,
                family=family,
                kind=kind,
                command=name,
                runs=(a_run(9.0, problem="broke") if wall_s is None else a_run(wall_s),),
            )
            for (name, family, kind), wall_s in times_s.items()
        )
        return RaceResult(case=case, tls=tls, where=where, objects=10, size_bytes=10**6, standings=standings)

    return make
