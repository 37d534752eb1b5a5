"""Names of assets of the Allen Institute for Neural Dynamics, and their folders in its bucket."""

from __future__ import annotations

from emasync.manifest.kinds import built_in_model
from emasync.model.location import Location
from emasync.sources.aind_names import AssetName
from emasync.sources.links.interface import Draft, Reading
from emasync.sources.links.places import bucket_place


class AindLinks:
    """Reads names of assets; what lies inside of one is a bucket's matter."""

    forms = ("exaSPIM_708373_2024-04-02_19-49-38", "s3://aind-open-data/795133_2026-02-10_11-06-18/")

    def read(self, text: str) -> Reading | None:
        """One asset."""
        name = text if "/" not in text else _top_folder(text)
        if name is None or AssetName.parse(name) is None:
            return None
        return Reading(drafts=(Draft(name=name, entry={"source": "aind", "assets": [name]}),))


def _top_folder(text: str) -> str | None:
    """Folder of the flat bucket that a URL names; None for anything else."""
    place = bucket_place(text)
    bucket = Location("s3", built_in_model("aind").model_fields["bucket"].default, "")
    if place is None or place.location.origin != bucket.origin:
        return None
    name = place.location.path.removesuffix("/")
    return name if "/" not in name else None
