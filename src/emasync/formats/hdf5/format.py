"""Arrays of HDF5 and NWB files: every dataset of numbers, and where its bytes lie.

What is guaranteed, on hostile files too: only this file is read, by places that are checked; no other file is opened,
no filter is run, no plug-in is loaded; links, depth, chunk grids and notes are bounded; and the C library below h5py
runs in a process of its own with bounds on memory and processor time, for damage may make it crash, or compute without
end: either is a :class:`~emasync.errors.FormatError` here. The price is the start of a process, about 0.25 s of
processor time a file.

Physical sizes of voxels (``grid_spacing`` of NWB imaging planes, scales of netCDF dimensions) are metadata of the
session rather than of the dataset, and are left to the extraction of metadata: `measures` are None.
"""

from __future__ import annotations

from emasync.formats.hdf5.apart import limits_for, run_apart
from emasync.formats.hdf5.opening import looks_like_hdf5
from emasync.formats.stored import ByteSource, FileDescription


class Hdf5Format:
    """HDF5 1.0 to 2.0, and NWB files of both versions in it."""

    def recognises(self, head: bytes) -> bool:
        """See :class:`~emasync.formats.stored.FileFormat`."""
        return looks_like_hdf5(head)

    def describe(self, source: ByteSource) -> FileDescription:
        """See :class:`~emasync.formats.stored.FileFormat`; the format is ``nwb`` where the file says so.

        Raises
        ------
        FormatError
            As there; also where reading took too much memory or time, or crashed.
        InputError
            h5py is missing or too old.
        """
        return run_apart(source, limits_for(source.size_bytes))
