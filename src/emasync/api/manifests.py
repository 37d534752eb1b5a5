"""Which manifest each dataset of a root came from: what mends a root has to ask the same places the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emasync.api.options import load
from emasync.errors import InputError
from emasync.ledger.notes import read_note, write_note
from emasync.manifest.manifest import Manifest

MANIFESTS: Final = "manifests.json"
"""In the state folder."""


def remember(state_dir: Path, manifest: Manifest) -> None:
    """Write down where `manifest` lies, if it is a file."""
    path = Path(manifest.file)
    if not path.is_file():
        return
    known = read_note(state_dir / MANIFESTS) or {}
    place = {"file": str(path.absolute()), "digest": manifest.digest}
    known |= {entry.id: place for entry in manifest.datasets}
    write_note(state_dir / MANIFESTS, known)


def manifests_of(state_dir: Path) -> dict[str, Path]:
    """Files of the manifests of all datasets; those that are gone or have changed are left out."""
    known = read_note(state_dir / MANIFESTS) or {}
    places = {name: (Path(place["file"]), place["digest"]) for name, place in known.items()}
    same = {place: _is_the_same(*place) for place in set(places.values())}
    return {name: place[0] for name, place in places.items() if same[place]}


def _is_the_same(path: Path, digest: str) -> bool:
    try:
        return load(path).digest == digest
    except InputError:
        return False
