"""Files of the Registry of Open Data on AWS, as the repository has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = "awslabs/open-data-registry/main/datasets"
"""Path of the entries below ``https://raw.githubusercontent.com``."""


def bucket_resource(arn: str, *, region: str = "us-west-2", **more: Any) -> dict[str, Any]:
    """One resource of an entry (Any: YAML values).

    Parameters
    ----------
    arn : str
    region : str
    **more
        Further keys, such as ``RequesterPays``.
    """
    return {"Description": "Project data files", "ARN": arn, "Region": region, "Type": "S3 Bucket", **more}


def entry_text(resources: Sequence[Mapping[str, Any]], **more: Any) -> bytes:
    """A registry file: free text where real ones have it, keys with null values, no dates of its making.

    Parameters
    ----------
    resources : sequence of mapping
        Any: YAML values.
    **more
        Further keys of the file, such as ``Deprecated``.
    """
    content: dict[str, Any] = {
        "Name": "Mouse Neuroanatomy and Physiology Data",
        "Description": "Raw and derived data, shared as near to the time of collection as possible.\nIn two lines. ",
        "Documentation": "https://example.org/data.html",
        "Contact": "contact@example.org",
        "ManagedBy": "[An institute](https://example.org/)",
        "UpdateFrequency": "Weekly",
        "Tags": ["aws-pds", "neurobiology"],
        "License": "[CC-BY-4.0](https://creativecommons.org/licenses/by/4.0/), and more",
        "Resources": [dict(item) for item in resources],
        "DataAtWork": {"Tutorials": None, "Tools & Applications": None, "Publications": []},
        **more,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def registry_objects(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Registry files by path below the raw host, for a store.

    Parameters
    ----------
    entries : mapping of str to bytes
        File by slug.
    """
    return {f"{REPOSITORY}/{slug}.yaml": text for slug, text in entries.items()}


def write_registry(folder: Path, entries: Mapping[str, bytes]) -> None:
    """Write registry files where a store of `folder` serves them as the raw host does.

    Parameters
    ----------
    folder : Path
    entries : mapping of str to bytes
        File by slug.
    """
    for path, text in registry_objects(entries).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)
