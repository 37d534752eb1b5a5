"""Results as JSON and as Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bench.measuring import Run
from bench.standings import RaceResult, Results, Standing
from bench.targets import Verdict, judge

MIB = 1 << 20


def write(results: Results, folder: Path, name: str) -> None:
    """Write ``name.json`` and ``name.md`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(as_document(results), indent=1) + "\n")
    (folder / f"{name}.md").write_text(as_markdown(results))


def read(folder: Path, name: str) -> tuple[list[RaceResult], dict[str, float]]:
    """Races and figures of earlier results; none where there are no results."""
    path = folder / f"{name}.json"
    if not path.exists():
        return [], {}
    document = json.loads(path.read_text())
    races = [
        RaceResult(**{**race, "standings": tuple(map(_standing, race["standings"]))}) for race in document["races"]
    ]
    return races, document["figures"]


def _standing(row: Mapping[str, Any]) -> Standing:
    known = {field.name: row[field.name] for field in fields(Standing)}
    return Standing(**{**known, "runs": tuple(Run(**run) for run in row["runs"])})


def as_document(results: Results) -> dict[str, object]:
    """Everything, ready for JSON."""
    races = [
        {
            **asdict(race),
            "standings": [{**asdict(one), **_derived(race, one)} for one in race.standings],
        }
        for race in results.races
    ]
    verdicts = [asdict(verdict) for verdict in judge(results)]
    return {"facts": dict(results.facts), "targets": verdicts, "figures": results.figures, "races": races}


def _derived(race: RaceResult, one: Standing) -> dict[str, float | None]:
    wall_s = one.wall_s
    ours_s = race.ours.wall_s if race.ours else None
    return {
        "median_wall_s": wall_s,
        "median_cpu_s": one.cpu_s,
        "goodput_mb_per_s": race.size_bytes / wall_s / 1e6 if wall_s else None,
        "times_emasync": wall_s / ours_s if wall_s and ours_s else None,
    }


def as_markdown(results: Results) -> str:
    """For people: facts, targets, figures, one table a race, command lines."""
    facts = "\n".join(f"- {name}: {flat(value)}" for name, value in results.facts.items())
    figures = "\n".join(f"| {name} | {value:.4g} |" for name, value in results.figures.items())
    parts = ["# Transfer benchmark", facts, "## Targets", target_table(judge(results))]
    if figures:
        parts += ["## Figures", f"| figure | value |\n|---|---|\n{figures}"]
    for race in results.races:
        size = f"{race.objects:,} objects, {race.size_bytes / 1e6:,.0f} MB"
        parts += [f"## {race.title}", size, race_table(race)]
    return "\n\n".join(parts) + "\n"


def flat(value: object) -> str:
    """A fact in one line."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {flat(inner)}" for name, inner in value.items()) or "none"
    return str(value)


def target_table(verdicts: Sequence[Verdict]) -> str:
    """Targets with verdicts."""
    rows = "\n".join(f"| {one.what} | {one.bound} | {one.measured} | {one.verdict} |" for one in verdicts)
    return f"| target | bound | measured | verdict |\n|---|---|---|---|\n{rows}"


def race_table(race: RaceResult) -> str:
    """One race, the fastest first, with command lines below."""
    order = sorted(race.standings, key=lambda one: one.wall_s or float("inf"))
    rows = "\n".join(_row(race, one) for one in order)
    head = (
        "| program | settings | runs | wall, s | range, s | MB/s | CPU, s | peak MiB | over emasync | problem |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    commands = "\n".join(f"{one.name}: {one.command}" for one in order)
    return f"{head}\n{rows}\n\n```\n{commands}\n```"


def _row(race: RaceResult, one: Standing) -> str:
    derived = _derived(race, one)
    walls_s = one.walls_s
    synced = " with sync" if one.sync_counts else ""
    problem = " ".join((one.problem or "").split()).replace("|", "/")[:160]
    cells = (
        one.name,
        one.kind,
        str(len(one.runs)),
        f"{one.wall_s:.2f}{synced}" if one.wall_s else "none",
        f"{min(walls_s):.2f} to {max(walls_s):.2f}",
        _number(derived["goodput_mb_per_s"], ".0f"),
        f"{one.cpu_s:.2f}",
        f"{one.peak_rss_bytes / MIB:.0f}",
        _number(derived["times_emasync"], ".2f"),
        problem,
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
