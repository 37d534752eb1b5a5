"""Runs that are killed or stopped anywhere, again and again: identical bytes, and little is fetched twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from emasync.testing.selftest.accounting import Loss
from emasync.testing.selftest.deeds import ALONE, FEWEST_KILLS, MOST_KILLS, WITH_WORKERS, Blow, EndedError
from emasync.testing.selftest.jobs import JOBS, Job
from emasync.testing.selftest.life import PATIENCE_S
from emasync.testing.selftest.scene import Scene

__all__ = ["JOBS", "Job", "Killed", "kill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """One job that was killed until it was allowed to end.

    Attributes
    ----------
    job : str
    seed : int
    blows : tuple of Blow
        What happened to it, in order.
    losses : tuple of Loss
        What each end of a life cost, by the archive's counts.
    troubles : int
        Requests that the archive refused on purpose.
    wrong : str
        What must not be.
    """

    job: str
    seed: int
    blows: tuple[Blow, ...]
    losses: tuple[Loss, ...]
    troubles: int
    wrong: str

    @property
    def kills(self) -> int:
        """Times that it was killed."""
        return sum(blow.struck for blow in self.blows)

    @property
    def stops(self) -> int:
        """Times that it stood still (SIGSTOP)."""
        return sum(blow.stops for blow in self.blows)

    @property
    def how(self) -> str:
        """What happened to it, for people."""
        return ", ".join(map(str, self.blows))


def kill(job: Job, seed: int, folder: Path) -> Killed:
    """Kill `job` some times, let it end, and look at what it left.

    Parameters
    ----------
    job : Job
    seed : int
        Decides when and how.
    folder : Path
        Empty; for root and manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blows: list[Blow] = []
    with Scene(job, folder) as scene:
        wrong = _strike(scene, Random(seed), blows) or _let_end(scene) or scene.excess()
        found = tuple(scene.losses())
        troubles = scene.troubles()
    return Killed(job=job.name, seed=seed, blows=tuple(blows), losses=found, troubles=troubles, wrong=wrong)


def _strike(scene: Scene, random: Random, blows: list[Blow]) -> str:
    """Kill it until it was faster; says what must not be."""
    deeds = WITH_WORKERS if scene.job.workers > 1 else ALONE
    for _ in range(random.randint(FEWEST_KILLS, MOST_KILLS)):
        try:
            blows.append(random.choice(deeds)(scene, random))
        except EndedError as error:
            return f"{error}"
        if wrong := scene.wrong():
            return wrong
        if not blows[-1].struck or blows[-1].kind == "worker":
            break  # it came to its end
    return ""


def _let_end(scene: Scene) -> str:
    last = scene.start()
    last.join()
    if last.exitcode is None:
        last.show_stacks()
        last.kill()
        return f"it did not end within {PATIENCE_S:.0f} s"
    if last.exitcode != 0:
        return f"it ended with exit code {last.exitcode}"
    return scene.wrong() or scene.unfinished()
