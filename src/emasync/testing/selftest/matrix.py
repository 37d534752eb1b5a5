"""Every bad day, met by every shape in every way that bytes can come; many at a time, each at an archive of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from emasync import api
from emasync.model.location import Location
from emasync.model.receipt import Receipt
from emasync.testing.selftest.bad_days import BAD_DAYS, STRANGE_DAYS, WORSE_DAYS, BadDay, Shape
from emasync.testing.selftest.stage import POLICY, SHAPES, Stage
from emasync.transport.surroundings import Surroundings, host_of

Way = Literal["wire", "fallback", "processes"]
Often = Literal["once", "always"]

ALL_DAYS: Final = (*BAD_DAYS, *STRANGE_DAYS, *WORSE_DAYS)

TRIES: Final[dict[Often, int]] = {"once": 6, "always": 2}
"""What happens once is mended, also on a machine that is busy with something else; what always happens is no wait."""

NO_CHANGE: Final[Mapping[str, Any]] = {}

OPTIONS: Final[dict[Way, api.RunOptions]] = {
    "wire": api.RunOptions(hooks=False),
    "fallback": api.RunOptions(hooks=False),
    "processes": api.RunOptions(hooks=False, workers=2, executor="processes"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """One bad day that one dataset met.

    Attributes
    ----------
    day : str
    shape : Shape
    way : {"wire", "fallback", "processes"}
    often : {"once", "always"}
    kinds : tuple of str
        Failures that were named; empty for identical bytes at the first try.
    wrong : str
        What must not be; empty where it ended as it has to: in identical bytes, or in a failure that is named and
        that the next run mends.
    """

    day: str
    shape: Shape
    way: Way
    often: Often
    kinds: tuple[str, ...]
    wrong: str


def meet(
    days: Sequence[BadDay],
    way: Way,
    often: Often,
    folder: Path,
    *,
    stage_of: Callable[[int, BadDay], Stage] = Stage,
    surroundings: Surroundings | None = None,
    policy: Mapping[str, Any] = NO_CHANGE,
) -> Iterator[Met]:
    """Run a manifest over all `days` at once, and once more in good weather.

    Parameters
    ----------
    days : sequence of BadDay
    way : {"wire", "fallback", "processes"}
    often : {"once", "always"}
        The first request for each key is spoilt, or all are.
    folder : Path
        For the root.
    stage_of : callable
        Where each day is met.
    surroundings : Surroundings, optional
        Of another machine than this one; not with processes.
    policy : mapping of str to object
        What is different for all hosts (Any: as in a manifest).
    """
    run = partial(_run, folder, OPTIONS[way], surroundings)
    with ExitStack() as stack:
        stages = [stack.enter_context(closing(stage_of(number, day))) for number, day in enumerate(days)]
        manifest = _manifest(stages, way, often, policy)
        for stage in stages:
            stage.spoil(once=often == "once")
        first = _verdicts(stages, run(manifest), folder)
        for stage in stages:
            stage.clear()
        second = _verdicts(stages, run(manifest, refresh=True), folder)
    for (stage, shape), met in first.items():
        mended = second[stage, shape]
        wrong = met.wrong or mended.wrong or ("" if mended.complete else f"not mended: {', '.join(mended.kinds)}")
        if often == "once" and not (stage.day.final or met.complete):
            wrong = wrong or f"what happened once was not mended in the same run: {', '.join(met.kinds)}"
        yield Met(day=stage.day.name, shape=shape, way=way, often=often, kinds=met.kinds, wrong=wrong)


def _run(
    folder: Path,
    options: api.RunOptions,
    surroundings: Surroundings | None,
    manifest: dict[str, Any],
    *,
    refresh: bool = False,
) -> Receipt:
    """Any: JSON."""
    options = replace(options, refresh=refresh)
    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        return runner.run(api.arun(manifest, root=folder, options=options, surroundings=surroundings))


def _manifest(stages: Sequence[Stage], way: Way, often: Often, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Any: JSON."""
    policy = {**POLICY, "wire": way != "fallback", "max_attempts": TRIES[often], **policy}
    datasets = [entry for stage in stages for entry in stage.datasets()]
    hosts = dict.fromkeys((host_of(Location.parse(stage.url)) for stage in stages), policy)
    return {"version": 1, "settings": {"hosts": hosts}, "datasets": datasets}


def _verdicts(stages: Sequence[Stage], receipt: Receipt, root: Path) -> dict[tuple[Stage, Shape], Any]:
    found = {dataset.id: dataset for dataset in receipt.datasets}
    return {
        (stage, shape): stage.judge(root, found[stage.id_of(shape)], shape)
        for stage in stages
        for shape in SHAPES
        if shape in stage.day.shapes
    }
