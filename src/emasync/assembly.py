"""Builds the resources of a run from a picklable description, in whatever process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from emasync.disk.interface import Sink
from emasync.disk.outlying import open_root
from emasync.disk.pace import WriterPlace
from emasync.disk.probe import FilesystemFacts, probe, require_root
from emasync.disk.sink import PARTIAL_FOLDER
from emasync.disk.spread import Outlying, SpreadSink
from emasync.disk.writers import WriterPool
from emasync.errors import ErrorKind, MachineError
from emasync.ledger.database import DamagedLedgerError
from emasync.ledger.lock import RootLock, break_lock, read_owner
from emasync.ledger.notes import read_note, write_note
from emasync.ledger.opening import FILE_NAME as LEDGER
from emasync.ledger.placement import place_ledger
from emasync.ledger.rebuild import KnownFiles, set_aside
from emasync.ledger.store import SqliteLedger
from emasync.ledger.thread import LedgerThread
from emasync.model.clock import Clock, SystemClock
from emasync.model.events import Event, OnEvent
from emasync.settings import WRITER_THREADS, Settings
from emasync.transport.governed import GovernedFetcher
from emasync.transport.remembered import Remembered, as_note, from_note
from emasync.transport.surroundings import Surroundings

HOSTS = "hosts.json"
"""What earlier runs found out about origins, in the state folder."""

LINGER_S = 10.0
"""Longest wait for the workers of a run whose process was killed: they hold its lock until they are gone."""

LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What resources are built from.

    Attributes
    ----------
    root : Path
    state_dir : Path or None
        Where the ledger lives; None lets the filesystem decide.
    settings : Settings
    break_lock : bool
        Take the run lock whoever holds it.
    rebuild : bool
        Set a damaged ledger aside and begin a new one, and look at what tables of checksums know of the files.
    """

    root: Path
    state_dir: Path | None
    settings: Settings
    break_lock: bool = False
    rebuild: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run works with; closed by :func:`open_resources`."""

    lock: RootLock
    sink: Sink
    ledger: LedgerThread
    threads: WriterPool
    fetcher: GovernedFetcher
    place: WriterPlace
    filesystem: FilesystemFacts
    clock: Clock
    root: Path
    state_dir: Path
    outlying: Outlying = field(default_factory=Outlying)
    known: KnownFiles | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that data are laid into: the root, and those outside it."""
        return (self.root, *map(Path, self.outlying.folders.values()))

    @property
    def partial_folders(self) -> tuple[Path, ...]:
        """Where unfinished files lie."""
        outside = (Path(path) / self.outlying.unfinished for path in self.outlying.folders.values())
        return (self.root / PARTIAL_FOLDER, *outside)


@asynccontextmanager
async def open_resources(
    spec: RunSpec,
    on_event: OnEvent,
    *,
    clock: Clock | None = None,
    make_sink: Callable[[Path], Sink] = open_root,
    surroundings: Surroundings | None = None,
    fetcher: GovernedFetcher | None = None,
) -> AsyncIterator[Resources]:
    """Open root, lock, ledger, threads and network; close them in reverse order.

    Parameters
    ----------
    spec : RunSpec
    on_event : callable
    clock : Clock, optional
    make_sink : callable
        Opens the root for writing.
    surroundings : Surroundings, optional
        Of this machine; read here by default.
    fetcher : GovernedFetcher, optional
        Open already, and left open: who opens a root again and again keeps its connections.

    Raises
    ------
    MachineError
        No permission, root locked, ledger unreadable.
    """
    clock = clock if clock is not None else SystemClock()
    async with AsyncExitStack() as stack:
        await anyio.to_thread.run_sync(require_root, spec.root)
        state_dir = await anyio.to_thread.run_sync(
            partial(place_ledger, spec.root, spec.state_dir, break_lock=spec.break_lock)
        )
        lock = await _lock(spec, state_dir, clock)
        stack.push_async_callback(anyio.to_thread.run_sync, lock.release)
        sink = await anyio.to_thread.run_sync(make_sink, spec.root)
        stack.push_async_callback(anyio.to_thread.run_sync, sink.close)
        threads = WriterPool(WRITER_THREADS)
        stack.push_async_callback(threads.aclose)
        outlying = sink.told if isinstance(sink, SpreadSink) else Outlying()
        facts = await anyio.to_thread.run_sync(_probed, spec.root, outlying)
        notes: list[str] = []
        ledger = await stack.enter_async_context(
            LedgerThread(partial(_open_ledger, spec, state_dir, clock, facts, notes.append))
        )
        for note in notes:
            on_event(Event("warning", {"message": note}))
        if fetcher is None:
            known = from_note(await anyio.to_thread.run_sync(read_note, state_dir / HOSTS))
            fetcher = await stack.enter_async_context(
                GovernedFetcher(
                    spec.settings, clock=clock, on_event=on_event, surroundings=surroundings, remembered=known
                )
            )
            stack.push_async_callback(_remember, fetcher, known, state_dir)
        yield Resources(
            lock=lock,
            sink=sink,
            ledger=ledger,
            threads=threads,
            fetcher=fetcher,
            place=WriterPlace(create_s=facts.create_s, network=facts.network),
            filesystem=facts,
            clock=clock,
            root=spec.root,
            state_dir=state_dir,
            outlying=outlying,
            known=await anyio.to_thread.run_sync(KnownFiles.of, spec.root) if spec.rebuild else None,
        )


async def _remember(fetcher: GovernedFetcher, known: Mapping[str, Remembered], state_dir: Path) -> None:
    """Leave what was found out about origins for the next run; it is no loss when that fails."""
    found = fetcher.remembered()
    if found and found != known:
        with suppress(OSError):
            await anyio.to_thread.run_sync(write_note, state_dir / HOSTS, as_note(found, known))


def _probed(root: Path, outlying: Outlying) -> FilesystemFacts:
    """What holds wherever data are laid: the slowest, and the least that names can be told apart by."""
    own = probe(root)
    found = (own, *(probe(Path(path), partial_folder=outlying.unfinished) for path in outlying.folders.values()))
    return replace(
        own,
        network=any(facts.network for facts in found),
        case_sensitive=False if any(facts.case_sensitive is False for facts in found) else own.case_sensitive,
        create_s=max((facts.create_s for facts in found if facts.create_s is not None), default=None),
    )


def _open_ledger(
    spec: RunSpec, state_dir: Path, clock: Clock, facts: FilesystemFacts, tell: Callable[[str], None]
) -> SqliteLedger:
    """A new ledger has to know whether names that differ in case are one file here; an old one remembers."""
    new = not (state_dir / LEDGER).exists()
    if new and spec.rebuild:
        KnownFiles.gather(spec.root, by_themselves=False)
    try:
        return _opened(spec, state_dir, clock, casefold=new and facts.case_sensitive is False)
    except DamagedLedgerError as error:
        if not spec.rebuild:
            raise
        aside = set_aside(state_dir, clock.time_s())
        known = KnownFiles.gather(spec.root, by_themselves=True)
        tell(
            f"the ledger was damaged ({error.message}). It lies in {aside} now, a new one is made: sources are listed "
            f"again, {known:,} files that tables of checksums know are read and kept where they agree, unfinished ones "
            "are fetched again"
        )
        return _opened(spec, state_dir, clock, casefold=facts.case_sensitive is False)


def _opened(spec: RunSpec, state_dir: Path, clock: Clock, *, casefold: bool) -> SqliteLedger:
    return SqliteLedger.open(state_dir, root=spec.root, clock=clock, casefold=casefold)


async def _lock(spec: RunSpec, state_dir: Path, clock: Clock) -> RootLock:
    """Take the root's lock; wait a little for the workers of a killed run, who leave as soon as they notice."""
    if spec.break_lock:
        await anyio.to_thread.run_sync(break_lock, state_dir)
    deadline_s = clock.monotonic_s() + LINGER_S
    while True:
        try:
            return await anyio.to_thread.run_sync(RootLock.acquire, state_dir, clock)
        except MachineError as error:
            if error.kind is not ErrorKind.ROOT_LOCKED or clock.monotonic_s() >= deadline_s:
                raise
            owner = await anyio.to_thread.run_sync(read_owner, state_dir)
            if owner is None or not await anyio.to_thread.run_sync(owner.gone):
                raise
        await clock.sleep(LOOK_S)
