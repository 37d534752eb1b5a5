"""Sidecars of the Allen Institute for Neural Dynamics, schema 0.x to 2.x, and those that are like them; read loosely.

Versions are mixed inside one asset, numbers may be text, paths are those of the machines that wrote them (never used).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from emasync.formats.paths import join
from emasync.hooks.metadata.claims import Claims, items, member, text_of
from emasync.hooks.metadata.extract_dandi import sex_claims, species_claims
from emasync.hooks.metadata.rights import license_claims
from emasync.hooks.metadata.scopes import NAMED

Document = Mapping[str, Any]

AGGREGATE: Final = "metadata.nd.json"
"""All documents of an asset in one, made by an indexer; those beside it are nearer to the data."""

UNIT: Final = "micrometer"
"""Of tiles, where no axis states one: the default of ``ImageAxis.unit`` (aind-data-schema 0.x and 1.x)."""


def _description(value: Document, claims: Claims) -> None:
    claims.text("title", value.get("name"), "name")
    claims.text("subject_id", value.get("subject_id"), "subject_id")
    license_claims(value.get("license"), "license", claims)
    claims.text("institution", named(value.get("institution")), "institution")
    claims.texts("authors", [named(one) for one in items(value.get("investigators"))], "investigators")
    said = value.get("modalities") or value.get("modality") or value.get("platform")
    modalities = [named(one) for one in items(said)] or [named(said)]
    claims.text("modality", ", ".join(filter(None, modalities)), "modality")
    claims.text("description", value.get("data_summary"), "data_summary")
    parents = value.get("source_data") or [member(one, "related_data_path") for one in items(value.get("related_data"))]
    claims.text("parent_asset", ", ".join(filter(None, map(text_of, items(parents)))), "source_data")
    claims.text("parent_asset", value.get("input_data_name"), "input_data_name")


def named(value: object) -> str:
    """What registries call something: ``{"name": ...}``, or a plain text."""
    return text_of(member(value, "name")) or text_of(value)


def _subject(value: Document, claims: Claims) -> None:
    told = value.get("subject_details") or value
    claims.text("subject_id", value.get("subject_id") or value.get("id"), "subject_id")
    sex_claims(member(told, "sex"), "sex", claims)
    claims.text("date_of_birth", member(told, "date_of_birth"), "date_of_birth")
    claims.text("age", member(told, "age"), "age")
    claims.text("genotype", member(told, "genotype"), "genotype")
    claims.text("strain", named(member(told, "strain") or member(told, "background_strain")), "strain")
    species_claims(member(told, "species"), "species", claims)


def _procedures(value: Document, claims: Claims) -> None:
    """Names of what was done; details stay in the document."""
    done = [*items(value.get("subject_procedures")), *items(value.get("specimen_procedures"))]
    inner = [one for step in done for one in items(member(step, "procedures"))]
    names = [text_of(member(one, "procedure_type") or member(one, "object_type")) for one in [*done, *inner]]
    if items(value.get("injections")):
        names.append("injection")
    claims.text("preparation", "; ".join(dict.fromkeys(filter(None, names))), "procedures")


def _acquisition(value: Document, claims: Claims) -> None:
    start = value.get("acquisition_start_time") or value.get("session_start_time")
    claims.text("acquired_at", start, "session_start_time, acquisition_start_time")
    claims.text("instrument", value.get("instrument_id") or value.get("microscope"), "instrument_id, microscope")
    claims.text("sample", value.get("specimen_id"), "specimen_id")
    claims.text("technique", value.get("acquisition_type") or value.get("session_type"), "acquisition_type")
    claims.texts("channels", _channels(value), "channels")
    _say_tiles(value, claims)
    _say_voxel_sizes(value.get("voxel_size_um"), claims)


def _say_tiles(value: Document, claims: Claims) -> None:
    """Scale of tiles: about the asset where all have the same, else about each tile, by its name."""
    unit, note = _unit(value)
    tiles = list(_tiles(value))
    scales = dict.fromkeys(scale for _, scale in tiles if scale)
    told = tiles if len(scales) > 1 else [("", scale) for scale in scales]
    for number, (name, scale) in enumerate(told):
        scope = join(claims.scope, f"{NAMED}{name}") if name else claims.scope
        for axis, size in zip("xyz", scale, strict=False):
            where = f"tiles[{number}]: scale ({axis})"
            claims.length(f"voxel_size_{axis}_nm", size, unit, where, scope=scope, note=note)


def _unit(value: Document) -> tuple[str, str]:
    """Unit of tiles, and what is to be said of it."""
    axes = [*items(value.get("axes")), *items(member(value, "coordinate_system", "axes"))]
    stated = [text_of(member(axis, "unit")) for axis in axes]
    unit = next(filter(None, stated), "") or text_of(member(value, "coordinate_system", "axis_unit"))
    if unit or value.get("object_type"):  # schema 2 has no default
        return unit, ""
    return UNIT, "no unit is stated: micrometre, the schema's default"


def _tiles(value: Document) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Name without suffix and scale (x, y, z) of each tile; transformations are told by their type, not their place."""
    for tile in items(value.get("tiles")):
        yield _tile(tile, "coordinate_transformations")
    for stream in items(value.get("data_streams")):
        for configuration in items(member(stream, "configurations")):
            for image in items(member(configuration, "images")):
                yield _tile(image, "image_to_acquisition_transform")


def _tile(tile: object, transforms: str) -> tuple[str, tuple[object, ...]]:
    for transform in items(member(tile, transforms)):
        kind = text_of(member(transform, "type")) or text_of(member(transform, "object_type"))
        if kind.lower() == "scale":
            name = text_of(member(tile, "file_name")).replace("\\", "/").rpartition("/")[2]
            return name.partition(".")[0], tuple(text_of(size) for size in items(member(transform, "scale")))
    return "", ()


def _channels(value: Document) -> list[str]:
    tiles = items(value.get("tiles"))
    streams = [one for stream in items(value.get("data_streams")) for one in items(member(stream, "configurations"))]
    found = [
        *(member(tile, "channel", "channel_name") for tile in tiles),
        *(member(image, "channel_name") for one in streams for image in items(member(one, "images"))),
        *items(value.get("channels")),
    ]
    return [text for one in found if (text := text_of(one))]


def _say_voxel_sizes(told: object, claims: Claims) -> None:
    """Of expanded tissue there are two: as imaged, and corrected for the expansion; the array's header says which."""
    for kind, sizes in told.items() if isinstance(told, dict) else ():
        for axis, size in zip("xyz", items(sizes), strict=False):
            where = f"voxel_size_um.{text_of(kind)} ({axis})"
            claims.length(f"voxel_size_{axis}_nm", size, "micrometer", where, note=text_of(kind).replace("_", " "))


def _instrument(value: Document, claims: Claims) -> None:
    claims.text("instrument", value.get("instrument_id") or value.get("rig_id"), "instrument_id, rig_id")


def _session(value: Document, claims: Claims) -> None:
    _acquisition(value, claims)
    claims.text("instrument", value.get("rig_id"), "rig_id")
    claims.text("description", value.get("session_description"), "session_description")


def _processing(value: Document, claims: Claims) -> None:
    steps = items(value.get("data_processes")) or items(member(value, "processing_pipeline", "data_processes"))
    names = [named(step) or text_of(member(step, "process_type")) for step in steps]
    claims.texts("processing", names, "data_processes")


AIND_DOCUMENTS: Final[dict[str, Callable[[Document, Claims], None]]] = {
    "data_description.json": _description,
    "subject.json": _subject,
    "procedures.json": _procedures,
    "acquisition.json": _acquisition,
    "session.json": _session,
    "instrument.json": _instrument,
    "rig.json": _instrument,
    "processing.json": _processing,
}


def aggregate_claims(beside: Collection[str]) -> Callable[[Document, Claims], None]:
    """Read ``metadata.nd.json`` for the documents that do not lie beside it.

    Its status (``Invalid``, ``Unknown``) is common and says nothing about the data.

    Parameters
    ----------
    beside : collection of str
        Names of documents in the same folder.
    """

    def extract(value: Document, claims: Claims) -> None:
        for name, read in AIND_DOCUMENTS.items():
            part = value.get(name.removesuffix(".json"))
            if name not in beside and isinstance(part, dict):
                read(part, claims)

    return extract
