"""What every dataset of a manifest may say, whatever its source."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache, cached_property
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, field_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.manifest.crop import Crop
from emasync.manifest.description import Metadata, Series
from emasync.manifest.fields import Count, Glob, RelativePath, Text, reject
from emasync.manifest.problems import shown
from emasync.manifest.record import Record
from emasync.model.globs import Selection
from emasync.registry import FORMATS

MAX_ID_CHARACTERS: Final = 200
"""``<id>.source-metadata`` must be a file name (255 bytes on Linux and macOS)."""

RESERVED_IDS: Final = frozenset(
    (
        *("metadata", "checksums", "metadata.json", "metadata.csv", "metadata_summary.md"),
        *("receipt.json", "report.html", ".emasync"),
    )
)
"""Names that stand in a root beside the datasets, case folded."""

SOURCE_METADATA_SUFFIX: Final = ".source-metadata"
UNCROPPABLE_FORMATS: Final = frozenset(("tiff", "dm", "mrc", "hdf5", "binary", "raw"))
"""Formats that are taken file by file: no levels, no chunks of their own to choose."""

SPATIAL_AXES: Final = frozenset("zyx")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text) or len(text) > MAX_ID_CHARACTERS:
        rule = (
            f"expected letters, digits, dot, dash and underscore, at most {MAX_ID_CHARACTERS}, a letter or digit first"
        )
        raise reject(rule, f"; got {shown(text)}")
    if text.casefold() in RESERVED_IDS or text.casefold().endswith(SOURCE_METADATA_SUFFIX):
        raise reject("this name is used for something else in the data folder; choose another id")
    return text


def _checked_format(text: str) -> str:
    if text not in ("auto", "raw", *FORMATS.built_in) and text not in known_formats():
        raise reject(f"expected one of {', '.join(known_formats())}", f"; got {shown(text)}")
    return text


@cache
def known_formats() -> tuple[str, ...]:
    """Names that ``format`` may have, plug-ins included (looked for once: that reads all installed packages)."""
    return ("auto", *FORMATS.names(), "raw")


class Entry(Record):
    """One dataset.

    Attributes
    ----------
    digest : str
        What is wanted, as SHA-256 hexadecimal; equal for manifests that want the same.
    selection : Selection
        ``include`` and ``exclude``, compiled.
    """

    has_arrays: ClassVar[bool] = True
    """Whether arrays, levels and boxes can be chosen from this source."""

    id: Annotated[Text, AfterValidator(_checked_id)]
    """Name of the dataset and of its folder; unique, also when case is ignored."""
    format: Annotated[Text, AfterValidator(_checked_format)] = "auto"
    """How the bytes are read; ``auto`` looks, ``raw`` takes objects as they are."""
    role: Literal["image", "labels"] = "image"
    """``labels`` are never interpolated."""
    arrays: tuple[RelativePath, ...] = ()
    """Groups or arrays below the source; none: all that are found."""
    scales: tuple[Count, ...] = ()
    """Levels of multiscale images, 0 is the finest; none: all."""
    crop: Crop | None = None
    """Box to cut out."""
    select: dict[Text, Count] = Field(default_factory=dict)
    """Index on axes that are not spatial, such as ``{c: 0, t: 0}``."""
    subset: Literal["standalone", "mirror"] = "standalone"
    """``standalone``: metadata describe what is on disk; ``mirror``: keys and metadata byte for byte as published."""
    include: tuple[Glob, ...] = ()
    """Globs of the paths that are wanted; none: all."""
    exclude: tuple[Glob, ...] = ()
    """Globs of paths that are not wanted; these win."""
    allow_missing: tuple[Glob, ...] = ()
    """Globs of paths whose absence is accepted and noted."""
    series: Series | None = None
    """One volume out of many two-dimensional files."""
    metadata: Metadata = Metadata()
    """Facts that stand in no file."""

    _layout: str = PrivateAttr(default="")
    _lender: str = PrivateAttr(default="")

    @field_validator("arrays", "scales", "crop", "select")
    @classmethod
    def _can_choose(cls, value: object, info: ValidationInfo) -> object:
        if not value:
            return value
        if not cls.has_arrays:
            raise reject(f"files are taken whole here, {info.field_name} cannot be applied; use source: bucket")
        if info.data.get("format") in UNCROPPABLE_FORMATS:
            raise reject(
                f"{info.field_name} cannot be applied to format {info.data['format']}; "
                "it needs zarr, n5 or precomputed, or leave the format to auto"
            )
        return value

    @field_validator("scales", "arrays")
    @classmethod
    def _each_once(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(value)) != len(value):
            raise reject("each of them once")
        return value

    @field_validator("select")
    @classmethod
    def _not_spatial(cls, value: dict[str, int]) -> dict[str, int]:
        if SPATIAL_AXES & set(value):
            raise reject("z, y and x are chosen with crop")
        return value

    @property
    def source_name(self) -> str:
        """Name of the source, as the registry knows it."""
        return str(self.source)  # type: ignore[attr-defined]  # each subclass has its Literal

    @cached_property
    def selection(self) -> Selection:
        """``include`` and ``exclude``, compiled."""
        return Selection(self.include, self.exclude)

    @property
    def digest(self) -> str:
        """What is wanted, as SHA-256 hexadecimal, the layout included.

        Stable over key order, comments, spelling of numbers and defaults written out.
        """
        lender = f"\n{self._lender}" if self._lender else ""
        return hashlib.sha256(f"{self._layout}\n{self.source_name}\n{canonical(self)}{lender}".encode()).hexdigest()

    def with_layout(self, layout: Record) -> Self:
        """Copy of the entry as it is wanted under `layout`."""
        copy = self.model_copy()
        copy._layout = canonical(layout)  # noqa: SLF001 - a copy of this very class
        return copy

    def with_lender(self, digest: str) -> Self:
        """Copy of the entry that takes over the box of the dataset with this digest: it changes when that one does."""
        copy = self.model_copy()
        copy._lender = digest  # noqa: SLF001 - a copy of this very class
        return copy

    @property
    def immutable(self) -> bool:
        """Whether what is named can never be another thing: then no refresh asks again."""
        return False

    @property
    def lender_digest(self) -> str:
        """Digest of the dataset whose box this one takes over; empty where it takes over none."""
        return self._lender


def canonical(record: Record) -> str:
    """Canonical JSON of a record: sorted keys, no spaces, defaults left out."""
    data = record.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
