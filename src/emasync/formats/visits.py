"""Walks over folders, without I/O: each folder is a visit, and visits wait side by side.

A visit is a generator that yields what it needs and receives the answers. The walk hands out the needs of all visits
under way, so that a caller may answer them at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from emasync.errors import SourceError
from emasync.formats.interface import Answer, Found, Names, Need
from emasync.formats.paths import ancestors, join, legal_name, outermost, place_name
from emasync.model.task import escape_for_log

Answers = Mapping[Need, Answer]
Steps = Generator[tuple[Need, ...], Answers, None]
Documents = dict[str, bytes]
Reading = Generator[tuple[Need, ...], Answers, Documents]

_MAX_NOTES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkLimits:
    """Bounds of a walk.

    Attributes
    ----------
    nodes : int
        Folders looked at.
    depth : int
        Path segments.
    bare_depth : int
        Folders without metadata inside each other; chunk folders of an array whose metadata is lost look like this.
    """

    nodes: int = 100_000
    depth: int = 32
    bare_depth: int = 6


@dataclass(slots=True, eq=False)
class _Visit:
    steps: Steps
    missing: int = 0
    answers: dict[Need, Answer] = field(default_factory=dict)


class FolderWalk:
    """The part of a :class:`~emasync.formats.interface.Walk` that no format owns: scheduling, bounds, notes.

    Parameters
    ----------
    limits : WalkLimits, optional
    """

    def __init__(self, limits: WalkLimits | None = None) -> None:
        self._limits = limits or WalkLimits()
        self._waiting: dict[Need, list[_Visit]] = {}
        self._fresh: list[Need] = []
        self._found: list[Found] = []
        self._notes: list[str] = []
        self._seen: set[str] = set()
        self._over = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._seen)} folders seen, {len(self._waiting)} needs open>"

    def needs(self) -> tuple[Need, ...]:
        """What can be asked for now; each need is handed out once."""
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def feed(self, need: Need, answer: Answer) -> None:
        """Take the answer to `need`.

        Raises
        ------
        FormatError
            A document breaks a rule; the walk is over.
        SourceError
            A start that is not there, or a limit; the walk is over.
        ValueError
            The need is not open.
        """
        if self._over:
            return
        if need not in self._waiting:
            raise ValueError(f"{need} was not asked for, or is answered already")
        try:
            for visit in self._waiting.pop(need):
                visit.answers[need] = answer
                visit.missing -= 1
                if not visit.missing:
                    self._go_on(visit, visit.answers)
        except SourceError:
            self._over = True
            self._waiting.clear()
            self._fresh.clear()
            raise

    def found(self) -> tuple[Found, ...]:
        """Descriptions completed since the last call."""
        found, self._found = tuple(self._found), []
        return found

    @property
    def done(self) -> bool:
        """Whether no need is open."""
        return not self._waiting

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over and why; the first 1,000."""
        return tuple(self._notes)

    # --- for formats --------------------------------------------------------------------------------------------

    def _enter(self, start: Sequence[str], above: Callable[[str], Steps], inside: Callable[[str], Steps]) -> None:
        """Begin at the folders in `start` with the visit `inside`, and read the folders over them with `above`."""
        paths = outermost(start)
        self._seen.update(paths)
        for path in paths:
            for folder in ancestors(path):
                self._begin(folder, above(folder))
            self._run(inside(path))

    def _begin(self, folder: str, steps: Steps) -> None:
        """Visit `folder` unless that was done."""
        if folder in self._seen:
            return
        self._seen.add(folder)
        if len(self._seen) > self._limits.nodes:
            raise SourceError(
                f"more than {self._limits.nodes} folders below the base, the last {escape_for_log(folder)}; "
                "narrow the dataset with arrays: or take it with format: raw"
            )
        if folder.count("/") >= self._limits.depth:
            raise SourceError(f"{escape_for_log(folder)}: nested deeper than {self._limits.depth} folders")
        self._run(steps)

    def _run(self, steps: Steps) -> None:
        self._go_on(_Visit(steps), {})

    def _go_on(self, visit: _Visit, answers: Answers) -> None:
        """Let a visit go on until it waits again or ends."""
        try:
            needs = visit.steps.send(answers) if answers else next(visit.steps)
        except StopIteration:
            return
        visit.answers, visit.missing = {}, len(needs)
        for need in needs:
            if need not in self._waiting:
                self._waiting[need] = []
                self._fresh.append(need)
            self._waiting[need].append(visit)

    def _note(self, text: str) -> None:
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(escape_for_log(text))

    def _children(self, folder: str, names: Names) -> list[str]:
        """Folders that can be nodes."""
        for name in names.folders:
            if not legal_name(name):
                self._note(f"{place_name(folder)}: folder {name!a} cannot be a node; passed over")
        return [join(folder, name) for name in names.folders if legal_name(name)]


def read_documents(folder: str, names: Sequence[str]) -> Reading:
    """Ask for documents of one folder; those that are there, by key."""
    answers = yield tuple(Need.document(join(folder, name)) for name in names)
    return {need.key: data for need, data in answers.items() if isinstance(data, bytes)}


def listed_names(answers: Answers) -> Names | None:
    """The one listing among the answers."""
    for need, answer in answers.items():
        if need.kind == "children" and answer is not None and not isinstance(answer, bytes):
            return answer
    return None


def sidecars(folder: str, names: Names, metadata: Collection[str]) -> tuple[str, ...]:
    """Objects that are no metadata; a nameless one is a folder marker."""
    return tuple(join(folder, name) for name in names.objects if name and name not in metadata)
