"""Entries of the Registry of Open Data on AWS (``awslabs/open-data-registry``, ``schema.yaml``)."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from emasync.hooks.metadata.claims import Claims, items, member, text_of
from emasync.hooks.metadata.rights import doi_claims, license_claims, reference_claims

MAX_ENTRY_BYTES: Final = 1 << 20

_LINK: Final = re.compile(r"\[([^\]]{1,200})\]\([^)]{0,500}\)")


def registry_claims(data: bytes, claims: Claims) -> None:
    """Title, licence, citation of an entry; free text and markdown stay text.

    Parameters
    ----------
    data : bytes
        YAML.
    claims : Claims
        Grows.
    """
    if len(data) > MAX_ENTRY_BYTES:
        claims.notes.append(f"{claims.document} is longer than {MAX_ENTRY_BYTES:,} bytes; it is not read")
        return
    try:
        entry: Any = yaml.safe_load(data)  # Any: YAML, checked below
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        claims.notes.append(f"{claims.document} does not parse: {type(error).__name__}")
        return
    claims.text("title", member(entry, "Name"), "Name")
    claims.text("description", member(entry, "Description"), "Description")
    claims.text("source_url", member(entry, "Documentation"), "Documentation")
    license_claims(member(entry, "License"), "License", claims)
    reference_claims(member(entry, "Citation"), "Citation", claims)
    manager = text_of(member(entry, "ManagedBy"))
    claims.text("institution", _LINK.sub(r"\1", manager), "ManagedBy")
    for number, paper in enumerate(items(member(entry, "DataAtWork", "Publications"))):
        doi_claims(member(paper, "URL"), f"DataAtWork.Publications[{number}].URL", claims)
    if member(entry, "Deprecated") is True:
        claims.notes.append(f"{claims.document}: the registry calls this dataset deprecated")
