"""A root some folders of which lie elsewhere, maybe on other filesystems: each begins and ends its files in itself.

A rename places a file only inside one filesystem (rename(2), EXDEV), so that each folder outside the root has a folder
of unfinished files of its own (law 1 holds in each of them as it does in the root).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar, final

from emasync.disk.interface import FileFacts, Partial, Sink, WholeFile, WrittenBatch
from emasync.disk.sink import PARTIAL_FOLDER
from emasync.errors import EmasyncError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlying:
    """Folders outside one root.

    Attributes
    ----------
    folders : mapping of str to str
        Absolute path by path in the root.
    token : str
        Tells this root's unfinished files from those of other roots that are laid into the same folders.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    @property
    def unfinished(self) -> str:
        """Folder of the root's unfinished files in each of them."""
        return f"{PARTIAL_FOLDER}/{self.token}"


@final
class SpreadSink:
    """Several sinks as one; implements ``Sink``. Thread safe as its parts are.

    Parameters
    ----------
    root : Sink
        Of all that lies in no other.
    outlying : mapping of str to Sink
        By path relative to the root, without slash at its end; none inside another.
    told : Outlying, optional
        Where they lie, for who asks.

    Attributes
    ----------
    told : Outlying
    """

    def __init__(self, root: Sink, outlying: Mapping[str, Sink], told: Outlying | None = None) -> None:
        self.told = told if told is not None else Outlying()
        self._root = root
        self._outlying = tuple((f"{place}/", sink) for place, sink in outlying.items())
        self._all: tuple[Sink, ...] = (root, *outlying.values())

    @property
    def spread(self) -> bool:
        """As :class:`~emasync.disk.interface.Sink`."""
        return True

    def __repr__(self) -> str:
        return f"<SpreadSink {self._root!r} {dict(self._outlying)!r}>"

    def _of(self, destination: str) -> tuple[Sink, str]:
        """Whose a destination is, and what it is called there."""
        for lead, sink in self._outlying:
            if destination.startswith(lead):
                return sink, destination[len(lead) :]
        return self._root, destination

    # --- unfinished files --------------------------------------------------------------------------------------

    def reserve(self, name: str, size_bytes: int | None, destination: str = "") -> Partial:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(destination)
        return sink.reserve(name, size_bytes, inside)

    def reopen(self, name: str) -> Partial | None:
        """As :class:`~emasync.disk.interface.Sink`; names are unique among all parts."""
        found = (sink.reopen(name) for sink in self._all)
        return next((partial for partial in found if partial is not None), None)

    def discard(self, name: str) -> None:
        """As :class:`~emasync.disk.interface.Sink`."""
        for sink in self._all:
            sink.discard(name)

    def partials(self) -> Iterator[str]:
        """As :class:`~emasync.disk.interface.Sink`."""
        for sink in self._all:
            yield from sink.partials()

    def write_whole(self, files: Sequence[WholeFile]) -> WrittenBatch:
        """As :class:`~emasync.disk.interface.Sink`: a batch for each part that has files."""
        piles: dict[int, tuple[Sink, list[int]]] = {}
        for number, file in enumerate(files):
            sink, _ = self._of(file.destination)
            piles.setdefault(id(sink), (sink, []))[1].append(number)
        batches: list[tuple[Sink, WrittenBatch]] = []
        errors: list[EmasyncError | None] = [None] * len(files)
        with ExitStack() as undo:
            for sink, numbers in piles.values():
                batch = undo.enter_context(closing(sink.write_whole([files[number] for number in numbers])))
                batches.append((sink, batch))
                for number, error in zip(numbers, batch.errors, strict=True):
                    errors[number] = error
            undo.pop_all()
        return SpreadBatch(batches, errors)

    def sync_batches(self, batches: Sequence[WrittenBatch]) -> None:
        """As :class:`~emasync.disk.interface.Sink`."""
        ours = [batch for batch in batches if isinstance(batch, SpreadBatch)]
        if len(ours) != len(batches):
            raise TypeError("a batch of another sink")
        for sink in self._all:
            if parts := [part for batch in ours for owner, part in batch.parts if owner is sink]:
                sink.sync_batches(parts)

    # --- final files -------------------------------------------------------------------------------------------

    def place(self, name: str, destination: str) -> None:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(destination)
        sink.place(name, inside)

    def place_many(self, pairs: Sequence[tuple[str, str]]) -> list[EmasyncError | None]:
        """As :class:`~emasync.disk.interface.Sink`, in the order given."""
        found: list[EmasyncError | None] = []
        owned = ((name, *self._of(destination)) for name, destination in pairs)
        for _, run in groupby(owned, key=lambda item: id(item[1])):
            items = list(run)
            found += items[0][1].place_many([(name, inside) for name, _, inside in items])
        return found

    def retract(self, destination: str, name: str) -> None:
        """As :class:`~emasync.disk.interface.Sink`; an older partial of that name in another part goes."""
        owner, inside = self._of(destination)
        for sink in self._all:
            if sink is not owner:
                sink.discard(name)
        owner.retract(inside, name)

    def stat(self, destination: str) -> FileFacts | None:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(destination)
        return sink.stat(inside)

    def has_folder(self, path: str) -> bool:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(path)
        return sink.has_folder(inside)

    def read_final(self, destination: str, offset: int, size_bytes: int) -> bytes:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(destination)
        return sink.read_final(inside, offset, size_bytes)

    def scan_final(self, destination: str, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(destination)
        return sink.scan_final(inside, start, stop, buffer)

    def write_document(self, destination: str, data: bytes | Iterable[bytes]) -> None:
        """As :class:`~emasync.disk.interface.Sink`."""
        sink, inside = self._of(destination)
        sink.write_document(inside, data)

    # --- all of it ---------------------------------------------------------------------------------------------

    def sync_folders(self) -> None:
        """As :class:`~emasync.disk.interface.Sink`."""
        for sink in self._all:
            sink.sync_folders()

    def free_bytes(self) -> int:
        """Of the fullest filesystem that data go to."""
        return min(sink.free_bytes() for _, sink in self._outlying)

    def free_inodes(self) -> int | None:
        """As :meth:`free_bytes`; None where no filesystem counts them."""
        counted = [free for _, sink in self._outlying if (free := sink.free_inodes()) is not None]
        return min(counted, default=None)

    def close(self) -> None:
        """Give all descriptors back."""
        each(self._all, lambda sink: sink.close())


@final
class SpreadBatch:
    """Batches of several sinks as one.

    Parameters
    ----------
    parts : sequence of (Sink, WrittenBatch)
    errors : sequence of EmasyncError or None
        One a file, in the order given.
    """

    def __init__(self, parts: Sequence[tuple[Sink, WrittenBatch]], errors: Sequence[EmasyncError | None]) -> None:
        self.parts = tuple(parts)
        self.errors = errors

    def sync(self) -> None:
        """As :class:`~emasync.disk.interface.WrittenBatch`."""
        for _, part in self.parts:
            part.sync()

    def close(self) -> None:
        """As :class:`~emasync.disk.interface.WrittenBatch`."""
        each([part for _, part in self.parts], lambda part: part.close())


def each(items: Iterable[T], act: Callable[[T], None]) -> None:
    """Act on all, whatever becomes of some; the first failure is raised at the end."""
    with ExitStack() as stack:
        for item in reversed(list(items)):
            stack.callback(act, item)
