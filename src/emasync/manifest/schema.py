"""JSON Schema of the manifest, for editors and other programs."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from emasync.manifest.head import Head
from emasync.manifest.kinds import BUILT_IN, built_in_model
from emasync.manifest.record import Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Build the JSON Schema of manifest version 1.

    Returns
    -------
    dict
        Draft 2020-12 (Any: a JSON document). Sizes, rates and durations are numbers or text. ``${VAR}`` is
        known to no schema: a field that is no text fails here when it holds one, and passes emasync.
    """
    kinds = {source: built_in_model(source) for source in BUILT_IN}
    models: list[type[Record]] = [Head, *kinds.values()]
    keys, document = models_json_schema([(model, "validation") for model in models], title="emasync manifest")
    definitions = document["$defs"]
    definitions.pop("Axis")  # written as a range or list, see FileTemplate
    refs = {model: keys[model, "validation"]["$ref"] for model in models}
    head = definitions.pop(refs[Head].rpartition("/")[2])
    for name, model in kinds.items():
        _require_source(definitions[refs[model].rpartition("/")[2]], name)
    datasets = {
        "type": "array",
        "minItems": 1,
        "description": "What to fetch.",
        "items": {"oneOf": [{"$ref": refs[model]} for model in kinds.values()]},
    }
    return {
        "$schema": DIALECT,
        "title": "emasync manifest",
        "description": "What to fetch, from where, and how it is stored.",
        "type": "object",
        "properties": {**head["properties"], "datasets": datasets},
        "required": [*head["required"], "datasets"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _require_source(definition: dict[str, Any], name: str) -> None:
    """Each kind of dataset names its source (Any: JSON Schema)."""
    definition["properties"]["source"] = {"const": name, "description": "Where the dataset comes from."}
    definition["required"] = ["id", "source", *(key for key in definition["required"] if key not in ("id", "source"))]
