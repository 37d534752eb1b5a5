"""Machines that fail: full and broken disks, syncs that take their time, clocks that jump, a root that is taken."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emasync import api
from emasync.api.blocking import blocking
from emasync.assembly import RunSpec, open_resources
from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.disk.system import System
from emasync.errors import ErrorKind, MachineError
from emasync.ledger.opening import FILE_NAME
from emasync.model.clock import SystemClock
from emasync.model.events import ignore_event
from emasync.model.receipt import Receipt
from emasync.settings import Settings
from emasync.testing.archive import Archive
from emasync.testing.failing import Faulty, SlowSyncs
from emasync.testing.memory import MemoryStore
from emasync.testing.selftest.stage import EXPECTED, files_below

EXIT_MACHINE: Final = 4
OBJECTS: Final = {**EXPECTED["small"], **EXPECTED["ranged"]}
SLOW_S: Final = 0.1

DISKS: Final = (
    ("disk full", "pwrite", errno.ENOSPC),
    ("disk full at a new file", "create", errno.ENOSPC),
    ("quota used up", "pwrite", errno.EDQUOT),
    ("input/output error", "pwrite", errno.EIO),
    ("input/output error of a sync", "fdatasync", errno.EIO),
    ("read-only filesystem", "create", errno.EROFS),
    ("no rename", "rename", errno.EIO),
    ("no permission", "mkdir", errno.EACCES),
    ("too many open files", "create", errno.EMFILE),
)
"""What happens, to which call, as which error."""

PASSES: Final = (0, 3)
"""Calls that go well before: the trouble is there from the beginning, or comes in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trouble of the machine.

    Attributes
    ----------
    name : str
    ended : str
        How the run ended that met it.
    wrong : str
        What must not be.
    """

    name: str
    ended: str
    wrong: str


class _Scene:
    """A small archive, a root, and runs over them."""

    def __init__(self, archive: Archive, root: Path) -> None:
        self.root = root
        self._manifest: dict[str, Any] = {  # JSON
            "version": 1,
            "settings": {"hosts": {"127.0.0.1": {"part_size": "256KiB", "max_connections": 4}}},
            "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": f"{archive.url}/b"}],
        }

    def run(self, system: System | None = None) -> Receipt:
        """One run, over this kernel."""
        return blocking(lambda: self.arun(system))

    async def arun(self, system: System | None) -> Receipt:
        """As :meth:`run`."""

        def make_sink(root: Path) -> Sink:
            return LocalSink(root, system=system)

        make = None if system is None else make_sink
        return await api.arun(self._manifest, root=self.root, options=api.RunOptions(hooks=False), make_sink=make)

    def wrong(self) -> str:
        """What is under a final name and should not be."""
        found = files_below(self.root / "d")
        bad = [name for name, data in found.items() if OBJECTS.get(name) != data]
        return f"other bytes under a final name: {bad[0]}" if bad else ""

    def mended(self) -> str:
        """Whether the next run, in good order, brings the rest."""
        receipt = self.run()
        if receipt.exit_code != 0 or files_below(self.root / "d") != OBJECTS:
            return f"not mended by the next run: exit {receipt.exit_code}, {receipt.stopped or receipt.failures[:1]}"
        return ""


def trials(folder: Path, disks: Sequence[tuple[str, str, int]] = DISKS) -> Iterator[Trial]:
    """Try what can go wrong with disks, and the other troubles.

    Parameters
    ----------
    folder : Path
        For roots.
    disks : sequence of tuple
        Rows of :data:`DISKS`.
    """
    with Archive.start(MemoryStore({f"b/{name}": data for name, data in OBJECTS.items()})) as archive:
        for number, (name, system) in enumerate(_kernels(disks)):
            yield _disk(name, system, _Scene(archive, folder / f"disk-{number}"))
        for number, (name, trial) in enumerate(_OTHERS):
            scene = _Scene(archive, folder / f"other-{number}")
            ended, wrong = trial(scene)
            yield Trial(name=name, ended=ended, wrong=wrong or scene.wrong() or scene.mended())


def _kernels(disks: Sequence[tuple[str, str, int]]) -> Iterator[tuple[str, System]]:
    for name, call, number in disks:
        for passes in PASSES:
            when = "in the middle" if passes else "from the beginning"
            yield f"{name}, {when} ({errno.errorcode[number]})", Faulty(call, number, passes)


def _disk(name: str, system: System, scene: _Scene) -> Trial:
    try:
        receipt = scene.run(system)
    except MachineError as error:  # before there was anything to write a receipt about
        return Trial(name=name, ended=f"{error.kind}", wrong=scene.wrong() or scene.mended())
    ended = f"exit {receipt.exit_code}"
    met = not isinstance(system, Faulty) or system.calls > system.passes
    wrong = "" if receipt.exit_code == EXIT_MACHINE or not met else f"exit {receipt.exit_code}, expected {EXIT_MACHINE}"
    return Trial(name=name, ended=ended if met else "not met", wrong=wrong or scene.wrong() or scene.mended())


# --- others ------------------------------------------------------------------------------------------------------


def _slow_syncs(scene: _Scene) -> tuple[str, str]:
    receipt = scene.run(SlowSyncs(SLOW_S))
    return f"exit {receipt.exit_code}", "" if receipt.ok else "a slow disk is no failure"


class JumpingClock(SystemClock):
    """Its wall clock is off by up to a day, another time at each look."""

    def time_s(self) -> float:
        """Seconds since 1970, more or less."""
        return time.time() + random.uniform(-86_400, 86_400)


def _jumps(scene: _Scene) -> tuple[str, str]:
    """Open and close the root under a clock that jumps, between two runs."""

    async def live() -> None:
        spec = RunSpec(root=scene.root, state_dir=None, settings=Settings())
        async with open_resources(spec, ignore_event, clock=JumpingClock()) as resources:
            await resources.ledger.call("tallies")

    first = scene.run()
    blocking(live)
    again = scene.run()
    fetched = again.totals.bytes_fetched
    return f"exit {again.exit_code}", "" if first.ok and again.ok and not fetched else f"{fetched} bytes fetched again"


def _taken(scene: _Scene) -> tuple[str, str]:
    """Another process's run goes on in this root."""
    scene.run()

    async def live() -> str:
        spec = RunSpec(root=scene.root, state_dir=None, settings=Settings())
        async with open_resources(spec, ignore_event):
            try:
                await scene.arun(None)
            except MachineError as error:
                return str(error.kind)
        return "ran all the same"

    ended = blocking(live)
    return ended, "" if ended == str(ErrorKind.ROOT_LOCKED) else f"{ended}: two runs at a time in one root"


def _zeroed(scene: _Scene) -> tuple[str, str]:
    """The ledger is overwritten with zeros, as a filesystem may leave a file behind a power cut."""
    return _damaged(scene, lambda ledger: ledger.write_bytes(bytes(ledger.stat().st_size)))


def _cut_short(scene: _Scene) -> tuple[str, str]:
    """The ledger lost its second half."""
    return _damaged(scene, lambda ledger: os.truncate(ledger, ledger.stat().st_size // 2))


def _damaged(scene: _Scene, damage: Callable[[Path], object]) -> tuple[str, str]:
    scene.run()
    damage(scene.root / ".emasync" / FILE_NAME)
    receipt = scene.run()
    fetched = receipt.totals.bytes_fetched
    return f"exit {receipt.exit_code}", f"{fetched} bytes fetched again" if fetched or not receipt.ok else ""


_OTHERS: Final[tuple[tuple[str, Callable[[_Scene], tuple[str, str]]], ...]] = (
    ("syncs that take their time", _slow_syncs),
    ("a wall clock that jumps by days", _jumps),
    ("a ledger of zeros", _zeroed),
    ("a ledger cut short", _cut_short),
    ("a root that another run holds", _taken),
)
