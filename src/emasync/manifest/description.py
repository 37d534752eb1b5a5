"""What a manifest says of the data that the source does not: voxel size, axes, licence; slices of one volume."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.manifest.fields import Glob, Json, PositiveNumber, Text, reject
from emasync.manifest.problems import shown
from emasync.manifest.record import Record

AXIS_LETTERS: Final = "tczyx"

LENGTH_UNITS: Final = frozenset(
    (
        *("angstrom", "attometer", "centimeter", "decimeter", "exameter", "femtometer", "foot", "gigameter"),
        *("hectometer", "inch", "kilometer", "megameter", "meter", "micrometer", "mile", "millimeter", "nanometer"),
        *("parsec", "petameter", "picometer", "terameter", "yard", "yoctometer", "yottameter", "zeptometer"),
        *("zettameter", "pm", "nm", "um", "µm", "mm", "cm", "m", "Å"),
    )
)
"""OME-NGFF 0.4, section "axes" (space units), and the usual symbols."""


def _length_unit(text: str) -> str:
    name = text.replace("metre", "meter").replace("\u03bc", "\u00b5")  # Greek mu and the micro sign look alike
    if name not in LENGTH_UNITS:
        raise reject("expected a unit of length such as nanometer, micrometer, nm or um", f"; got {shown(text)}")
    return name


LengthUnit = Annotated[Text, AfterValidator(_length_unit)]


class Metadata(Record):
    """Facts about the data that stand in no file; keys beyond these are kept as they are."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json] = Field(init=False)

    axes: Text | None = None
    """Order of the axes of the files, letters of ``tczyx``."""
    voxel_size: tuple[PositiveNumber, ...] | None = None
    """Extent of a voxel along each axis, in ``unit``; order as ``axes``, or z, y, x."""
    unit: LengthUnit | None = None
    """Unit of length of ``voxel_size``."""
    license: Text | None = None
    """Licence, SPDX name if it has one."""
    citation: Text | None = None
    """How to cite the data."""

    @field_validator("axes")
    @classmethod
    def _letters(cls, axes: str | None) -> str | None:
        if axes is not None and (set(axes) - set(AXIS_LETTERS) or len(set(axes)) != len(axes)):
            raise reject(f"expected letters of {AXIS_LETTERS}, each once, such as zyx", f"; got {shown(axes)}")
        return axes

    @field_validator("voxel_size")
    @classmethod
    def _one_an_axis(cls, size: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        axes = info.data.get("axes") or "zyx"
        if size is not None and len(size) != len(axes):
            raise reject(
                "expected one number for each of the axes (z, y, x where axes: says no other)", f"; got {len(size)}"
            )
        return size


class Series(Record):
    """One volume out of many two-dimensional files."""

    pattern: Glob
    """Files of the volume, in natural order of their names."""
    spacing: PositiveNumber | None = None
    """Distance of neighbouring slices, in ``unit``."""
    unit: LengthUnit = "nanometer"
    """Unit of length of ``spacing``."""
