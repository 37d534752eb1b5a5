"""Flat buckets of assets and what the Registry of Open Data says of them: the Allen Institute and Institut Pasteur."""

from __future__ import annotations

from pathlib import Path

from emasync.testing import aind, ephys, pasteur
from emasync.testing.aind import RAW
from emasync.testing.shipped.truth import Truth, files_below

LEVEL = 5
SESSION = "aind-np2/595262_2022-02-21_15-18-07_ProbeA"

_REWRITTEN = ("*/.z*", ".z*")


def truths(tiles: Path, brains: Path, benchmark: Path) -> dict[str, Truth]:
    """What the shipped manifests must leave on disk, by dataset.

    Parameters
    ----------
    tiles, brains, benchmark : Path
        Folders of :func:`emasync.testing.aind.exaspim`, :func:`emasync.testing.pasteur.interhemispheric` and
        :func:`emasync.testing.ephys.benchmark`.
    """
    bucket = files_below(tiles / aind.BUCKET)
    sidecars = {path: data for path, data in bucket.items() if _is_sidecar(path)}
    sessions = files_below(benchmark / ephys.BUCKET / ephys.PREFIX)
    return {
        "exaspim-708373": _coarse_tiles(bucket, sidecars),
        "subject-708373": Truth(
            archive="AIND (S3)",
            what="all assets of one subject, sidecars only",
            files={path: data for path, data in sidecars.items() if "_708373_" in path},
            look=f"{aind.FUSED}/metadata.nd.json",
            shows="what is known of the asset, as published",
        ),
        "ephys-benchmark-np2": Truth(
            archive="AIND benchmark (S3)",
            what="one Neuropixels 2.0 recording",
            files={path: data for path, data in sessions.items() if path.startswith(f"{SESSION}/")},
            look=f"{SESSION}/binary.json",
            shows="how the traces beside it are to be read",
        ),
        **_brain_truths(files_below(brains / pasteur.BUCKET)),
    }


def _is_sidecar(path: str) -> bool:
    return path.count("/") == 1 and path.endswith(".json")


def _coarse_tiles(bucket: dict[str, bytes], sidecars: dict[str, bytes]) -> Truth:
    level = {
        path: data
        for path, data in bucket.items()
        if path.startswith(f"{RAW}/SPIM.ome.zarr/") and f".zarr/{LEVEL}/" in path and "/.z" not in path
    }
    return Truth(
        archive="AIND (S3)",
        what="ExA-SPIM 708373, sidecars and a coarse level of all tiles",
        files={**{path: data for path, data in sidecars.items() if path.startswith(f"{RAW}/")}, **level},
        rewritten=_REWRITTEN,
        look=f"{RAW}/acquisition.json",
        shows="tiles, their places and voxel sizes",
    )


def _brain_truths(bucket: dict[str, bytes]) -> dict[str, Truth]:
    image = f"{pasteur.RAW}/{pasteur.IMAGES[pasteur.RAW]}"
    sidecars = {path: data for path, data in bucket.items() if _is_sidecar(path) and path.startswith(f"{pasteur.RAW}/")}
    level = {path: data for path, data in bucket.items() if path.startswith(f"{image}/2/") and "/.z" not in path}
    archive = "Pasteur (S3, draft)"
    return {
        "pasteur-exaspim-sidecars": Truth(
            archive=archive,
            what="one brain, sidecars",
            files=sidecars,
            look=f"{pasteur.RAW}/acquisition.json",
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
