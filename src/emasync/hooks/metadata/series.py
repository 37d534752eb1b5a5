"""Many two-dimensional files that are one volume, as the manifest says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from emasync.formats.stored import ByteSource
from emasync.hooks.inventory import DataFile
from emasync.hooks.metadata.claims import Claim, Claims
from emasync.hooks.metadata.files import describe_file
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord

LOOKED_INTO: Final = 64
"""Files of a series whose headers are compared, evenly spread."""

_DIGITS: Final = re.compile(r"(\d+)")
_SAME: Final = ("shape_y", "shape_x", "dtype", "byte_order", "voxel_size_y_nm", "voxel_size_x_nm", "voxel_size_z_nm")
_FILE_ONLY: Final = frozenset(("axes", "chunk_z", "shape_z", "acquired_at"))


def natural(name: str) -> tuple[object, ...]:
    """Sorts names so that numbers in them count: 2 before 10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(name))


def folder_of(pattern: str) -> str:
    """The folder of a glob before its first wildcard."""
    parts = pattern.split("/")[:-1]
    fixed = [part for part in parts if not set(part) & set("*?[")]
    return "/".join(fixed[: len(parts)]) if fixed == parts[: len(fixed)] else ""


def describe_series(
    pattern: str, files: Sequence[DataFile], opened: Callable[[str], ByteSource | None], count: int | None
) -> AssetRecord:
    """One volume out of files, as the first of them says that can be described.

    Parameters
    ----------
    pattern : str
        Of the manifest.
    files : sequence of DataFile
        At least one.
    opened : callable
        Gives a file, or what is known of it, by path.
    count : int or None
        Files that the series has; None where nobody knows.
    """
    ordered = sorted(files, key=lambda item: natural(item.path))
    step = max(1, len(ordered) // LOOKED_INTO)
    found = [(item, record) for item in ordered[::step] if (record := _described(item, opened)) is not None]
    home = folder_of(pattern)
    if not found:
        note = f"none of its {len(ordered):,} files that were looked into can be described as one of its slices"
        return AssetRecord(path=home, kind="series", files=tuple(item.path for item in ordered), notes=(note,))
    item, first = found[0]
    claims = Claims("header", item.path, home)
    for claim in first.arrays[0].claims:
        if claim.field not in _FILE_ONLY:
            claims.add(replace(claim, scope=home))
    claims.claim("axes", "z,y,x", "")
    if count is not None:
        claims.add(Claim(field="shape_z", value=count, source="computed", where=f"files of {pattern}"))
    claims.claim("chunk_z", 1, "")
    unknown = () if count is not None else ("how many files the series has is not known: not all were listed",)
    return AssetRecord(
        path=home,
        kind="series",
        format=first.format,
        claims=tuple(replace(claim, scope=home) for claim in first.claims),
        arrays=(ArrayRecord(path="", claims=tuple(claims.found)),),
        files=tuple(item.path for item in ordered),
        notes=(*first.notes, *unknown, *_differences(found)),
        details={"pattern": pattern, "first": item.path, "looked_into": len(found)},
    )


def _described(item: DataFile, opened: Callable[[str], ByteSource | None]) -> AssetRecord | None:
    file = opened(item.path)
    record = None if file is None or item.kind not in ("tiff", "dm", "mrc") else describe_file(item, file)
    return record if record is not None and record.arrays else None


def _differences(found: Sequence[tuple[DataFile, AssetRecord]]) -> list[str]:
    """Files that are not like the first: no reader may take them for slices of one volume."""
    expected = _compared(found[0][1])
    notes = []
    for item, record in found[1:]:
        told = _compared(record)
        wrong = [
            f"{name} is {told.get(name)}, not {value}" for name, value in expected.items() if told.get(name) != value
        ]
        if wrong:
            notes.append(f"{item.path} is not like the first of its series: {'; '.join(wrong)}")
    return notes


def _compared(record: AssetRecord) -> dict[str, object]:
    claims = (*record.arrays[0].claims, *record.claims)
    return {claim.field: claim.value for claim in reversed(claims) if claim.field in _SAME}
