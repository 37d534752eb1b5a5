"""Which assets a manifest entry wants. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from emasync.manifest.archives import DandiEntry
from emasync.model.globs import Selection
from emasync.sources.dandi_assets import Asset

ZARR_SUFFIXES = (".zarr", ".ngff")
"""End the names of Zarr assets (``ZARR_EXTENSIONS`` of ``dandi/consts.py``)."""

MOST_FOLDERS = 8
"""Folders that are listed one by one; for more of them all of a dandiset is listed once."""


@dataclass(frozen=True)
class Picker:
    """Globs over paths, asked for assets.

    A Zarr asset is wanted when a glob matches its own path, or begins with a glob that does
    (``**/*.ome.zarr/0/**``); ``**`` alone does not lead into one: ``**/*.json`` opens no Zarr.

    Parameters
    ----------
    entry : DandiEntry
    """

    entry: DandiEntry
    _inside: Selection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        heads = tuple(sorted({head for glob in self.entry.include for head in _heads(glob)}))
        object.__setattr__(self, "_inside", Selection(heads, self.entry.exclude))

    def wants(self, asset: Asset) -> bool:
        """Whether the asset, or something inside of it, may be wanted."""
        if self.entry.selection.wants(asset.path):
            return True
        return asset.zarr and bool(self._inside.include) and self._inside.wants(asset.path)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of the dandiset that hold all that can be wanted, each with a slash at its end, or ``("",)``.

        None lies inside of a Zarr asset, which the archive knows as one path.
        """
        found = sorted({_outside_zarr(folder) for folder in self.entry.selection.folders})
        kept: list[str] = []
        for folder in found:
            if not kept or not folder.startswith(kept[-1]):
                kept.append(folder)
        return tuple(kept) if len(kept) <= MOST_FOLDERS else ("",)


def _heads(glob: str) -> Iterator[str]:
    """Beginnings of a glob that end with a name."""
    segments = glob.split("/")
    for count in range(1, len(segments)):
        if segments[count - 1] != "**":
            yield "/".join(segments[:count])


def _outside_zarr(folder: str) -> str:
    segments = folder.split("/")
    for count, segment in enumerate(segments):
        if segment.endswith(ZARR_SUFFIXES):
            return "".join(f"{name}/" for name in segments[:count])
    return folder
