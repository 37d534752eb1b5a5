"""A row of the catalog as text: what is known of it in words, and a manifest made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

import yaml

from emasync.sources.catalog_entry import CatalogEntry

WIDTH = 118
"""Characters of a line of comment, its mark left out."""


def facts_of(entry: CatalogEntry) -> Iterator[tuple[str, str]]:
    """Names and values of a row, in words; what is unknown is said to be."""
    yield "archive", f"{entry.archive} (source: {entry.source})"
    yield "location", entry.location
    yield "format", entry.format
    yield "shape, z y x", _numbers(entry.shape_zyx, "") + (f", {entry.dtype}" if entry.dtype else "")
    yield "voxel, z y x", voxel_of(entry) + (f"; from: {entry.voxel_from}" if entry.voxel_from else "")
    yield "size", size_of(entry)
    yield "licence", entry.licence or "unknown"
    yield "citation", entry.citation or "unknown"
    yield from (("uncertain", text) for text in entry.uncertain)
    yield from (("in conflict", text) for text in entry.conflicts)


def voxel_of(entry: CatalogEntry) -> str:
    """Voxel size with its unit."""
    return _numbers(entry.voxel_size_zyx, entry.voxel_unit or "")


def size_of(entry: CatalogEntry) -> str:
    """Bytes and objects of the whole dataset."""
    if entry.size_bytes is None:
        return "unknown"
    objects = "" if entry.objects is None else f" in {entry.objects:,} {'file' if entry.objects == 1 else 'files'}"
    return f"{entry.size_bytes:,} bytes{objects}"


def commented(entry: CatalogEntry) -> str:
    """A row as comment lines, so that row and manifest together are a manifest."""
    lines = [f"# {entry.name}: {entry.summary}"]
    for name, value in facts_of(entry):
        first, *others = wrap(value, WIDTH - 16, break_long_words=False, break_on_hyphens=False)
        lines += [f"#   {name + ':':14}{first}", *(f"#   {'':14}{text}" for text in others)]
    return "\n".join(lines) + "\n"


def manifest_of(entry: CatalogEntry, fields: Mapping[str, Any], max_total: str | None) -> str:
    """A manifest of one dataset.

    Parameters
    ----------
    entry : CatalogEntry
    fields : mapping
        Of the dataset, without its id (Any: YAML values).
    max_total : str or None
        Guard, where nobody knows how large it is.
    """
    head: dict[str, Any] = {"version": 1}
    if max_total is not None:
        head["settings"] = {"max_total": max_total}
    metadata: dict[str, Any] = {"license": entry.licence, "citation": entry.citation}
    if fields["source"] == "web" and entry.voxel_size_zyx is not None:  # the other sources' formats tell their own
        told = {"axes": "zyx", "voxel_size": list(entry.voxel_size_zyx), "unit": entry.voxel_unit}
        metadata = {**told, **metadata}
    dataset = {"id": entry.name, **fields, "metadata": metadata}
    body = yaml.safe_dump(
        {**head, "datasets": [dataset]}, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=None
    )
    comments = [
        entry.summary,
        f"Size of the whole: {size_of(entry)}.",
        *(f"Uncertain: {text}." for text in entry.uncertain),
    ]
    return "".join(f"# {line}\n" for text in comments for line in wrap(text, WIDTH)) + body


def _numbers(values: tuple[float, ...] | None, unit: str) -> str:
    if values is None:
        return "unknown"
    return " x ".join(f"{value:.10g}" for value in values) + f" {unit}".rstrip()
