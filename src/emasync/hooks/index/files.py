"""Files that hold arrays: described by their format, as far as their name says that they are of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emasync.errors import EmasyncError, FormatError
from emasync.formats.decoding import layout_of_stored
from emasync.formats.stored import ByteSource, FileDescription, FileFormat, StoredArray
from emasync.hooks.index.found_file import FoundArray
from emasync.hooks.inventory import DataFile
from emasync.registry import FORMATS

HEAD_BYTES: Final = 16 << 10
"""HDF5 begins at a power of two from 512 on where a file of another kind stands before it (user block)."""
MAX_FILE_NOTES: Final = 20
"""Of one file: an NWB file has hundreds of datasets of text."""


def describe(item: DataFile, file: ByteSource) -> tuple[FileDescription | None, list[str]]:
    """What a file holds; None where its bytes are not of the format that its name promises.

    Parameters
    ----------
    item : DataFile
    file : ByteSource

    Returns
    -------
    FileDescription or None
    list of str
        What cannot be read.
    """
    if item.kind not in FORMATS.built_in:
        return None, []
    try:
        found = headers_of(item, file)
    except EmasyncError as error:
        return None, [error.message]
    notes = [f"{file.name}: {note}" for note in found.notes[:MAX_FILE_NOTES]]
    more = len(found.notes) - MAX_FILE_NOTES
    return found, [*notes, f"{file.name}: {more} more arrays cannot be read"] if more > 0 else notes


def headers_of(item: DataFile, file: ByteSource) -> FileDescription:
    """What the headers of a file tell.

    Raises
    ------
    FormatError
        Its bytes are not of the format that its name promises, or contradict it.
    InputError
        A library that is needed is missing.
    EmasyncError
        What kept bytes from coming.
    """
    form: FileFormat = FORMATS.load(item.kind)()
    if not form.recognises(file.read(0, HEAD_BYTES)):
        raise FormatError(f"{file.name}: its first bytes are not those of {item.kind}; passed over", location=file.name)
    return form.describe(file)


def arrays_of(asset: str, path: str, found: FileDescription) -> Iterator[FoundArray]:
    """Arrays of a file; reduced ones are further scales of the array before them where their axes agree.

    Parameters
    ----------
    asset : str
        Of the file.
    path : str
        Relative to the root.
    found : FileDescription
    """
    base: StoredArray | None = None
    scale = 0
    for array in found.arrays:
        reduced = array.role == "reduced" and base is not None and base.axes == array.axes
        base, scale = (base, scale + 1) if reduced else (array, 0)
        if array.whole is None and array.table is None:
            continue  # a note of the format says where it is
        yield FoundArray(
            asset=asset,
            array=base.path if base is not None else array.path,
            path=array.path,
            scale=scale,
            format=found.format,
            shape=array.shape,
            axes=array.axes,
            layout=layout_of_stored(array),
            measures=array.measures,
            role=array.role,
            files=(path,),
            whole=array.whole,
            table=array.table,
        )
