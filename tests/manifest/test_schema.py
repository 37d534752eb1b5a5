from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from emasync.manifest.schema import json_schema

jsonschema = pytest.importorskip("jsonschema")
MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


SCHEMA = json_schema()


def errors(data: object) -> list[str]:
    checker = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in checker.iter_errors(data)]


def one(**fields: object) -> dict[str, Any]:
    return {"version": 1, "datasets": [{"id": "a", **fields}]}


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_manifests_fit(path: Path) -> None:
    assert not errors(yaml.safe_load(path.read_text()))


GOOD = [
    one(source="web", files=[{"url": "https://h/{z}", "z": "0..15", "size": "3GB"}]),
    one(source="web", files=[{"url": "https://h/{z}", "z": [1, "b"], "size": 12}]),
    one(source="bucket", url="s3://b", crop={"same_as": "b"}),
    one(source="bucket", url="s3://b", crop={"at": "center", "shape": [1, 2, 3]}),
    one(source="bucket", url="s3://b", crop={"start": [0, 0, 0], "shape": [1, 2, 3]}, metadata={"free": [1]}),
    one(source="empiar", entry="EMPIAR-11759"),
    one(source="empiar", entry=11759),
    one(source="idr", images=[1]) | {"layout": "mirror", "settings": {"max_memory": "96MiB", "max_bandwidth": 5}},
    one(source="dandi", dandiset="000728") | {"layout": {"kind": "flexiznam", "project": "p"}},
    one(source="aind", filter={"level": "raw"}) | {"settings": {"workers": "auto", "hosts": {"h": {"part_size": 1}}}},
    one(source="open_data", registry="x") | {"mirrors": {"s3://b": "https://m"}},
]


@pytest.mark.parametrize("data", GOOD)
def test_what_fits(data: object) -> None:
    assert not errors(data)


BAD = [
    {"version": 1},
    {"version": 2, "datasets": [{"id": "a", "source": "idr", "images": [1]}]},
    {"version": 1, "datasets": []},
    one(source="ftp"),
    one(source="bucket"),
    one(source="bucket", url="s3://b", colour="red"),
    one(source="web", files=[]),
    one(source="web", files=[{"url": "https://h/x", "z": 5}]),
    one(source="bucket", url="s3://b", crop={"start": [0, 0], "shape": [1, 2, 3]}),
    one(source="bucket", url="s3://b", scales=["x"]),
    one(source="idr", images=[1]) | {"settings": {"max_memory": "lots"}},
    one(source="idr", images=[1]) | {"settings": {"workers": 0}},
    one(source="idr", images=[1]) | {"layout": "sideways"},
]


@pytest.mark.parametrize("data", BAD)
def test_what_does_not_fit(data: object) -> None:
    assert errors(data)


def test_every_key_is_explained() -> None:
    document = SCHEMA
    silent = [
        f"{name}.{key}"
        for name, definition in [("", document), *document["$defs"].items()]
        for key, value in definition.get("properties", {}).items()
        if "description" not in value
    ]
    assert not silent
