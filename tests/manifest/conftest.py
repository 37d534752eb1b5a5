from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from emasync.errors import ManifestError
from emasync.manifest.entry import Entry
from emasync.manifest.load import manifest_from_object, parse_manifest
from emasync.manifest.manifest import Manifest

Read = Callable[..., Manifest]


@pytest.fixture
def read() -> Read:
    """Parse a manifest's text."""

    def parse(text: str, **environ: str) -> Manifest:
        return parse_manifest(textwrap.dedent(text), file="m.yaml", environ=environ)

    return parse


@pytest.fixture
def problems() -> Callable[[str], list[str]]:
    """Parse a manifest that is wrong; what is told."""

    def parse(text: str) -> list[str]:
        with pytest.raises(ManifestError) as caught:
            parse_manifest(textwrap.dedent(text), file="m.yaml", environ={})
        return [str(problem) for problem in caught.value.problems]

    return parse


@pytest.fixture
def dataset() -> Callable[..., Any]:
    """One dataset from a mapping."""

    def one(**fields: object) -> Entry:
        return manifest_from_object({"version": 1, "datasets": [{"id": "d", **fields}]}).datasets[0]

    return one


@pytest.fixture
def refusal() -> Callable[..., list[str]]:
    """What is told of one dataset, key paths and messages without positions."""

    def told(**fields: object) -> list[str]:
        with pytest.raises(ManifestError) as caught:
            manifest_from_object({"version": 1, "datasets": [{"id": "d", **fields}]})
        return [f"{problem.path.removeprefix('datasets[0].')}: {problem.message}" for problem in caught.value.problems]

    return told
