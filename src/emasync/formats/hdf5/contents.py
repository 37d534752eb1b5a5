"""What is in a file: its arrays, and notes on what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emasync.formats.hdf5.dataset import NotAnArrayError, array_of
from emasync.formats.hdf5.opening import DAMAGE, damaged, left_open, opened
from emasync.formats.hdf5.tree import Leaf, TreeWalk
from emasync.formats.stored import ByteSource, FileDescription, StoredArray
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    import h5py

MAX_NOTES: Final = 1_000
"""Notes by name; the others are counted."""


def contents_of(source: ByteSource) -> FileDescription:
    """The arrays of a file; the format is ``nwb`` where the file says so.

    Runs the C library in this process: on damaged files it may crash, or never return.

    Raises
    ------
    FormatError
        The file contradicts the format.
    InputError
        h5py is missing or too old.
    """
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
