"""Races: all contestants in turn, round after round, each in a fresh folder."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from bench.cases import GIB, Case
from bench.content import DISTINCT_BYTES, Dataset, drop_dataset, make_dataset
from bench.contestants import EMASYNC, Contestant, Job
from bench.measuring import Run, check, free_environment, measure, touch_memory
from bench.origins import Origin
from bench.shaped import shaped
from bench.standings import RaceResult, Standing, Where

HOPELESS = 3.0
"""So many times slower than the fastest: one round is enough."""

REPOSITORY = Path(__file__).resolve().parents[1]
MEMORY_BUDGET_BYTES = 7 * GIB
"""Objects on the server and those that a run writes, in tmpfs; beyond, the server's lie on disk, in the page cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """A race to be held.

    Attributes
    ----------
    case : Case
    tls : bool
    where : {"tmpfs", "disk"}
    contestants : sequence of Contestant
    rounds : int
        Fixed settings of a sweep run in half of them, rounded up.
    time_limit_s : float
        A contestant that needs longer is stopped, and runs no more in this race.
    """

    case: Case
    tls: bool = False
    where: Where = "tmpfs"
    contestants: Sequence[Contestant]
    rounds: int
    time_limit_s: float


@dataclass(frozen=True, slots=True)
class Arena:
    """Where races are held.

    Attributes
    ----------
    origin : Origin
    folders : mapping of where to Path
        For outputs (and objects).
    """

    origin: Origin
    folders: Mapping[Where, Path]

    @contextmanager
    def dataset(self, case: Case) -> Iterator[Dataset]:
        """The objects of `case`, served as long as the context lasts."""
        total_bytes = sum(size for _, size in case.objects())
        fits = total_bytes + min(total_bytes, DISTINCT_BYTES + case.groups[0].size_bytes) < MEMORY_BUDGET_BYTES
        files = self.origin.files if fits else self.folders["disk"] / "origin"
        dataset = make_dataset(case, files, self.origin.pages)
        link = self.origin.files / case.name
        try:
            if not fits:
                link.symlink_to(dataset.folder)
            yield dataset
        finally:
            drop_dataset(dataset)
            link.unlink(missing_ok=True)

    def run(self, contestant: Contestant, dataset: Dataset, race: Race) -> tuple[Run, str]:
        """Run one contestant once.

        Returns
        -------
        Run
        str
            The command line.
        """
        folder = self.folders[race.where] / "run"
        folder.mkdir()
        home = folder / "home"
        home.mkdir()
        on_disk = race.where == "disk"
        fast = self.origin.tls_url if race.tls else self.origin.url
        server = (
            shaped(race.case.shape, self.origin.files.parent, self.origin.pages)
            if race.case.shape
            else nullcontext(fast)
        )
        try:
            with server as url:
                launch = contestant.launch(Job(dataset, url, folder, self.origin.authority))
                environment = free_environment(home, self.origin.authority)
                if on_disk:
                    os.sync()
                else:
                    touch_memory(folder / "touched", dataset.total_bytes)
                run = measure(launch.command, folder, environment, time_limit_s=race.time_limit_s, sync=on_disk)
            problem = run.problem or check(dataset, launch.data)
            names = {folder: "RUN", self.origin.authority: "AUTHORITY"}
            run = replace(run, problem=problem and anonymous(problem, names))
            return run, anonymous(shlex.join(launch.command), names)
        finally:
            shutil.rmtree(folder)


def anonymous(text: str, names: Mapping[Path, str]) -> str:
    """A text without the folders of this machine: `names` of paths, and those of Python and the repository."""
    known = {str(path): name for path, name in names.items()}
    known |= {sys.executable: "python", f"{Path(sys.executable).parent}/": "", f"{REPOSITORY}/": ""}
    for path, name in known.items():
        text = text.replace(path, name)
    return text


def hold(arena: Arena, dataset: Dataset, race: Race) -> RaceResult:
    """Hold one race; contestants take turns, and each round begins with another one."""
    runs: dict[str, list[Run]] = {one.name: [] for one in race.contestants}
    commands: dict[str, str] = {}
    for index in range(race.rounds):
        for contestant in rotated(race.contestants, index):
            if sits_out(race, contestant, index, runs):
                continue
            run, commands[contestant.name] = arena.run(contestant, dataset, race)
            runs[contestant.name].append(run)
            tell(contestant, run)
    return RaceResult(
        case=race.case.name,
        tls=race.tls,
        where=race.where,
        objects=len(dataset.names),
        size_bytes=dataset.total_bytes,
        standings=tuple(standing(race, one, commands[one.name], runs[one.name]) for one in race.contestants),
    )


def standing(race: Race, contestant: Contestant, command: str, runs: Sequence[Run]) -> Standing:
    """A contestant's runs; peers pay for the ``sync`` on disk where the case says so."""
    return Standing(
        name=contestant.name,
        family=contestant.family,
        kind=contestant.kind,
        command=command,
        runs=tuple(runs),
        sync_counts=race.where == "disk" and race.case.peers_sync and contestant.family != EMASYNC,
    )


def rotated(contestants: Sequence[Contestant], index: int) -> tuple[Contestant, ...]:
    """The order of round `index`."""
    first = index % len(contestants)
    return (*contestants[first:], *contestants[:first])


def sits_out(race: Race, contestant: Contestant, index: int, runs: Mapping[str, Sequence[Run]]) -> bool:
    """Whether a contestant leaves round `index` out, so that the others can be measured today.

    Those that were stopped once; the second half of the rounds of a sweep; at shaped servers, where times hardly
    vary, those that are far behind the fastest of their own: of the sweep, or of the peers.
    """
    own = runs[contestant.name]
    if any(run.timed_out for run in own) or (contestant.kind == "fixed" and index >= (race.rounds + 1) // 2):
        return True
    if race.case.shape is None or index == 0 or is_ours(contestant):
        return False
    swept = contestant.kind == "fixed"
    rivals = [one for one in race.contestants if not is_ours(one) and (one.kind == "fixed") == swept]
    first = [runs[one.name][0] for one in rivals]
    fastest_s = min((run.wall_s for run in first if run.problem is None), default=0.0)
    return own[0].wall_s > HOPELESS * fastest_s > 0


def is_ours(contestant: Contestant) -> bool:
    """Whether this is emasync as it comes."""
    return contestant.family == EMASYNC and contestant.kind == "defaults"


def tell(contestant: Contestant, run: Run) -> None:
    """One line for who waits."""
    wrong = f"  {run.problem.splitlines()[-1]}" if run.problem else ""
    sync = f" + {run.sync_s:.2f} s sync" if run.sync_s else ""
    memory = run.peak_rss_bytes / (1 << 20)
    print(
        f"  {contestant.name:<24}{run.wall_s:8.2f} s{sync}  cpu {run.cpu_s:6.2f} s  {memory:5.0f} MiB{wrong}",
        flush=True,
    )
