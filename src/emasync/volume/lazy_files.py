"""Files of which only parts are here: what is read of them is fetched first, a whole batch at once, and stays."""

from __future__ import annotations

import mmap
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from emasync.errors import NotDownloaded, SourceChangedError
from emasync.model.digest import Span
from emasync.volume.files import LocalFiles
from emasync.volume.forking import begin_anew_after_fork
from emasync.volume.interface import WHOLE_FILE

BLOCK_BYTES: Final = 256 << 10
"""Spans that are fetched begin and end at multiples of it (docs/decisions/0009): a request costs as much as the bytes
that come in its latency, and the ledger keeps a row for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """What is here of a file.

    Attributes
    ----------
    path : str
        Where its bytes lie, relative to the root: the file itself, or the unfinished one.
    generation : int
        Of the unfinished file: another one has bytes of another version.
    size_bytes : int
        Of the whole file.
    spans : tuple of Span or None
        Bytes that are there, in order, neither touching nor overlapping; None: all of them.
    absent : bool
        Whether the publisher left it out; all else says nothing then.
    """

    path: str
    generation: int
    size_bytes: int
    spans: tuple[Span, ...] | None = None
    absent: bool = False

    def has(self, span: Span) -> bool:
        """Whether all bytes of a span are here."""
        if self.spans is None or self.absent or not span.size_bytes:
            return True
        at = bisect_right(self.spans, span.start, key=lambda held: held.start) - 1
        return at >= 0 and span.stop <= self.spans[at].stop


class PartSource(Protocol):
    """What fetches parts of files of a root that are planned."""

    def parts(self, wants: Mapping[str, Sequence[Span]]) -> Mapping[str, HeldFile]:
        """Have these bytes of these files here: what is missing of them is fetched, and kept.

        Parameters
        ----------
        wants : mapping of str to (sequence of Span)
            Disjoint spans in order, by path of the file from the root; bytes beyond its end are left out. Without a
            span it is enough to know how long the file is.

        Returns
        -------
        mapping
            What is here of each of them now; none of a file that is neither here nor planned.

        Raises
        ------
        NotDownloaded
            They could not be fetched; says why.
        MachineError
            ``root_locked``: a run is going on; disk full, no permission.
        """
        ...


def merged(spans: Iterable[Span], gap_bytes: int = 0) -> tuple[Span, ...]:
    """Spans in order, those with at most `gap_bytes` between them as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if found and span.start - found[-1].stop <= gap_bytes:
            found[-1] = Span(found[-1].start, max(found[-1].stop, span.stop))
        else:
            found.append(span)
    return tuple(found)


def in_blocks(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans, begun and ended at multiples of :data:`BLOCK_BYTES`."""
    for span in spans:
        if span.size_bytes:
            yield Span(span.start // BLOCK_BYTES * BLOCK_BYTES, -(-span.stop // BLOCK_BYTES) * BLOCK_BYTES)


@final
class LazyFiles:
    """Files below a root, as :class:`~emasync.volume.files.LocalFiles`, and parts of those that are planned.

    Parameters
    ----------
    local : LocalFiles
    source : PartSource
    """

    def __init__(self, local: LocalFiles, source: PartSource) -> None:
        self._local = local
        self._source = source
        self._held: dict[str, HeldFile] = {}
        self._here: set[str] = set()
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """A lock of one's own."""
        self._lock = threading.Lock()

    # --- what is here --------------------------------------------------------------------------------------------

    def has(self, path: str) -> bool:
        """Whether the whole file is here, under its own name."""
        if path in self._here:
            return True
        found = path not in self._held and self._local.has(path)
        if found:
            self._here.add(path)
        return found

    def look(self, paths: Iterable[str]) -> None:
        """Find out how long these files are, and which of them the publisher left out; raises as :meth:`need`."""
        unknown = {path: () for path in paths if path not in self._held and not self.has(path)}
        with self._lock:
            if unknown := {path: () for path in unknown if path not in self._held}:
                self._take(unknown)

    def size_bytes(self, path: str) -> int:
        """Of a file, wherever it is; raises as :meth:`need`."""
        self.look((path,))
        held = self._held.get(path)
        return self._local.file(path).size_bytes() if held is None else held.size_bytes

    def is_absent(self, path: str) -> bool:
        """Whether the publisher left a file out that was looked for."""
        held = self._held.get(path)
        return held is not None and held.absent

    def holds(self, path: str, span: Span) -> bool:
        """Whether these bytes of a file are here."""
        held = self._held.get(path)
        return self.has(path) if held is None else held.has(span)

    def need(self, wants: Mapping[str, Iterable[Span]]) -> None:
        """Have these bytes here; what is missing is fetched at once, with what lies between near spans.

        Raises
        ------
        NotDownloaded
            A file is neither here nor planned, or its source does not give it.
        SourceChangedError
            It is another one than it was: opening it again reads the new one.
        MachineError
            ``root_locked``: a run is going on; disk full, no permission.
        """
        if not (missing := self._missing(wants)):
            return
        with self._lock:  # others may have fetched it meanwhile, and the root has one owner
            if missing := self._missing(missing):
                self._take(missing)

    def _take(self, wants: Mapping[str, Sequence[Span]]) -> None:
        found = self._source.parts(wants)
        for path in wants:
            self._keep(path, found.get(path))

    def _missing(self, wants: Mapping[str, Iterable[Span]]) -> dict[str, tuple[Span, ...]]:
        found = {}
        for path, spans in wants.items():
            if self.has(path):
                continue
            held = self._held.get(path)
            blocks = merged(in_blocks(spans), BLOCK_BYTES)
            lacks = [span for span in blocks if held is None or not held.has(_inside(span, held.size_bytes))]
            if lacks:
                found[path] = tuple(lacks)
        return found

    def _keep(self, path: str, held: HeldFile | None) -> None:
        if held is None:
            if path not in self._held and self._local.has(path):
                return  # it came this very moment
            raise NotDownloaded(
                f"{path} is neither here nor planned as a file of its own; `emasync volumes` and the receipt tell "
                "what there is",
                location=path,
            )
        known = self._held.get(path)
        if known is not None and known.generation != held.generation:
            raise SourceChangedError(f"{path} changed at its source since it was opened; open it again", location=path)
        self._held[path] = held

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, path: str, start: int, size_bytes: int) -> bytes:
        """As :meth:`~emasync.volume.files.LocalFiles.read`; what is not here is fetched."""
        if size_bytes == WHOLE_FILE or self.has(path):
            return self._local.read(path, start, size_bytes)
        self.need({path: (Span(start, start + size_bytes),)})
        return self._local.read(self._place(path), start, size_bytes)

    def mapped(self, path: str, start: int, size_bytes: int) -> mmap.mmap:
        """As :meth:`~emasync.volume.files.LocalFiles.mapped`; of a file of which parts are here only these are true.

        Whoever asks has said by :meth:`need` which bytes will be looked at.
        """
        return self._local.mapped(path if self.has(path) else self._place(path), start, size_bytes)

    def _place(self, path: str) -> str:
        """Where the bytes of a file lie now: a run may have finished it meanwhile."""
        held = self._held[path]
        try:
            self._local.file(held.path)
        except NotDownloaded:
            return path
        return held.path


def _inside(span: Span, size_bytes: int) -> Span:
    """What of a span lies inside of a file."""
    return Span(min(span.start, size_bytes), min(span.stop, size_bytes))
