"""Pages and names of datasets of OpenOrganelle."""

from __future__ import annotations

import re

from emasync.sources.links.interface import Draft, Reading

BUCKET = "janelia-cosem-datasets"
"""``awslabs/open-data-registry: datasets/janelia-cosem.yaml``; in us-east-1."""

_PAGE = re.compile(
    r"https?://(?:www\.)?openorganelle(?:\.janelia)?\.org/datasets/(?P<name>[a-z]+_[A-Za-z0-9_-]+)(?:[/?#].*)?"
)
_NAME = re.compile(r"(?P<name>jrc_[a-z0-9]+(?:-[A-Za-z0-9-]+)?)")


class OpenOrganelleLinks:
    """Reads pages of datasets, and their names alone."""

    forms = ("https://openorganelle.janelia.org/datasets/jrc_mus-nacc-2", "jrc_mus-nacc-2")

    def read(self, text: str) -> Reading | None:
        """The Zarr container of a dataset (``janelia-cellmap/cellmap-schemas``, "S3 overview": its layout)."""
        match = _PAGE.fullmatch(text) or _NAME.fullmatch(text)
        if match is None:
            return None
        name = match["name"]
        entry = {"source": "bucket", "url": f"s3://{BUCKET}/{name}/{name}.zarr", "region": "us-east-1"}
        comments = (
            "images lie in recon-N/em/..., labels in recon-N/labels/...; all of it may be terabytes: choose arrays",
            f"some older datasets are there as N5 only: s3://{BUCKET}/{name}/{name}.n5",
        )
        return Reading(drafts=(Draft(name=name, entry=entry, comments=comments),))
