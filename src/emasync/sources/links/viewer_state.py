"""The state of a Neuroglancer viewer: which layers it shows, from where, and where it looks.

Neuroglancer's documentation, "JSON API", and its Python package (``viewer_state.py``). States come from strangers:
bounded, and each value is checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from emasync.errors import FormatError, InputError
from emasync.formats.json_document import Json, JsonObject, describe, parse_object
from emasync.manifest.problems import shown
from emasync.sources.links.interface import DOCUMENT_BYTES, Draft, Reading
from emasync.sources.links.layer_source import LayerSource, parse_source
from emasync.sources.links.stores import bucket_draft

MAX_LAYERS: Final = 1_000

_SHAPES: Final = frozenset(("image", "segmentation", "segmentation_with_graph", "auto", "new"))
"""Kinds of layers that can be volumes; meshes, skeletons and annotations are none."""

_LABELS: Final = frozenset(("segmentation", "segmentation_with_graph"))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with one of its sources.

    Attributes
    ----------
    name, kind, url : str
    hidden : bool
    """

    name: str
    kind: str
    url: str
    hidden: bool


def read_state(data: bytes, name: str) -> Reading:
    """Read a state document.

    Parameters
    ----------
    data : bytes
        JSON.
    name : str
        Of the document, for messages.

    Raises
    ------
    FormatError
        No JSON object, too long, too deep, too many layers.
    InputError
        No layer that can be fetched.
    """
    state = parse_object(name, data, limit_bytes=DOCUMENT_BYTES)
    drafts: dict[str, Draft] = {}
    notes: list[str] = []
    for layer in _layers(state, name):
        if len(drafts) + len(notes) >= MAX_LAYERS:
            raise FormatError(f"{name}: more than {MAX_LAYERS:,} sources of layers are not read", location=name)
        try:
            draft = _draft(layer, parse_source(layer.url))
        except InputError as error:
            notes.append(f"layer {shown(layer.name)} left out: {error.message}")
            continue
        drafts.setdefault(str(draft.entry["url"]), draft)
    if not drafts:
        raise InputError(f"{name}: no layer can be fetched; {'; '.join(notes[:10]) or 'it has none of volumes'}")
    return Reading(drafts=_with_view(tuple(drafts.values()), state), notes=tuple(notes))


def _draft(layer: Layer, source: LayerSource) -> Draft:
    more: dict[str, Json] = {} if source.format == "auto" else {"format": source.format}
    if layer.kind in _LABELS:
        more["role"] = "labels"
    draft = bucket_draft(source.place, **more)
    about = f"layer {shown(layer.name)}{', hidden in the view' if layer.hidden else ''}"
    return Draft(name=layer.name, entry=draft.entry, comments=(about, *draft.comments))


def _layers(state: JsonObject, name: str) -> Iterator[Layer]:
    """Layers that may be volumes, one for each of their sources."""
    listed = state.get("layers", [])
    if isinstance(listed, dict):  # states of before 2018: by name
        listed = [{**item, "name": key} for key, item in listed.items() if isinstance(item, dict)]
    if not isinstance(listed, list):
        raise FormatError(f"{name}: layers: expected a list, got {describe(listed)}", location=name)
    if len(listed) > MAX_LAYERS:
        raise FormatError(f"{name}: {len(listed):,} layers; at most {MAX_LAYERS:,} are read", location=name)
    for item in listed:
        if isinstance(item, dict) and item.get("archived") is not True:
            yield from _sources(item)


def _sources(item: JsonObject) -> Iterator[Layer]:
    kind, called = item.get("type", "auto"), item.get("name")
    if not isinstance(kind, str) or kind not in _SHAPES:
        return
    sources = item.get("source")
    for source in sources if isinstance(sources, list) else [sources]:
        url = source.get("url") if isinstance(source, dict) else source
        if isinstance(url, str) and url:
            name = called if isinstance(called, str) and called else kind
            yield Layer(name, kind, url, hidden=item.get("visible") is False)


# --- where the view looks --------------------------------------------------------------------------------------------


def _with_view(drafts: tuple[Draft, ...], state: JsonObject) -> tuple[Draft, ...]:
    """The first dataset says where the view looks, as a crop that people may take."""
    view = _view(state)
    if view is None:
        return drafts
    first, *others = drafts
    return Draft(name=first.name, entry=first.entry, comments=(*first.comments, *view)), *others


def _view(state: JsonObject) -> tuple[str, ...] | None:
    """Comments about the position, where state and axes are as usual; None where they are not."""
    position, sizes = _position(state)
    if position is None or sizes is None:
        return None
    start = [max(0, math.floor(value) - 128) for value in position]
    centre = ", ".join(f"{value:.0f}" for value in position)
    size = " x ".join(f"{value:g}" for value in sizes)
    return (
        f"the view looks at z, y, x = {centre}, in voxels of {size} nm; a box around it, if level 0 has such voxels:",
        f"crop: {{start: {start}, shape: [256, 256, 256], scale: 0}}",
    )


def _position(state: JsonObject) -> tuple[list[float] | None, list[float] | None]:
    """Position in voxels and their sizes in nanometres, z, y, x."""
    dimensions, position = state.get("dimensions"), state.get("position")
    if isinstance(dimensions, dict) and isinstance(position, list):
        axes = dict(zip(dimensions, position, strict=False))
        return _zyx(axes), _zyx({axis: _metres(value) for axis, value in dimensions.items()}, 1e9)
    pose: Json = state.get("navigation")
    for key in ("pose", "position"):
        pose = pose.get(key) if isinstance(pose, dict) else None
    if not isinstance(pose, dict):
        return None, None
    voxels, sizes = pose.get("voxelCoordinates"), pose.get("voxelSize")  # states of before 2020
    return _zyx(_named(voxels)), _zyx(_named(sizes))


def _named(value: Json) -> JsonObject:
    return dict(zip("xyz", value, strict=False)) if isinstance(value, list) else {}


def _metres(value: Json) -> Json:
    """Scale of a dimension, ``[8e-9, "m"]``."""
    return value[0] if isinstance(value, list) and len(value) > 1 and value[1] == "m" else None


def _zyx(axes: JsonObject, factor: float = 1.0) -> list[float] | None:
    values = [axes.get(axis) for axis in "zyx"]
    numbers = [float(value) * factor for value in values if isinstance(value, int | float)]
    return numbers if len(numbers) == len(values) and all(map(math.isfinite, numbers)) else None
