"""Reads what the hook wrote, as users would."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Root:
    """A root with metadata documents."""

    path: Path

    @property
    def document(self) -> dict[str, Any]:
        """``metadata.json``."""
        found: dict[str, Any] = orjson.loads((self.path / "metadata.json").read_bytes())
        return found

    def dataset(self, name: str) -> dict[str, Any]:
        """One dataset of it."""
        found: dict[str, Any]
        (found,) = (dataset for dataset in self.document["datasets"] if dataset["id"] == name)
        return found

    def asset(self, dataset: str, asset: str = "") -> dict[str, Any]:
        """One asset; the only one by default."""
        found: list[dict[str, Any]]
        found = [item for item in self.dataset(dataset)["assets"] if not asset or item["asset"] == asset]
        assert len(found) == 1, [item["asset"] for item in self.dataset(dataset)["assets"]]
        return found[0]

    def rows(self) -> list[dict[str, str]]:
        """``metadata.csv``, as text."""
        with (self.path / "metadata.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def values(part: dict[str, Any], *names: str) -> list[Any]:
    """Values of some fields of an asset or array; None for unknown ones."""
    return [part["fields"].get(name, {}).get("value") for name in names]


def vector(part: dict[str, Any], pattern: str) -> list[Any]:
    """Values of a field for z, y, x."""
    return values(part, *(pattern.format(axis) for axis in "zyx"))


def sources(part: dict[str, Any], pattern: str) -> list[Any]:
    """Where they come from."""
    return [part["fields"].get(pattern.format(axis), {}).get("source") for axis in "zyx"]


def conflict(part: dict[str, Any], name: str) -> dict[str, Any]:
    """The conflict about one field."""
    found: dict[str, Any]
    (found,) = (item for item in part["conflicts"] if item["field"] == name)
    return found
