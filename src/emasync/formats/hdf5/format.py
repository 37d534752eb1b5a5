"""Arrays of HDF5 and NWB files: every dataset of numbers, and where its bytes lie.

What is guaranteed on hostile files: only this file is read, by places that are checked; no other file is opened, no
filter is run, no plug-in is loaded; what h5py raises becomes a :class:`~emasync.errors.FormatError`; reads, links,
depth, chunk grids and notes are bounded. What is not: the C library below h5py runs in this process, and a file that
makes it crash or compute without end takes the process along; nobody can turn that into an exception from inside.

Physical sizes of voxels (``grid_spacing`` of NWB imaging planes, scales of netCDF dimensions) are metadata of the
session rather than of the dataset, and are left to the extraction of metadata: `measures` are None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emasync.formats.hdf5.dataset import NotAnArrayError, array_of
from emasync.formats.hdf5.opening import DAMAGE, damaged, left_open, looks_like_hdf5, opened
from emasync.formats.hdf5.tree import Leaf, TreeWalk
from emasync.formats.stored import ByteSource, FileDescription, StoredArray
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    import h5py

MAX_NOTES: Final = 1_000
"""Notes by name; the others are counted."""


class Hdf5Format:
    """HDF5 1.0 to 2.0, and NWB files of both versions in it."""

    def recognises(self, head: bytes) -> bool:
        """See :class:`~emasync.formats.stored.FileFormat`."""
        return looks_like_hdf5(head)

    def describe(self, source: ByteSource) -> FileDescription:
        """See :class:`~emasync.formats.stored.FileFormat`; the format is ``nwb`` where the file says so."""
        with opened(source) as file:
            contents = _Contents(source)
            if left_open(source, file.userblock_size):
                contents.note("", "a writer left it open: what it holds may be incomplete")
            walk = TreeWalk(file, source.name)
            try:
                for leaf in walk.leaves():
                    contents.add(leaf)
            except DAMAGE as error:
                raise damaged(source.name, repr(walk.where), error) from error
            return contents.described("nwb" if _is_nwb(file) else "hdf5")


class _Contents:
    """Collects arrays and notes."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._arrays: list[StoredArray] = []
        self._notes: list[str] = []
        self._more = 0

    def add(self, leaf: Leaf) -> None:
        if leaf.dataset is None:
            self.note(leaf.path, leaf.refused)
            return
        try:
            array, note = array_of(leaf.path, leaf.dataset, self._source)
        except NotAnArrayError as why:
            self.note(leaf.path, str(why))
            return
        self._arrays.append(array)
        if note:
            self.note(leaf.path, note)

    def note(self, path: str, what: str) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes.append(escape_for_log(f"{path}: {what}" if path else what))
        else:
            self._more += 1

    def described(self, kind: str) -> FileDescription:
        more = (f"and {self._more} more notes",) if self._more else ()
        return FileDescription(format=kind, arrays=tuple(self._arrays), notes=(*self._notes, *more))


def _is_nwb(file: h5py.File) -> bool:
    """NWB 2 has its version in an attribute, NWB 1 in a dataset; namespaces are not needed to know places."""
    return "nwb_version" in file.attrs or "nwb_version" in file
