"""Counting what is listed against what the depositor promised: a listing may leave files out. No I/O.

One web server of several was seen to omit a file that all of them serve. So the images of each image set are counted
over all listings of a run, and a set that stays short is told by name.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from emasync.model.globs import Selection
from emasync.sources.apache import IndexRow
from emasync.sources.apache_walk import IndexPage
from emasync.sources.empiar_record import ImageSet

SUFFIXES = {
    "MRC": (".mrc", ".map", ".rec", ".st", ".ali"),
    "MRCS": (".mrcs", ".mrc", ".st"),
    "TIFF": (".tif", ".tiff"),
    "DM3": (".dm3",),
    "DM4": (".dm4",),
    "EER": (".eer",),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "SMV": (".img", ".smv"),
    "EM": (".em",),
    "TPX3": (".tpx3",),
}
"""File names by ``data_format`` (``empiar_deposition.schema.json``); formats of several files an image are left out."""

RAW = frozenset(("MRC", "MRCS", "DM3", "DM4"))
"""Formats whose pixels are not compressed: a file is as long as an image of it, at least."""

_PACKED = (".bz2", ".gz", ".xz", ".zip")
_MASK = (1 << 64) - 1


class Verdict(Enum):
    """What the count of a set says."""

    ENOUGH = "enough"
    SHORT = "short"
    """Nearly one file an image, and some are missing."""
    UNLIKE = "unlike"
    """Far fewer files than images: stacks of many, other names, or folders that nobody looked into."""


@dataclass(slots=True)
class Tally:
    """Images of one folder and format (mutable).

    Attributes
    ----------
    directory, data_format : str
    promised : int
        Sum over the image sets that share both.
    example : str
        One path that was counted.
    nested : bool
        Whether some of the files lie in folders further down.
    pruned : bool
        Whether a folder below was not looked into.
    image_bytes : int or None
        Of the smallest image that the entry tells of; None where it does not say.
    largest : IndexRow or None
        The longest file that is not packed, of those with a size.
    """

    directory: str
    data_format: str
    promised: int = 0
    example: str = ""
    nested: bool = False
    pruned: bool = False
    image_bytes: int | None = None
    largest: IndexRow | None = None
    _hashes: array[int] = field(default_factory=lambda: array("Q"))

    def promise(self, item: ImageSet) -> None:
        """Count the images of one more set."""
        known = self.image_bytes if self.promised else item.image_bytes
        self.image_bytes = None if known is None or item.image_bytes is None else min(known, item.image_bytes)
        self.promised += int(item.images or 0)

    def add(self, path: str, row: IndexRow) -> None:
        """Count a file; the same one again changes nothing."""
        self.example = self.example or path
        if row.size is not None and not row.name.lower().endswith(_PACKED):
            held = self.largest.size if self.largest is not None else None
            self.largest = row if held is None or held.most_bytes < row.size.most_bytes else self.largest
        self.nested = self.nested or path.rpartition("/")[0] != self.directory
        self._hashes.append(hash(path) & _MASK)  # 8 bytes a file, not the name

    @property
    def listed(self) -> int:
        """Files that were counted, each once."""
        return len(set(self._hashes))

    @property
    def verdict(self) -> Verdict:
        """What the count says."""
        listed = self.listed
        if listed >= self.promised:
            return Verdict.ENOUGH
        partly = self.pruned and self.nested
        return Verdict.UNLIKE if partly or 2 * listed < self.promised else Verdict.SHORT

    @property
    def misfit(self) -> IndexRow | None:
        """The longest file, where even that has no room for one image of the size that the entry tells."""
        if self.data_format not in RAW or self.image_bytes is None or self.largest is None:
            return None
        return self.largest if self.largest.size and self.largest.size.most_bytes < self.image_bytes else None

    @property
    def settled(self) -> bool:
        """Whether no further listing could tell more: files were seen, and the set is not short."""
        return bool(self.example) and self.verdict is not Verdict.SHORT

    def __str__(self) -> str:
        folder = self.directory or "the entry"
        return f"{folder}: {self.promised} {self.data_format} images are promised, {self.listed} files are listed"


class Census:
    """Counts the files of all image sets, and adds up the sizes that listings show.

    Parameters
    ----------
    image_sets : iterable of ImageSet
    selection : Selection
        Sets of which not all folders are listed for it are not counted: what is left out on purpose is not missing.

    Attributes
    ----------
    least_bytes, most_bytes : int
        Between which all files of the first pass lie together.
    complete : bool
        Whether every folder was looked into.
    """

    def __init__(self, image_sets: Iterable[ImageSet], selection: Selection) -> None:
        self.least_bytes = self.most_bytes = 0
        self.complete = "" in selection.folders
        self._selection = selection
        self._tallies: dict[str, dict[str, Tally]] = {}
        for item in image_sets:
            folder = as_folder(item.directory)
            looked_into = folder.startswith(selection.folders) and selection.reaches(folder)
            if looked_into and item.data_format in SUFFIXES and item.images:
                here = self._tallies.setdefault(item.directory, {})
                here.setdefault(item.data_format, Tally(item.directory, item.data_format)).promise(item)

    def reaches(self, folder: str) -> bool:
        """:meth:`Selection.reaches`, noted where it says no."""
        reached = self._selection.reaches(folder)
        if not reached:
            self.complete = False
            for tally in self._around(folder):
                tally.pruned = True
        return reached

    def narrowed(self) -> Callable[[str], bool]:
        """As :meth:`reaches`, for the folders around and below the sets that another listing may complete."""
        leads = tuple(as_folder(tally.directory) for tally in self.tallies if not tally.settled)

        def reaches(folder: str) -> bool:
            near = any(lead.startswith(folder) or folder.startswith(lead) for lead in leads)
            return near and self._selection.reaches(folder)

        return reaches

    def take(self, page: IndexPage, *, first: bool) -> None:
        """Count the files of one listing; `first`: of the first pass, sizes included."""
        around = self._around(page.folder.path)
        for path, row in page.files:
            name = unpacked(path)
            fitting = next((tally for tally in around if name.endswith(SUFFIXES[tally.data_format])), None)
            if fitting is not None:
                fitting.add(path, row)
            if first and row.size is not None:
                self.least_bytes += row.size.least_bytes
                self.most_bytes += row.size.most_bytes

    def _around(self, folder: str) -> list[Tally]:
        """Sets whose files may lie right in `folder`, the innermost first."""
        above = folder.removesuffix("/").split("/")
        names = ["/".join(above[:depth]) for depth in range(len(above), 0, -1)]
        return [tally for name in dict.fromkeys((*names, "")) for tally in self._tallies.get(name, {}).values()]

    @property
    def tallies(self) -> Iterable[Tally]:
        """All sets that are counted."""
        return (tally for here in self._tallies.values() for tally in here.values())

    def with_verdict(self, verdict: Verdict) -> list[Tally]:
        """Sets whose count says so."""
        return [tally for tally in self.tallies if tally.verdict is verdict]

    @property
    def settled(self) -> bool:
        """Whether all sets are."""
        return all(tally.settled for tally in self.tallies)


def unpacked(path: str) -> str:
    """Lower-case name of an image without the suffix of its compression."""
    name = path.lower()
    return next((name.removesuffix(packing) for packing in _PACKED if name.endswith(packing)), name)


def as_folder(path: str) -> str:
    """`path` with a slash at its end, unless it is empty."""
    return f"{path}/" if path else ""
