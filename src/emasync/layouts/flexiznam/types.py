"""Words of flexiznam's configuration for what sources call otherwise (v0.4, ``config/default_config.py``)."""

from __future__ import annotations

from typing import Final

UNSPECIFIED: Final = "unspecified"
METADATA: Final = "metadata"
MICROSCOPY: Final = "microscopy"
EPHYS: Final = "ephys"

_EPHYS: Final = ("ecephys", "icephys", "ephys")
_BEHAVIOUR: Final = ("behavior", "behaviour")


def recording_type(protocol: str) -> str:
    """One of flexiznam's types of recordings; ``unspecified`` where no word of theirs is surely right."""
    if protocol.startswith(_EPHYS):
        return EPHYS
    if protocol.startswith(_BEHAVIOUR):
        return "behaviour"
    return "intrinsic" if protocol == "isi" else UNSPECIFIED


def dataset_type(name: str, *, ex_vivo: bool, recorded: str = "") -> str:
    """One of flexiznam's types of datasets, or the source's own word where they have none for it.

    A type that a site's configuration does not list passes as long as ``enforce_dataset_types`` is off there.

    Parameters
    ----------
    name : str
        Of the file or folder.
    ex_vivo : bool
        Whether it hangs on a sample.
    recorded : str
        Type of the recording it hangs on.
    """
    folded = name.casefold()
    if folded in ("sidecars", "original_metadata"):
        return METADATA
    if folded.startswith(_EPHYS) or folded.endswith((".nwb", ".nwb.zarr")):
        return EPHYS
    if folded.startswith(("behavior-videos", "behavior_videos")):
        return "camera"
    if ex_vivo or folded.endswith((".zarr", ".n5", ".tif", ".tiff", ".czi")):
        return MICROSCOPY
    return EPHYS if recorded == EPHYS and folded.startswith("sort") else name.partition("_")[0].casefold()
