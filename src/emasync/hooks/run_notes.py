"""Notes beside the ledger that outlive a run: what recent runs did, and what hooks passed over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from emasync.hooks.interface import HookReport
from emasync.ledger.notes import read_note, write_note
from emasync.model.run_record import RunRecord

RUNS: Final = "runs.json"
HOOKS: Final = "hooks.json"
VERSION: Final = 1

MOST_RUNS: Final = 10
"""Runs that are remembered: each is some 20 kB."""

MOST_NOTES: Final = 1_000
"""Notes of one hook."""

_log = logging.getLogger("emasync")
T = TypeVar("T", bound=msgspec.Struct)


class _Runs(msgspec.Struct, frozen=True):
    runs: tuple[RunRecord, ...]


class _Hooks(msgspec.Struct, frozen=True):
    hooks: dict[str, HookReport]


def write_run(state_dir: Path, record: RunRecord) -> None:
    """Put a run in front of the earlier ones."""
    write_note_as(state_dir / RUNS, _Runs((record, *known_runs(state_dir))[:MOST_RUNS]))


def known_runs(state_dir: Path) -> tuple[RunRecord, ...]:
    """Runs that are remembered, the newest first; none where the note cannot be read."""
    known = read_note_as(state_dir / RUNS, _Runs)
    return () if known is None else known.runs


def write_hook(state_dir: Path, name: str, report: HookReport) -> None:
    """Keep what a hook said, beside what others said earlier."""
    bounded = HookReport(counts=report.counts, notes=report.notes[:MOST_NOTES])
    write_note_as(state_dir / HOOKS, _Hooks({**known_hooks(state_dir), name: bounded}))


def known_hooks(state_dir: Path) -> Mapping[str, HookReport]:
    """What each hook said when it last ran."""
    known = read_note_as(state_dir / HOOKS, _Hooks)
    return {} if known is None else known.hooks


def write_note_as(path: Path, value: msgspec.Struct) -> None:
    """Replace a note by a value. It is no loss for a run where that fails: a warning is logged."""
    try:
        write_note(path, {"version": VERSION, **msgspec.to_builtins(value)})
    except OSError as error:
        _log.warning("%s could not be written: %s", path, error)


def read_note_as(path: Path, kind: type[T]) -> T | None:
    """The value that a note holds; None where it cannot be read, or holds another one."""
    note = read_note(path)
    if note is None or note.pop("version", None) != VERSION:
        return None
    try:
        return msgspec.convert(note, kind)
    except msgspec.ValidationError:
        return None
