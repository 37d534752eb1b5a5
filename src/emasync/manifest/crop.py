"""Boxes to cut out, in voxels of one level, order z, y, x, source coordinates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Tag, field_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.manifest.fields import Count, Integer, Positive, Share, Text, reject
from emasync.manifest.record import Record

AXES = 3


def _three(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise reject("expected three whole numbers, in order z, y, x")
    if len(value) != AXES:
        raise reject("expected three whole numbers, in order z, y, x", f"; got {len(value)}")
    return value


Start = Annotated[tuple[Integer, Integer, Integer], BeforeValidator(_three)]
Shape = Annotated[tuple[Positive, Positive, Positive], BeforeValidator(_three)]


class Bounds(Record):
    """A box: voxels ``start`` to ``start + shape``, the end excluded."""

    start: Start
    """First voxel, z, y, x; may be negative where the source counts so (precomputed ``voxel_offset``)."""
    shape: Shape
    """Extent in voxels, z, y, x; each at least 1."""


class BoxCrop(Bounds):
    """A box that is named."""

    scale: Count = 0
    """Level that the voxels are counted in."""


class DrawnCrop(Record):
    """A box that is found at plan time: drawn at random, or the middle. The lock file records it."""

    at: Literal["random", "center"]
    """``random`` (numpy PCG64, seeded by ``seed``) or ``center``."""
    scale: Count = 0
    """Level that the voxels are counted in."""
    within: Bounds | None = None
    """Draw inside this box only."""
    shape: Shape
    """Extent in voxels, z, y, x; each at least 1."""
    seed: Count | None = None
    """Seed of the draw; 0 when left out."""
    min_nonzero: Share | None = None
    """Share of sampled chunks that must hold data; drawn again, with a bound, until they do."""

    @field_validator("shape")
    @classmethod
    def _fits_within(cls, shape: tuple[int, int, int], info: ValidationInfo) -> tuple[int, int, int]:
        within = info.data.get("within")
        if isinstance(within, Bounds) and any(a > b for a, b in zip(shape, within.shape, strict=True)):
            raise reject("does not fit into within")
        return shape

    @field_validator("seed", "min_nonzero")
    @classmethod
    def _only_random(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("at") == "center":
            raise reject(f"{info.field_name} belongs to at: random; the center is not drawn")
        return value


class SameAsCrop(Record):
    """The box of another dataset, carried over in physical space."""

    same_as: Text
    """Id of a dataset of this manifest that has a crop."""


def _kind(value: object) -> str | None:
    if isinstance(value, Record):
        return type(value).__name__
    if not isinstance(value, dict):
        return None
    if "same_as" in value:
        return SameAsCrop.__name__
    return DrawnCrop.__name__ if "at" in value else BoxCrop.__name__


Crop = Annotated[
    Annotated[BoxCrop, Tag("BoxCrop")]
    | Annotated[DrawnCrop, Tag("DrawnCrop")]
    | Annotated[SameAsCrop, Tag("SameAsCrop")],
    Discriminator(
        _kind,
        custom_error_type="crop_kind",
        custom_error_message="expected {start, shape}, {at, shape} or {same_as}",
    ),
]
