"""Every bad day, met by every shape in every way that bytes can come; many at a time, each at an archive of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from emasync import api
from emasync.model.receipt import Receipt
from emasync.testing.selftest.bad_days import BAD_DAYS, STRANGE_DAYS, WORSE_DAYS, BadDay, Shape
from emasync.testing.selftest.stage import POLICY, SHAPES, Stage

Way = Literal["wire", "fallback", "processes"]
Often = Literal["once", "always"]

ALL_DAYS: Final = (*BAD_DAYS, *STRANGE_DAYS, *WORSE_DAYS)

TRIES: Final[dict[Often, int]] = {"once": 6, "always": 2}
"""What happens once is mended, also on a machine that is busy with something else; what always happens is no wait."""

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


def meet(days: Sequence[BadDay], way: Way, often: Often, folder: Path) -> Iterator[Met]:
    """Run a manifest over all `days` at once, and once more in good weather.

    Parameters
    ----------
    days : sequence of BadDay
    way : {"wire", "fallback", "processes"}
    often : {"once", "always"}
        The first request for each key is spoilt, or all are.
    folder : Path
        For the root.
    """
    with ExitStack() as stack:
        stages = [stack.enter_context(closing(Stage(number, day))) for number, day in enumerate(days)]
        manifest = _manifest(stages, way, often)
        for stage in stages:
            stage.spoil(once=often == "once")
        first = _verdicts(stages, api.run(manifest, root=folder, options=OPTIONS[way]), folder)
        for stage in stages:
            stage.clear()
        second = _verdicts(stages, api.run(manifest, root=folder, options=replace(OPTIONS[way], refresh=True)), folder)
    for (stage, shape), met in first.items():
        mended = second[stage, shape]
        wrong = met.wrong or mended.wrong or ("" if mended.complete else f"not mended: {', '.join(mended.kinds)}")
        if often == "once" and not (stage.day.final or met.complete):
            wrong = wrong or f"what happened once was not mended in the same run: {', '.join(met.kinds)}"
        yield Met(day=stage.day.name, shape=shape, way=way, often=often, kinds=met.kinds, wrong=wrong)


def _manifest(stages: Sequence[Stage], way: Way, often: Often) -> dict[str, Any]:
    """Any: JSON."""
    policy = POLICY | {"wire": way != "fallback", "max_attempts": TRIES[often]}
    datasets = [entry for stage in stages for entry in stage.datasets()]
    return {"version": 1, "settings": {"hosts": {"127.0.0.1": policy}}, "datasets": datasets}


def _verdicts(stages: Sequence[Stage], receipt: Receipt, root: Path) -> dict[tuple[Stage, Shape], Any]:
    found = {dataset.id: dataset for dataset in receipt.datasets}
    return {
        (stage, shape): stage.judge(root, found[stage.id_of(shape)], shape)
        for stage in stages
        for shape in SHAPES
        if shape in stage.day.shapes
    }
