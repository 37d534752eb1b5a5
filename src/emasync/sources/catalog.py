"""Known datasets: the manifests that ship with the package, each with a one-line summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PACKAGED = Path(__file__).resolve().parents[1] / "manifests"
_CHECKOUT = Path(__file__).resolve().parents[3] / "manifests"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A manifest that is ready to run.

    Attributes
    ----------
    name : str
        File name without suffix.
    summary : str
        Its first comment line.
    text : str
        The YAML, comments included.
    """

    name: str
    summary: str
    text: str


def catalog_entries() -> tuple[CatalogEntry, ...]:
    """All shipped manifests, by name."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    return tuple(_entry(path) for path in sorted(folder.glob("*.yaml")))


def _entry(path: Path) -> CatalogEntry:
    text = path.read_text(encoding="utf-8")
    comments = (line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#"))
    return CatalogEntry(path.stem, next((line for line in comments if line), ""), text)
