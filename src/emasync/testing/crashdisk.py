"""A sink that remembers every kernel call, to lose what a power cut may lose, and that stops where it is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Literal, final, get_args, overload

from typing_extensions import Buffer

from emasync.disk.batch import LocalBatch
from emasync.disk.interface import FileFacts, WholeFile, WrittenBatch
from emasync.disk.partial import LocalPartial
from emasync.disk.sink import PARTIAL_FOLDER, LocalSink
from emasync.disk.syncing import SyncWay
from emasync.errors import EmasyncError
from emasync.testing.journal import JournalingSystem
from emasync.testing.powercut import Operation, remains

Step = Literal[
    "reserve", "write", "sync", "seal", "place", "retract", "discard", "sync_folders", "write_document", "close"
]
"""Where :meth:`CrashDisk.at` can act."""

Action = Callable[[str], None]
"""Told the name of the file or document the step is about (empty for the sink as a whole). May raise or kill."""


@final
class CrashDisk:
    """A :class:`~emasync.disk.sink.LocalSink` over `root` whose history can be cut anywhere.

    Works on real files, so that the program under test runs as ever. Nothing is really synced. Every byte
    written is kept in memory: for jobs of test size.

    Parameters
    ----------
    root : Path
        Made when missing; what lies in it already counts as durable.
    partial_folder : str
        As for LocalSink. Other files beside it (ledger, locks) are nobody's here and are not materialised.
    preallocate : bool
    sync_ways : tuple of SyncWay, optional
        As for LocalSink.

    Examples
    --------
    >>> disk = CrashDisk(root)                                   # doctest: +SKIP
    >>> disk.at("place", lambda name: os.kill(os.getpid(), 9))   # doctest: +SKIP
    >>> disk.materialise(other, cut=len(disk.operations), seed=7)  # doctest: +SKIP
    """

    def __init__(
        self,
        root: Path,
        *,
        partial_folder: str = PARTIAL_FOLDER,
        preallocate: bool = False,
        sync_ways: tuple[SyncWay, ...] | None = None,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._system = JournalingSystem(root.resolve(), partial_folder)
        self._sink = LocalSink(
            root, partial_folder=partial_folder, preallocate=preallocate, system=self._system, sync_ways=sync_ways
        )
        self._actions: dict[tuple[Step, str], list[Action]] = {}
        self._counts: Counter[Step] = Counter()
        self._lock = threading.Lock()

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What happened so far, in order. Its length now is a cut for later."""
        return tuple(self._system.operations)

    @property
    def counts(self) -> Mapping[Step, int]:
        """How often each step was begun."""
        return dict(self._counts)

    def at(self, step: Step, action: Action, *, when: Literal["before", "after"] = "before") -> None:
        """Call `action` at each `step` from now on; it may raise (the step fails) or kill the process.

        Raises
        ------
        ValueError
            There is no such step.
        """
        if step not in get_args(Step):
            raise ValueError(f"no step {step!r}; steps are {', '.join(get_args(Step))}")
        self._actions.setdefault((step, when), []).append(action)

    @contextmanager
    def step(self, step: Step, name: str) -> Iterator[None]:
        """Count a step and run its actions around it; those after it only when it went well."""
        with self._lock:
            self._counts[step] += 1
        for action in self._actions.get((step, "before"), ()):
            action(name)
        yield
        for action in self._actions.get((step, "after"), ()):
            action(name)

    def materialise(self, target: Path, cut: int, seed: int, *, keep: float | None = None) -> None:
        """Write into `target` what may be left when the power goes after the first `cut` operations.

        Parameters
        ----------
        target : Path
            Missing or empty folder.
        cut : int
            From 0 to ``len(operations)``; an operation under way is one that happened and was not synced.
        seed : int
            Another seed, another choice of what survives; the same seed, the same choice.
        keep : float, optional
            Share of unsynced things that survive, instead of drawing it: 0 is the least the disk may hold.

        Raises
        ------
        ValueError
            `cut` is out of bounds, or `target` is not empty.
        """
        operations = self.operations
        if not 0 <= cut <= len(operations):
            raise ValueError(f"cut {cut} of {len(operations)} operations")
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise ValueError(f"{target} is not empty")
        left = remains(self._system.base, operations[:cut], Random(seed), keep)
        for folder in left.folders:
            (target / folder).mkdir()
        for path, content in left.files.items():
            (target / path).write_bytes(content)

    # --- the sink -----------------------------------------------------------------------------------------------

    @property
    def spread(self) -> bool:
        """As LocalSink."""
        return self._sink.spread

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> HookedPartial:
        """As LocalSink."""
        with self.step("reserve", name):
            return HookedPartial(self, self._sink.reserve(name, size_bytes, destination))

    def reopen(self, name: str) -> HookedPartial | None:
        """As LocalSink."""
        partial = self._sink.reopen(name)
        return None if partial is None else HookedPartial(self, partial)

    def place(self, name: str, destination: str) -> None:
        """As LocalSink; actions are told the destination."""
        with self.step("place", destination):
            self._sink.place(name, destination)

    def write_whole(self, files: Sequence[WholeFile]) -> HookedBatch:
        """As LocalSink; a ``reserve`` and a ``write`` of each file."""
        return HookedBatch(self, self._sink.write_whole(_Stepping(self, files)), [file.name for file in files])

    def sync_batches(self, batches: Sequence[WrittenBatch]) -> None:
        """As LocalSink; a ``seal`` of each file."""
        ours = [batch for batch in batches if isinstance(batch, HookedBatch)]
        with ExitStack() as stack:
            for batch in ours:
                for name in batch.names:
                    stack.enter_context(self.step("seal", name))
            self._sink.sync_batches([batch.local for batch in ours])

    def place_many(self, pairs: Sequence[tuple[str, str]]) -> list[EmasyncError | None]:
        """As LocalSink, one by one: an action can stop in the middle."""
        errors: list[EmasyncError | None] = []
        for name, destination in pairs:
            with self.step("place", destination):
                errors += self._sink.place_many([(name, destination)])
        return errors

    def retract(self, destination: str, name: str) -> None:
        """As LocalSink; actions are told the destination."""
        with self.step("retract", destination):
            self._sink.retract(destination, name)

    def discard(self, name: str) -> None:
        """As LocalSink."""
        with self.step("discard", name):
            self._sink.discard(name)

    def partials(self) -> Iterator[str]:
        """As LocalSink."""
        return self._sink.partials()

    def stat(self, destination: str) -> FileFacts | None:
        """As LocalSink."""
        return self._sink.stat(destination)

    def has_folder(self, path: str) -> bool:
        """As LocalSink."""
        return self._sink.has_folder(path)

    def read_final(self, destination: str, offset: int, size_bytes: int) -> bytes:
        """As LocalSink."""
        return self._sink.read_final(destination, offset, size_bytes)

    def scan_final(self, destination: str, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
        """As LocalSink."""
        return self._sink.scan_final(destination, start, stop, buffer)

    def sync_folders(self) -> None:
        """As LocalSink."""
        with self.step("sync_folders", ""):
            self._sink.sync_folders()

    def write_document(self, destination: str, data: bytes | Iterable[bytes]) -> None:
        """As LocalSink."""
        with self.step("write_document", destination):
            self._sink.write_document(destination, data)

    def free_bytes(self) -> int:
        """As LocalSink."""
        return self._sink.free_bytes()

    def free_inodes(self) -> int | None:
        """As LocalSink."""
        return self._sink.free_inodes()

    def close(self) -> None:
        """As LocalSink; operations stay."""
        with self.step("close", ""):
            self._sink.close()


@final
class HookedPartial:
    """An unfinished file of a :class:`CrashDisk`."""

    def __init__(self, disk: CrashDisk, partial: LocalPartial) -> None:
        self.name = partial.name
        self._disk = disk
        self._partial = partial

    def write(self, offset: int, data: Buffer) -> None:
        """As LocalPartial."""
        with self._disk.step("write", self.name):
            self._partial.write(offset, data)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """As LocalPartial."""
        return self._partial.read(offset, size_bytes)

    def seal(self, size_bytes: int) -> None:
        """As LocalPartial."""
        with self._disk.step("seal", self.name):
            self._partial.seal(size_bytes)

    def sync(self) -> None:
        """As LocalPartial."""
        with self._disk.step("sync", self.name):
            self._partial.sync()

    def close(self) -> None:
        """As LocalPartial."""
        self._partial.close()


@final
class _Stepping(Sequence[WholeFile]):
    """Files to be written; going through them takes their steps."""

    def __init__(self, disk: CrashDisk, files: Sequence[WholeFile]) -> None:
        self._disk = disk
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, at: int) -> WholeFile: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[WholeFile]: ...

    def __getitem__(self, at: int | slice) -> WholeFile | Sequence[WholeFile]:
        return self._files[at]

    def __iter__(self) -> Iterator[WholeFile]:
        for file in self._files:
            with self._disk.step("reserve", file.name), self._disk.step("write", file.name):
                yield file


@final
class HookedBatch:
    """Files written whole to a :class:`CrashDisk`.

    Attributes
    ----------
    names : list of str
        Of the unfinished files.
    local : LocalBatch
    """

    def __init__(self, disk: CrashDisk, batch: LocalBatch, names: list[str]) -> None:
        self._disk = disk
        self.local = batch
        self.names = names

    @property
    def errors(self) -> Sequence[EmasyncError | None]:
        """As LocalBatch."""
        return self.local.errors

    def sync(self) -> None:
        """As LocalBatch; a ``seal`` of each file."""
        self._disk.sync_batches((self,))

    def close(self) -> None:
        """As LocalBatch."""
        self.local.close()
