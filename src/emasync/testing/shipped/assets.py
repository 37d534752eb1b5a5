"""Flat buckets of assets and what the Registry of Open Data says of them: the Allen Institute and Institut Pasteur."""

from __future__ import annotations

from pathlib import Path

from emasync.testing import ephys
from emasync.testing.aind import BUCKET, write_asset
from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.folder import FolderStore
from emasync.testing.open_data import bucket_resource, entry_text, registry_objects
from emasync.testing.shipped.truth import Truth, files_below

ASSET = "exaSPIM_708373_2024-04-02_19-49-38"
FUSED = f"{ASSET}_fusion_2024-06-12_11-58-05"
OTHER = "exaSPIM_654308_2023-11-02_14-07-20"
LEVEL = 5
SESSION = "aind-np2/595262_2022-02-21_15-18-07_ProbeA"

PASTEUR = "pasteur-callosal-example"
"""A bucket made up: the true one has no name yet."""

PASTEUR_SLUG = "pasteur-interhemispheric-cortex-connectivity"
BRAIN = "exaspim_MOUSE001_2025-01-15_10-30-00"

_REWRITTEN = ("*/.z*", ".z*")


def flat_buckets(folder: Path) -> ArchiveTwin:
    """The Allen Institute's bucket of assets, and one that Institut Pasteur's draft describes; no session of either.

    Parameters
    ----------
    folder : Path
        Empty; is written to and served from.
    """
    write_asset(folder / BUCKET, ASSET, levels=LEVEL + 1, shape=(64, 64, 64))
    write_asset(folder / BUCKET, FUSED, tiles=1, levels=1, shape=(32, 32, 32))
    write_asset(folder / BUCKET, OTHER, tiles=1, levels=1, shape=(32, 32, 32))
    _write_brain(folder / PASTEUR)
    entry = entry_text([bucket_resource(f"arn:aws:s3:::{PASTEUR}", region="eu-west-3")])
    for path, text in registry_objects({PASTEUR_SLUG: entry}).items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(text)
    return ArchiveTwin(
        store=FolderStore(folder),
        stands_for={f"s3://{BUCKET}": BUCKET, f"s3://{PASTEUR}": PASTEUR, "https://raw.githubusercontent.com": ""},
    )


def truths(folder: Path, benchmark: Path) -> dict[str, Truth]:
    """What the shipped manifests must leave on disk, by dataset.

    Parameters
    ----------
    folder : Path
        Of :func:`flat_buckets`.
    benchmark : Path
        Of :func:`emasync.testing.ephys.benchmark`.
    """
    bucket = files_below(folder / BUCKET)
    sidecars = {path: data for path, data in bucket.items() if _is_sidecar(path)}
    sessions = files_below(benchmark / ephys.BUCKET / ephys.PREFIX)
    return {
        "exaspim-708373": _coarse_tiles(bucket, sidecars),
        "subject-708373": Truth(
            archive="AIND (S3)",
            what="all assets of one subject, sidecars only",
            files={path: data for path, data in sidecars.items() if "_708373_" in path},
            look=f"{FUSED}/metadata.nd.json",
            shows="what is known of the asset, as published",
        ),
        "ephys-benchmark-np2": Truth(
            archive="AIND benchmark (S3)",
            what="one Neuropixels 2.0 recording",
            files={path: data for path, data in sessions.items() if path.startswith(f"{SESSION}/")},
            look=f"{SESSION}/binary.json",
            shows="how the traces beside it are to be read",
        ),
        **_brain_truths(files_below(folder / PASTEUR)),
    }


def _is_sidecar(path: str) -> bool:
    return path.count("/") == 1 and path.endswith(".json")


def _coarse_tiles(bucket: dict[str, bytes], sidecars: dict[str, bytes]) -> Truth:
    level = {
        path: data
        for path, data in bucket.items()
        if path.startswith(f"{ASSET}/SPIM.ome.zarr/") and f".zarr/{LEVEL}/" in path and "/.z" not in path
    }
    return Truth(
        archive="AIND (S3)",
        what="ExA-SPIM 708373, sidecars and a coarse level of all tiles",
        files={**{path: data for path, data in sidecars.items() if path.startswith(f"{ASSET}/")}, **level},
        rewritten=_REWRITTEN,
        look=f"{ASSET}/acquisition.json",
        shows="tiles, their places and voxel sizes",
    )


def _write_brain(bucket: Path) -> None:
    """A brain as the provider describes it: the image is one multiscale image, and no group of tiles."""
    tile = next(iter(write_asset(bucket, BRAIN, tiles=1)))
    (bucket / BRAIN / "exaspim").mkdir()
    (bucket / BRAIN / tile).rename(bucket / BRAIN / "exaspim" / "image.ome.zarr")
    write_asset(bucket, f"{BRAIN}_stitched_2025-01-16_08-00-00", tiles=1, levels=1, shape=(32, 32, 32))


def _brain_truths(bucket: dict[str, bytes]) -> dict[str, Truth]:
    image = f"{BRAIN}/exaspim/image.ome.zarr"
    sidecars = {path: data for path, data in bucket.items() if _is_sidecar(path) and path.startswith(f"{BRAIN}/")}
    level = {path: data for path, data in bucket.items() if path.startswith(f"{image}/2/") and "/.z" not in path}
    archive = "Pasteur (S3, draft)"
    return {
        "pasteur-exaspim-sidecars": Truth(
            archive=archive,
            what="one brain, sidecars",
            files=sidecars,
            look=f"{BRAIN}/acquisition.json",
            shows="voxel sizes, tiles, channels",
        ),
        "pasteur-exaspim": Truth(
            archive=archive,
            what="one brain, a coarse level",
            files=level,
            rewritten=_REWRITTEN,
            look=f"{image}/.zattrs",
            shows="OME-NGFF 0.4 with the one level that is there",
        ),
    }
