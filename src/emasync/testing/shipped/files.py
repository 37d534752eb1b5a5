"""Archives of plain files: what the shipped manifests must leave of EPFL, EMPIAR, IDR and DANDI."""

from __future__ import annotations

import hashlib
from pathlib import Path

from emasync.testing import empiar, epfl, idr
from emasync.testing.objects import ObjectStore
from emasync.testing.shipped.truth import Truth, content, content_below, files_below

VOLUME = f"{epfl.FOLDER}/volumedata.tif"
"""EPFL's large file in a twin's store."""

MOUSE = "sub-491604983"
"""Of DANDI 000728."""


def epfl_truth(store: ObjectStore) -> Truth:
    """What ``epfl.yaml`` must leave."""
    return Truth(
        archive="EPFL CVLAB",
        what="hippocampus, one multipage TIFF",
        files={"volumedata.tif": content(store, VOLUME)},
        look="volumedata.tif",
        shows="a stack, for any reader of TIFF",
    )


def epfl_facts(store: ObjectStore) -> dict[str, str]:
    """What ``epfl.yaml`` says of the true volume, and what holds for the twin's: size and MD5."""
    volume = content(store, VOLUME)
    md5 = hashlib.md5(volume, usedforsecurity=False).hexdigest()
    return {"3353674357": str(len(volume)), "14fc2fb6a5061ea4ea9b69a090c327c9": md5}


def empiar_truth(store: ObjectStore) -> Truth:
    """What ``empiar-11759.yaml`` must leave: the slices, and nothing else of the entry."""
    entry = content_below(store, empiar.DATA_HOST, "empiar/world_availability/11759/")
    slices = {path: data for path, data in entry.items() if path.endswith(".dm3")}
    return Truth(
        archive="EMPIAR",
        what="11759, larval zebrafish retina, 16 slices",
        files=slices,
        look=min(slices),
        shows="the first slice, DM3",
    )


def idr_truth(store: ObjectStore) -> Truth:
    """What ``idr-9846137.yaml`` must leave: one of the two originals, below its path on the public tree."""
    path = idr.PAIR[9846137]
    return Truth(
        archive="IDR",
        what="image 9846137, chromatin of a U2OS cell",
        files={path: content(store, f"{idr.DATA_HOST}/{idr.TREE}/{path}")},
        look=path,
        shows="the original, an ImageJ stack",
    )


def dandi_truth(made: Path) -> Truth:
    """What ``dandi-000728.yaml`` must leave.

    Parameters
    ----------
    made : Path
        Where the dandiset's files were made.
    """
    sessions = files_below(made, f"{MOUSE}/")
    return Truth(
        archive="DANDI",
        what="000728, one mouse",
        files=sessions,
        look=min(sessions),
        shows="a session, NWB",
    )
