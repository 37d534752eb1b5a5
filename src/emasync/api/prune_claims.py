"""Which manifest wants which dataset of a root that several manifests may share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emasync.api.options import load
from emasync.errors import InputError
from emasync.ledger.notes import read_note, write_note
from emasync.manifest.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Datasets of a root that a manifest does not name.

    Attributes
    ----------
    note : Path
        Records which manifest each dataset came from.
    go : tuple of str
        Wanted no more.
    kept : mapping of str to str
        The others: why they stay.
    """

    note: Path
    go: tuple[str, ...]
    kept: Mapping[str, str]

    def forget(self, datasets: Collection[str]) -> None:
        """Drop datasets from the record."""
        known = read_note(self.note)
        if known is not None and datasets:
            write_note(self.note, {name: place for name, place in known.items() if name not in datasets})


def read_claims(note: Path, manifest: Manifest, unnamed: Iterable[str], drop: Collection[str]) -> Claims:
    """Decide about the datasets that `manifest` does not name.

    One goes if it is in `drop`, or came from this very manifest file while no other manifest that the root is used
    with names it. A manifest of which that cannot be told keeps it.

    Parameters
    ----------
    note : Path
        As :func:`emasync.api.manifests.remember` writes it.
    manifest : Manifest
    unnamed : iterable of str
        Ids in the root.
    drop : collection of str
    """
    files = _files(read_note(note) or {})
    own = Path(manifest.file).resolve()
    others = {path: _named_in(path) for path in sorted(set(files.values()) - {own})}
    kept, go = {}, []
    for name in unnamed:
        why = None if name in drop else _claim(name, files.get(name), own, others)
        if why is None:
            go.append(name)
        else:
            kept[name] = why
    return Claims(note=note, go=tuple(go), kept=kept)


def _files(known: Mapping[str, Any]) -> dict[str, Path]:
    """Manifest file by dataset (Any: JSON from a file that anybody may have changed)."""
    places = {name: place.get("file") for name, place in known.items() if isinstance(place, dict)}
    return {name: Path(file).resolve() for name, file in places.items() if isinstance(file, str)}


def _named_in(path: Path) -> Sequence[str] | None:
    """Ids that a manifest names; None where it cannot be read."""
    try:
        return [entry.id for entry in load(path).datasets]
    except InputError:
        return None


def _claim(name: str, file: Path | None, own: Path, others: Mapping[Path, Sequence[str] | None]) -> str | None:
    """Why a dataset stays; None if it may go."""
    if file is None:
        return "it is not known which manifest it came from"
    if file != own:
        return f"it came from {file}"
    for path, named in others.items():
        if named is None:
            return f"{path}, which this root was used with too, cannot be read: it may name it"
        if name in named:
            return f"{path} names it too"
    return None
