"""What a manifest entry chooses among the arrays of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emasync.manifest.crop import BoxCrop, DrawnCrop, SameAsCrop
from emasync.model.globs import Selection


@dataclass(frozen=True, slots=True)
class Wanted:
    """Globs over paths below the dataset, asked with paths below one of its trees.

    Attributes
    ----------
    selection : Selection
    lead : str
        Folder of the tree below the dataset, with a slash at its end; empty for the dataset itself.
    """

    selection: Selection
    lead: str = ""

    def __call__(self, path: str) -> bool:
        """Whether the path below the tree is wanted."""
        return self.selection.wants(self.lead + path)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of the tree that hold all that can be wanted, without slash at their end; none may be."""
        if any(self.lead.startswith(folder) for folder in self.selection.folders):
            return ("",)
        inside = (folder for folder in self.selection.folders if folder.startswith(self.lead))
        return tuple(folder[len(self.lead) :].removesuffix("/") for folder in inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The narrowing part of a manifest entry.

    Attributes
    ----------
    dataset, digest : str
        Of the entry.
    arrays : tuple of str
        Groups or arrays below the tree's base; empty: all.
    scales : tuple of int
        Levels; empty: all.
    crop : BoxCrop, DrawnCrop, SameAsCrop or None
    select : mapping of str to int
        Index on axes that are not spatial.
    standalone : bool
        Whether metadata is rewritten to describe what is there.
    wants : Wanted
        Globs over paths.
    lender_digest : str
        Of the dataset whose box is taken over; empty where none is.
    """

    dataset: str
    digest: str
    arrays: tuple[str, ...] = ()
    scales: tuple[int, ...] = ()
    crop: BoxCrop | DrawnCrop | SameAsCrop | None = None
    select: Mapping[str, int] = field(default_factory=dict)
    standalone: bool = True
    wants: Wanted = field(default_factory=lambda: Wanted(Selection()))
    lender_digest: str = ""

    @classmethod
    def of(cls, entry: Any, folder: str = "") -> Choice:
        """Read it off an entry, for its tree in `folder`.

        Any: each source has an entry model of its own; these fields are in all of them.
        """
        subset: Literal["standalone", "mirror"] = entry.subset
        return cls(
            dataset=entry.id,
            digest=entry.digest,
            arrays=entry.arrays,
            scales=entry.scales,
            crop=entry.crop,
            select=entry.select,
            standalone=subset == "standalone",
            wants=Wanted(entry.selection, f"{folder}/" if folder else ""),
            lender_digest=entry.lender_digest,
        )

    @property
    def must_hold_data(self) -> bool:
        """Whether the box is drawn again until chunks in it hold data."""
        return isinstance(self.crop, DrawnCrop) and self.crop.min_nonzero is not None

    @property
    def chooses(self) -> bool:
        """Whether anything narrows the arrays."""
        return bool(self.arrays or self.narrows)

    @property
    def narrows(self) -> bool:
        """Whether levels or a box are chosen: only then can metadata promise more than is there."""
        return bool(self.scales or self.select) or self.crop is not None
