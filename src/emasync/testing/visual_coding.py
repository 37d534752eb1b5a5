"""Dandiset 000728 in little: sessions of two mice as NWB in HDF5 and in Zarr, behind a twin of the archive."""

from __future__ import annotations

from pathlib import Path

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.dandi import DandiTwin
from emasync.testing.memory import MemoryStore
from emasync.testing.nwb import write_nwb
from emasync.testing.nwb_session import Session
from emasync.testing.nwb_zarr import write_nwb_zarr
from emasync.testing.volumes import Volume

DANDISET = "000728"
PUBLISHED = "0.240827.1809"

SESSIONS = {
    "sub-491604983/sub-491604983_ses-501560436-StimC_behavior+image+ophys.nwb": Session(identifier="501560436"),
    "sub-491604983/sub-491604983_ses-495607822-StimA_behavior+image+ophys.nwb": Session(
        identifier="495607822", start="2016-01-07T13:44:20.5+00:00", age="P170DT12212S", seed=1
    ),
    "sub-496908818/sub-496908818_ses-498726985_image.nwb": Session(identifier="498726985", subject=None, seed=2),
}
"""By path in the dandiset; one has no subject."""

ZARR = "sub-491604983/sub-491604983_ses-501560436-StimC_ecephys.nwb.zarr"


def dandiset(folder: Path, *, hdf5: bool = True) -> ArchiveTwin:
    """Draft and one published version, with an NWB file for each session and one session in Zarr.

    Parameters
    ----------
    folder : Path
        Files are made here before the twin takes them over.
    hdf5 : bool
        With the files in HDF5; they need h5py.
    """
    twin = DandiTwin(MemoryStore(buckets=("dandiarchive",)))
    twin.version(DANDISET)
    truth: dict[str, Volume] = {}
    for path, session in SESSIONS.items() if hdf5 else ():
        values = write_nwb(folder / path, session)
        twin.add_blob(DANDISET, path, (folder / path).read_bytes())
        truth |= {f"{path}/{inner}": value for inner, value in values.items()}
    values = write_nwb_zarr(folder / ZARR)
    files = (place for place in sorted((folder / ZARR).rglob("*")) if place.is_file())
    twin.add_zarr(DANDISET, ZARR, {str(place.relative_to(folder / ZARR)): place.read_bytes() for place in files})
    twin.publish(DANDISET, PUBLISHED)
    return ArchiveTwin(
        store=twin.store,
        stands_for={"https://api.dandiarchive.org": "", f"s3://{twin.bucket}": twin.bucket},
        apps=(twin,),
        truth=truth | {f"{ZARR}/{inner}": value for inner, value in values.items()},
    )
