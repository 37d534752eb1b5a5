"""Sidecars of assets of the Allen Institute for Neural Dynamics, in the shapes of both generations of its schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

STEP_MM = 9.0232736
"""From a tile to its neighbour in x."""

Schema = Literal["v1", "v2"]

_SCHEMAS = "https://raw.githubusercontent.com/AllenNeuralDynamics/aind-data-schema/main/src/aind_data_schema"
_V2 = {
    "data_description": "2.3.3",
    "acquisition": "2.5.0",
    "subject": "2.3.0",
    "instrument": "2.2.4",
    "procedures": "2.2.0",
}
"""Version of each document of v2."""


def sidecars(bucket: str, name: str, tiles: Sequence[str], schema: Schema) -> dict[str, Any]:
    """Sidecars and their aggregate, by key below the asset (Any: JSON)."""
    place = f"s3://{bucket}/{name}"
    return _of_v1(place, name, tiles) if schema == "v1" else _of_v2(place, name, tiles)


def _of_v1(place: str, name: str, tiles: Sequence[str]) -> dict[str, Any]:
    """Versions are mixed, numbers are text, and tiles are called what the microscope called them (Any: JSON)."""
    subject = name.split("_")[1]
    description = {**_head("data_description", "0.10.0"), "name": name.lower(), "data_level": "raw", "label": None}
    acquisition = {
        **_head("imaging/acquisition", "0.5.2"),
        "specimen_id": subject,
        "local_storage_directory": "E:\\exaSPIM\\" + name,
        "tiles": [_tile(tile, number) for number, tile in enumerate(tiles)],
    }
    core: dict[str, Any] = {
        "data_description": description,
        "acquisition": acquisition,
        "subject": {**_head("subject", "0.4.2"), "subject_id": subject, "sex": "Male"},
        "instrument": {**_head("imaging/instrument", "0.6.4"), "instrument_id": "exaSPIM1-1"},
        "procedures": {**_head("procedures", "0.9.3"), "subject_id": subject, "notes": "/scratch/procedures"},
    }
    absent = dict.fromkeys(("processing", "rig", "session", "quality_control"))
    aggregate = {
        "_id": "e617e755-e06f-452e-bba3-f70d42cf17fb",
        "name": f"{name}-renamed",
        "location": place,
        "metadata_status": "Invalid",
        "schema_version": "0.2.7",
        "external_links": {"Code Ocean": []},
        **core,
        **absent,
    }
    documents = {f"{key}.json": value for key, value in core.items()}
    original = {"original_metadata/data_description.20240522.json": description}
    return {**documents, **original, "metadata.nd.json": aggregate}


def _head(module: str, version: str) -> dict[str, Any]:
    return {"describedBy": f"{_SCHEMAS}/core/{module}.py", "schema_version": version}


def _tile(name: str, number: int) -> dict[str, Any]:
    """One tile of v1 (Any: JSON)."""
    scale = {"type": "scale", "scale": ["0.748", "0.748", "1"]}
    translation = {"type": "translation", "translation": [str(STEP_MM * number), "6.764912000000001", "0"]}
    return {"file_name": f"{name}.ims", "coordinate_transformations": [scale, translation], "channel": None}


def _of_v2(place: str, name: str, tiles: Sequence[str]) -> dict[str, Any]:
    """Every object says its type; tiles are images of a configuration of a data stream (Any: JSON)."""
    subject, day, time = name.split("_")[:3]
    modalities = [{"name": "Selective plane illumination microscopy", "abbreviation": "SPIM"}]
    imaging = {
        "object_type": "Imaging config",
        "device_name": "exaSPIM1",
        "images": [_image(tile, number) for number, tile in enumerate(tiles)],
    }
    core: dict[str, Any] = {
        "data_description": {"name": name, "data_level": "raw", "modalities": modalities, "source_data": None},
        "acquisition": {
            "acquisition_start_time": f"{day}T{time.replace('-', ':')}-08:00",
            "acquisition_start_tz": "America/Los_Angeles",
            "data_streams": [{"object_type": "Data stream", "modalities": modalities, "configurations": [imaging]}],
        },
        "subject": {"subject_id": subject, "subject_details": {"object_type": "Mouse subject", "sex": "Male"}},
        "instrument": {"instrument_id": "exaSPIM1", "modalities": modalities, "components": []},
        "procedures": {"subject_id": subject, "subject_procedures": [], "specimen_procedures": []},
    }
    core = {key: {**_head_v2(key), **document} for key, document in core.items()}
    aggregate = {
        "_id": "9215a9e9-217b-46ef-b2ef-0de372322bb1",
        "object_type": "Metadata",
        "schema_version": "2.2.2",
        "name": name,
        "location": place,
        "other_identifiers": {"Code Ocean": ["85b94f39-56b6-4903-b41d-de5c72ee1a9a"]},
        **core,
        **dict.fromkeys(("processing", "quality_control", "model")),
        "_created": "2026-02-13T03:55:06.275Z",
        "_last_modified": "2026-02-13T03:55:06.275Z",
    }
    return {**{f"{key}.json": value for key, value in core.items()}, "metadata.nd.json": aggregate}


def _head_v2(key: str) -> dict[str, Any]:
    """What every document of v2 begins with (Any: JSON)."""
    kind = key.replace("_", " ").capitalize()
    return {"object_type": kind, "describedBy": f"{_SCHEMAS}/core/{key}.py", "schema_version": _V2[key]}


def _image(name: str, number: int) -> dict[str, Any]:
    """One tile of v2 (Any: JSON)."""
    return {
        "object_type": "Image spim",
        "file_name": f"{name}.zarr",
        "channel_name": name.rpartition("_")[2],
        "image_to_acquisition_transform": [
            {"object_type": "Translation", "translation": [STEP_MM * number, 6.764912000000001, 0.0]},
            {"object_type": "Scale", "scale": [0.748, 0.748, 1.0]},
        ],
        "dimensions": None,
    }
