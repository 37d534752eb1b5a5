"""Notes beside the ledger that outlive a run: what recent runs did, and what hooks passed over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

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
T = TypeVar("T")


def write_run(state_dir: Path, record: RunRecord) -> None:
    """Put a run in front of the earlier ones.

    It is no loss for the run where that fails: a warning is logged.
    """
    runs = (record, *known_runs(state_dir))[:MOST_RUNS]
    _write(state_dir / RUNS, {"runs": msgspec.to_builtins(runs)})


def known_runs(state_dir: Path) -> tuple[RunRecord, ...]:
    """Runs that are remembered, the newest first; none where the note cannot be read."""
    return _read(state_dir / RUNS, "runs", tuple[RunRecord, ...]) or ()


def write_hook(state_dir: Path, name: str, report: HookReport) -> None:
    """Keep what a hook said, beside what others said earlier."""
    bounded = HookReport(counts=report.counts, notes=report.notes[:MOST_NOTES])
    _write(state_dir / HOOKS, {"hooks": msgspec.to_builtins({**known_hooks(state_dir), name: bounded})})


def known_hooks(state_dir: Path) -> Mapping[str, HookReport]:
    """What each hook said when it last ran."""
    return _read(state_dir / HOOKS, "hooks", dict[str, HookReport]) or {}


def _write(path: Path, fields: Mapping[str, Any]) -> None:
    """Any: JSON values."""
    try:
        write_note(path, {"version": VERSION, **fields})
    except OSError as error:
        _log.warning("%s could not be written: %s", path, error)


def _read(path: Path, name: str, kind: type[T]) -> T | None:
    note = read_note(path)
    if note is None or note.get("version") != VERSION:
        return None
    try:
        return msgspec.convert(note.get(name), kind)
    except msgspec.ValidationError:
        return None
