"""What `status` reads during a run: a JSON file, replaced each second, in place of a second reader (law 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from emasync.ledger.interface import Tally
from emasync.ledger.lock import Owner, read_owner
from emasync.ledger.notes import read_note, write_note
from emasync.ledger.placement import POINTER, ROOT_FOLDER, root_of_state
from emasync.model.task import State

FILE_NAME: Final = "snapshot.json"
VERSION: Final = 1


def write_snapshot(
    state_dir: Path, tallies: Sequence[Tally], extra: Mapping[str, Any], *, time_s: float | None = None
) -> None:
    """Replace the snapshot beside the ledger, and that in the root when the ledger lives elsewhere.

    Parameters
    ----------
    state_dir : Path
        Where the ledger lives.
    tallies : sequence of Tally
    extra : mapping
        What else to say (Any: JSON values).
    time_s : float, optional
        Seconds since 1970-01-01 UTC; now by default.

    Raises
    ------
    OSError
        A snapshot cannot be written; the run goes on without it.
    """
    now = datetime.now(UTC) if time_s is None else datetime.fromtimestamp(time_s, UTC)
    fields = {
        **extra,
        "version": VERSION,
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datasets": [_dataset(tally) for tally in tallies],
    }
    write_note(state_dir / FILE_NAME, fields)
    root = root_of_state(state_dir)
    if root is not None:
        write_note(root / ROOT_FOLDER / FILE_NAME, fields)


def _dataset(tally: Tally) -> dict[str, Any]:
    """One dataset (Any: JSON values)."""
    return {
        "dataset": tally.dataset,
        "planned": tally.planned,
        "objects": {state.name.lower(): tally.objects[state] for state in State},
        "bytes": {state.name.lower(): tally.bytes[state] for state in State},
        "verified": {
            "published": tally.published,
            "computed": tally.computed,
            "size_only": tally.size_only,
        },
        "unknown_size": tally.unknown_size,
        "unwanted": tally.unwanted,
    }


def read_snapshot(root: Path) -> dict[str, Any] | None:
    """The newest snapshot of a root (Any: JSON values); None when no run was ever made there.

    Beside the ledger where that can be reached from here, else the one in the root.
    """
    found = [snapshot for folder in _folders(root) if (snapshot := read_note(folder / FILE_NAME)) is not None]
    return max(found, key=lambda snapshot: str(snapshot.get("time", "")), default=None)


def owner_of(root: Path) -> Owner | None:
    """Who holds the run lock of a root; None when nobody does, or the lock cannot be reached from here."""
    return read_owner(_folders(root)[-1])


def _folders(root: Path) -> list[Path]:
    """The root's own folder, then that of a ledger that lives elsewhere, where it can be reached."""
    folders = [root / ROOT_FOLDER]
    pointer = read_note(root / ROOT_FOLDER / POINTER)
    if pointer is not None and isinstance(pointer.get("state_dir"), str):
        elsewhere = Path(pointer["state_dir"])
        if root_of_state(elsewhere) is not None:
            folders.append(elsewhere)
    return folders


@dataclass(slots=True)
class Pace:
    """When a costly, repeated step is due: not before a period, and not for more than a share of the time.

    Attributes
    ----------
    period_s : float
        Least seconds between two starts.
    max_share : float
        Most of the time the step may take, as a fraction.
    """

    period_s: float
    max_share: float = 1.0
    _next_s: float = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether the step may run at this (monotonic) time."""
        return now_s >= self._next_s

    def ran(self, started_s: float, ended_s: float) -> None:
        """Note that the step ran in ``[started_s, ended_s)``."""
        took_s = ended_s - started_s
        self._next_s = max(started_s + self.period_s, ended_s + took_s * (1 / self.max_share - 1))
