"""Neuroglancer precomputed volumes: what ``info`` says beside sizes."""

from __future__ import annotations

from typing import Final

from emasync.errors import EmasyncError
from emasync.formats.interface import LevelDescription, MultiscaleDescription
from emasync.formats.paths import join
from emasync.formats.precomputed.info import INFO, Scale, parse_info
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.storage import lossy

_SEGMENTATION: Final = "segmentation"


def volume_claims(image: MultiscaleDescription, claims: Claims) -> None:
    """Kind of the volume (Neuroglancer, "Precomputed volume format", section "info JSON file specification").

    Parameters
    ----------
    image : MultiscaleDescription
    claims : Claims
        Grows.
    """
    key = join(image.path, INFO)
    try:
        volume = parse_info(key, image.documents.get(key, b"{}"), image.path)
    except EmasyncError:
        return
    claims.claim("is_label", volume.kind == _SEGMENTATION, "type")
    claims.claim("metadata_convention", "Neuroglancer precomputed", "@type")


def encoding_claims(image: MultiscaleDescription, level: LevelDescription, claims: Claims) -> None:
    """How the chunks of a level are encoded; JPEG changes values."""
    key = join(image.path, INFO)
    try:
        volume = parse_info(key, image.documents.get(key, b"{}"), image.path)
    except EmasyncError:
        return
    scale = next((scale for scale in volume.scales if scale.path == level.array.path), None)
    if scale is None:
        return
    codecs = _codecs(scale)
    claims.claim("codec_chain", ", ".join(codecs), "scales[].encoding")
    claims.claim("lossy", lossy(codecs), "scales[].encoding")


def _codecs(scale: Scale) -> tuple[str, ...]:
    """A shard's data may be packed once more around the image codec."""
    packed = "" if scale.sharding is None else scale.sharding.data_packing
    return (scale.encoding, *(() if packed in ("", "raw") else (f"shard {packed}",)))
