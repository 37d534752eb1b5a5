"""Pictures beside the ledger: they are drawn again when the index is made again, and not for every page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from emasync.hooks.report.pictures import ArrayPictures
from emasync.hooks.run_notes import read_note_as, write_note_as
from emasync.model.version import VERSION

FOLDER: Final = "report"
"""In the state folder; a file for each dataset that is shown."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures of a dataset.

    Attributes
    ----------
    generation : str
        Of the index that they were drawn from.
    tool : str
        That drew them.
    arrays : tuple of ArrayPictures
    """

    generation: str
    tool: str = VERSION
    arrays: tuple[ArrayPictures, ...]


def kept_pictures(state_dir: Path, dataset: str, generation: str) -> tuple[ArrayPictures, ...] | None:
    """Pictures drawn from this generation of the index by this version; None where there are none."""
    kept = read_note_as(_path(state_dir, dataset), Kept)
    return kept.arrays if kept is not None and (kept.generation, kept.tool) == (generation, VERSION) else None


def keep_pictures(state_dir: Path, dataset: str, generation: str, arrays: Sequence[ArrayPictures]) -> None:
    """Keep pictures for later pages; it is no loss where that fails."""
    write_note_as(_path(state_dir, dataset), Kept(generation=generation, arrays=tuple(arrays)))


def forget_others(state_dir: Path, datasets: Collection[str]) -> None:
    """Remove pictures of datasets that are not among `datasets`: they left the root."""
    for path in (state_dir / FOLDER).glob("*.json"):
        if path.stem not in datasets:
            path.unlink(missing_ok=True)


def _path(state_dir: Path, dataset: str) -> Path:
    return state_dir / FOLDER / f"{dataset}.json"
