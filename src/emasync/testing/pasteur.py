"""Institut Pasteur's brains as their provider describes them: one multiscale image an asset, fused ones too.

The bucket has no name yet, and the Registry of Open Data no entry: both are made up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emasync.testing.aind import write_tile
from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.folder import FolderStore
from emasync.testing.open_data import bucket_resource, entry_text, write_registry
from emasync.testing.volumes import Shape, Volume

BUCKET = "pasteur-callosal-example"
SLUG = "pasteur-interhemispheric-cortex-connectivity"
RAW = "exaspim_MOUSE001_2025-01-15_10-30-00"
STITCHED = f"{RAW}_stitched_2025-01-16_08-00-00"
IMAGES = {RAW: "exaspim/image.ome.zarr", STITCHED: "stitched/fused.ome.zarr"}
"""Image by asset."""

LEVELS = 3


def interhemispheric(folder: Path, *, shape: Shape = (40, 72, 80), registered: bool = True) -> ArchiveTwin:
    """One brain, raw and stitched.

    Parameters
    ----------
    folder : Path
        Empty; is written to and served from.
    shape : tuple of int
        Voxels of both images, z y x.
    registered : bool
        Whether the registry knows it already.
    """
    truth: dict[str, Volume] = {}
    for seed, (asset, image) in enumerate(IMAGES.items()):
        place = folder / BUCKET / asset
        levels = write_tile(place / image, levels=LEVELS, stored="zarr2", shape=shape, seed=seed)
        truth |= {f"{BUCKET}/{asset}/{image}/{number}": level for number, level in enumerate(levels)}
        for name, document in _sidecars(asset).items():
            (place / f"{name}.json").write_text(json.dumps(document, indent=2))
    if registered:
        arn = f"arn:aws:s3:::{BUCKET}"
        write_registry(folder, {SLUG: entry_text([bucket_resource(arn, region="eu-west-3")])})
    return ArchiveTwin(
        store=FolderStore(folder),
        stands_for={"https://raw.githubusercontent.com": "", f"s3://{BUCKET}": BUCKET},
        truth=truth,
    )


def _sidecars(asset: str) -> dict[str, Any]:
    """No instrument and no aggregate; two voxel sizes, of which the image's scale is one (Any: JSON)."""
    subject = asset.split("_")[1]
    level = "derived" if asset == STITCHED else "raw"
    sizes = {"before_expansion_correction": [0.748, 0.748, 1.0], "after_expansion_correction": [0.249, 0.249, 0.333]}
    return {
        "data_description": {"name": asset, "data_level": level, "modality": "ExA-SPIM", "license": "CC-BY-4.0"},
        "subject": {"subject_id": subject, "species": "Mus musculus", "sex": "Female"},
        "procedures": {"subject_id": subject, "injections": [{"ap": 1.2, "ml": -0.8, "dv": 0.5}]},
        "acquisition": {"microscope": "ExA-SPIM", "voxel_size_um": sizes, "channels": [488]},
        "processing": {"steps": [], "input": [RAW] if asset == STITCHED else []},
    }
