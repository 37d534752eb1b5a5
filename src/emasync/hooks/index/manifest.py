"""What the manifest says of axes and voxels, where the data do not say it themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from emasync.formats.json_document import Json
from emasync.formats.stored import Measure
from emasync.volume.index_entry import ArrayEntry

_DEFAULT_AXES = "zyx"


def completed(entry: ArrayEntry, told: Mapping[str, Json]) -> ArrayEntry:
    """The entry with names of axes and sizes of voxels from the manifest, as a last resort.

    Names are taken where the axes have none, sizes where the finest level has none at all; ``override: [voxel_size]``
    takes the manifest's sizes in any case.

    Parameters
    ----------
    entry : ArrayEntry
    told : mapping of str to Json
        ``metadata`` of the manifest.
    """
    if entry.role not in ("image", "labels") or entry.scale:
        return entry
    letters = told.get("axes")
    axes = _named(entry.axes, letters) if isinstance(letters, str) else entry.axes
    sizes = _sizes(told, letters if isinstance(letters, str) else _DEFAULT_AXES)
    override = told.get("override")
    forced = isinstance(override, list) and "voxel_size" in override
    known = any(measure is not None for measure in entry.measures)
    if not sizes or (known and not forced) or not set(sizes) <= set(axes):
        return replace(entry, axes=axes)
    measures = tuple(sizes.get(axis, measure) for axis, measure in zip(axes, entry.measures, strict=True))
    return replace(entry, axes=axes, measures=measures)


def _named(axes: Sequence[str], letters: str) -> tuple[str, ...]:
    unnamed = all(axis == f"d{number}" for number, axis in enumerate(axes))
    return tuple(letters) if unnamed and len(letters) == len(axes) else tuple(axes)


def _sizes(told: Mapping[str, Json], letters: str) -> dict[str, Measure]:
    """Sizes by axis; none where the manifest tells none."""
    values, unit = told.get("voxel_size"), told.get("unit")
    if not isinstance(values, list) or len(values) != len(letters):
        return {}
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != len(values):
        return {}
    text = unit if isinstance(unit, str) else ""
    return {
        axis: Measure(float(number), text, "manifest: metadata.voxel_size")
        for axis, number in zip(letters, numbers, strict=True)
    }
