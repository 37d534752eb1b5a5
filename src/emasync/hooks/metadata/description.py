"""An asset with everything that is known of it: merged values, conflicts, coverage; as a document and as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np

from emasync.hooks.metadata.claims import Claim, Claims, tidy
from emasync.hooks.metadata.coverage import Coverage
from emasync.hooks.metadata.fields import BY_NAME, FIELDS, Value
from emasync.hooks.metadata.merging import Chosen, conflicts, merge
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.model.version import VERSION as TOOL_VERSION

VERSION: Final = 1
"""Of the documents."""

_OF_ARRAYS: Final = ("array", "storage")
_ISOTROPY: Final = 1.01
_ZYX: Final = ("z", "y", "x")

Merged = Mapping[str, Chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedArray:
    """One row of the table."""

    path: str
    scale: int | None
    fields: Merged
    coverage: Coverage | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON (Any)."""
        return {
            "path": self.path,
            "scale": self.scale,
            "fields": fields_dict(self.fields),
            "conflicts": conflicts_list(self.fields),
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedAsset:
    """One asset, whole.

    Attributes
    ----------
    dataset, id : str
    record : AssetRecord
    fields : mapping of str to Chosen
        Of the asset; those of arrays too where it has none.
    arrays : tuple of DescribedArray
    notes : tuple of str
    """

    dataset: str
    id: str
    record: AssetRecord
    fields: Merged
    arrays: tuple[DescribedArray, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON (Any)."""
        return {
            "version": VERSION,
            "dataset": self.dataset,
            "asset": self.id,
            "path": self.record.path,
            "kind": self.record.kind,
            "format": self.record.format,
            "fields": fields_dict(self.fields),
            "conflicts": conflicts_list(self.fields),
            "arrays": [array.to_dict() for array in self.arrays],
            "files": list(self.record.files),
            "details": dict(self.record.details),
            "notes": list(self.notes),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Flat rows (Any: values of the table's kinds), one an array and scale; one where there is no array."""
        base: dict[str, Any] = {"dataset_id": self.dataset, "asset_id": self.id, "tool_version": TOOL_VERSION}
        own = _flatten(self.fields, base)
        base["n_notes"] = len(self.notes)
        if not self.arrays:
            yield _counted(base, own)
        for array in self.arrays:
            row = base.copy()
            both = {*own, *_flatten(array.fields, row)}
            row["array_path"] = array.path
            if array.scale is not None:
                row["scale_level"] = array.scale
            yield _counted(row, both)


_SOURCE_OF: Final = {field.name: f"{field.name}_source" for field in FIELDS if field.sourced}


def _flatten(fields: Merged, row: dict[str, Any]) -> list[str]:
    """Put values into a row, with sources where the table has them (Any: of the table's kinds); gives conflicts."""
    disputed = []
    for name, chosen in fields.items():
        if chosen.others:
            disputed.append(name)
        claim = chosen.claim
        if claim is not None:
            row[name] = claim.value
            if name in _SOURCE_OF:
                row[_SOURCE_OF[name]] = claim.source
    return disputed


def _counted(row: dict[str, Any], both: Collection[str]) -> dict[str, Any]:
    row["n_conflicts"], row["conflicts"] = len(both), tuple(sorted(both))
    return row


def describe(
    record: AssetRecord,
    *,
    dataset: str,
    name: str,
    around: Iterable[Claim],
    own: Iterable[Claim],
    override: frozenset[str],
    coverages: Iterable[Coverage | None],
) -> DescribedAsset:
    """Merge everything that is said of one asset.

    Parameters
    ----------
    record : AssetRecord
    dataset, name : str
    around : iterable of Claim
        Of documents, about the asset and what it lies in.
    own : iterable of Claim
        Computed here.
    override : frozenset of str
    coverages : iterable of Coverage or None
        One an array.
    """
    said = [*own, *record.claims, *around]
    outer: list[Claim] = []
    inner: list[Claim] = []
    for claim in said:
        (inner if record.arrays and BY_NAME[claim.field].group in _OF_ARRAYS else outer).append(claim)
    arrays = tuple(
        _array(array, inner, coverage, override, path=record.path)
        for array, coverage in zip(record.arrays, coverages, strict=True)
    )
    fields = merge(outer, override)
    return DescribedAsset(
        dataset=dataset, id=name, record=record, fields=_ordered(fields), arrays=arrays, notes=record.notes
    )


def _array(
    array: ArrayRecord, said: list[Claim], coverage: Coverage | None, override: frozenset[str], *, path: str
) -> DescribedArray:
    about = [claim for claim in said if _is_about(claim, array.scale)]
    counted = Claims("computed", "files on disk", scope=path)
    if coverage is not None:
        _say_coverage(coverage, counted)
    fields = merge([*counted.found, *array.claims, *about], override)
    derived = Claims("computed", "from other fields of this row", scope=path)
    _derive(fields, coverage, derived)
    return DescribedArray(
        path=array.path, scale=array.scale, fields=_ordered(fields | merge(derived.found)), coverage=coverage
    )


def _is_about(claim: Claim, scale: int | None) -> bool:
    """Whether a claim that is not the array's own is about its level."""
    if claim.scale is not None:
        return claim.scale == (scale or 0)
    return not (BY_NAME[claim.field].finest and scale)


def _say_coverage(coverage: Coverage, claims: Claims) -> None:
    claims.claim("n_chunks_expected", coverage.expected, "")
    claims.claim("n_chunks_present", coverage.present, "")
    claims.claim("n_chunks_absent", coverage.absent, "")
    claims.claim("bytes_on_disk", coverage.bytes_on_disk, "")
    if coverage.expected and coverage.present is not None:
        share = min(1.0, (coverage.present + (coverage.absent or 0)) / coverage.expected)
        claims.claim("completeness", tidy(share), "")
    for name, box in (("box", coverage.box), ("hull", coverage.hull)) if coverage.cropped else ():
        for axis, start, size in zip(coverage.axes, box.start, box.shape, strict=True):
            if axis in _ZYX:
                claims.claim(f"{name}_start_{axis}", start, "boxes.json")
                claims.claim(f"{name}_shape_{axis}", size, "boxes.json")


def _derive(fields: Merged, coverage: Coverage | None, claims: Claims) -> None:
    """Extent, isotropy, sizes: what follows from other fields."""
    sizes = [_number(fields, f"voxel_size_{axis}_nm") for axis in _ZYX]
    for axis, size in zip(_ZYX, sizes, strict=True):
        count = _number(fields, f"shape_{axis}")
        if size is not None and count is not None:
            claims.claim(f"extent_{axis}_um", tidy(size * count * 1e-3), "")
    known = [size for size in sizes if size is not None]
    if len(known) == len(_ZYX):
        claims.claim("isotropic", max(known) <= _ISOTROPY * min(known), "")
    if coverage is not None and coverage.state == "complete":
        _say_bytes(fields, coverage, claims)


def _say_bytes(fields: Merged, coverage: Coverage, claims: Claims) -> None:
    itemsize = _itemsize(fields)
    if itemsize is None:
        return
    plain = prod(coverage.hull.shape) * itemsize
    claims.claim("bytes_uncompressed", plain, "")
    if coverage.bytes_on_disk:
        claims.claim("compression_ratio", tidy(plain / coverage.bytes_on_disk), "")


def _itemsize(fields: Merged) -> int | None:
    dtype = fields["dtype"].value if "dtype" in fields else None
    try:
        return np.dtype(str(dtype)).itemsize if dtype is not None else None
    except (TypeError, ValueError, SyntaxError):  # as numpy says what is none of its types
        return None


def _number(fields: Merged, name: str) -> float | None:
    value = fields[name].value if name in fields else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


_ORDER: Final = {field.name: position for position, field in enumerate(FIELDS)}


def _ordered(fields: Merged) -> dict[str, Chosen]:
    return dict(sorted(fields.items(), key=lambda item: _ORDER[item[0]]))


def fields_dict(fields: Merged) -> dict[str, Any]:
    """Values with their provenance, as JSON (Any)."""
    return {name: claim_dict(chosen.claim) for name, chosen in fields.items() if chosen.claim is not None}


def claim_dict(claim: Claim) -> dict[str, Any]:
    """One candidate, as JSON (Any); empty members are left out."""
    said: dict[str, Value | None] = {"value": claim.value, "source": claim.source, "where": claim.where}
    if claim.original:
        said["original"] = claim.original
    if claim.rejected:
        said["rejected"] = claim.rejected
    if claim.note:
        said["note"] = claim.note
    return said


def conflicts_list(fields: Merged) -> list[dict[str, Any]]:
    """Fields that candidates differ about, as JSON (Any)."""
    return [
        {
            "field": name,
            "chosen": None if chosen.claim is None else claim_dict(chosen.claim),
            "others": [claim_dict(other) for other in chosen.others],
            "rule": chosen.rule,
        }
        for name, chosen in conflicts(fields).items()
    ]
