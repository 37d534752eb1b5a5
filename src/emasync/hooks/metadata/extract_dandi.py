"""DANDI: records of dandisets and assets (dandischema 0.3 to 0.7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from emasync.hooks.metadata.claims import Claims, items, member, text_of
from emasync.hooks.metadata.rights import doi_claims, license_claims

_TAXON: Final = re.compile(r"(?:NCBITaxon[_:]|txid)(\d{1,9})")
_SCIENTIFIC: Final = {
    6239: "Caenorhabditis elegans",
    7227: "Drosophila melanogaster",
    7955: "Danio rerio",
    9483: "Callithrix jacchus",
    9544: "Macaca mulatta",
    9606: "Homo sapiens",
    9669: "Mustela putorius furo",
    10090: "Mus musculus",
    10116: "Rattus norvegicus",
}
"""By number in the NCBI taxonomy: records say ``Human``, ``House mouse``, and the number."""

_COMMON: Final = {"human": 9606, "house mouse": 10090, "zebrafish": 7955, "norway rat": 10116, "brown rat": 10116}
"""Names that are of one species only; ``mouse`` is not."""

_KEPT: Final = (
    *("wasAttributedTo", "wasGeneratedBy", "wasDerivedFrom", "digest", "measurementTechnique", "approach"),
    *("encodingFormat", "identifier", "blobDateModified", "name"),
)
"""Members of an asset's record that are read."""

_MAX_ASSETS: Final = 100_000
"""Of one document."""


def dandiset_claims(value: Mapping[str, Any], claims: Claims) -> None:
    """The record of a version of a dandiset.

    Parameters
    ----------
    value : mapping
        Any: JSON.
    claims : Claims
        Grows.
    """
    claims.text("accession", value.get("identifier"), "identifier")
    claims.text("version", value.get("version"), "version")
    claims.text("title", value.get("name"), "name")
    claims.text("description", value.get("description"), "description")
    claims.text("source_url", value.get("url"), "url")
    claims.text("citation", value.get("citation"), "citation")
    doi_claims(value.get("doi"), "doi", claims)
    for number, licence in enumerate(items(value.get("license"))):
        license_claims(licence, f"license[{number}]", claims)
    people = [one for one in items(value.get("contributor")) if member(one, "schemaKey") == "Person"]
    cited = [one for one in people if member(one, "includeInCitation") is not False]
    claims.texts("authors", [member(one, "name") for one in cited], "contributor")
    for number, resource in enumerate(items(value.get("relatedResource"))):
        doi_claims(member(resource, "identifier") or member(resource, "url"), f"relatedResource[{number}]", claims)
    techniques = items(member(value, "assetsSummary", "measurementTechnique"))
    joined = ", ".join(dict.fromkeys(filter(None, (text_of(member(one, "name")) for one in techniques))))
    claims.text("technique", joined, "assetsSummary.measurementTechnique")
    species = items(member(value, "assetsSummary", "species"))
    if len(species) == 1:
        species_claims(species[0], "assetsSummary.species[0]", claims)


def read_assets(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Paths of a page of assets, and what is read of their records."""
    try:
        rows: Any = orjson.loads(data)  # Any: JSON, checked below
    except orjson.JSONDecodeError:
        return
    for row in rows[:_MAX_ASSETS] if isinstance(rows, list) else ():
        path, record = member(row, "path"), member(row, "metadata")
        if isinstance(path, str) and isinstance(record, dict):
            yield path, orjson.dumps({name: record[name] for name in _KEPT if name in record})


def asset_claims(record: Mapping[str, Any], claims: Claims) -> None:
    """The record of one asset.

    Parameters
    ----------
    record : mapping
        Any: JSON, as :func:`read_assets` left it.
    claims : Claims
        Grows.
    """
    for number, agent in enumerate(items(record.get("wasAttributedTo"))):
        if member(agent, "schemaKey") == "Participant":
            _participant(agent, f"wasAttributedTo[{number}]", claims)
    for number, activity in enumerate(items(record.get("wasGeneratedBy"))):
        if member(activity, "schemaKey") == "Session":
            where = f"wasGeneratedBy[{number}]"
            claims.text("session_id", member(activity, "identifier"), f"{where}.identifier")
            claims.text("description", member(activity, "description"), f"{where}.description")
            claims.text("acquired_at", member(activity, "startDate"), f"{where}.startDate")
            used = [member(one, "name") for one in items(member(activity, "used"))]
            claims.text("probe", ", ".join(dict.fromkeys(filter(None, map(text_of, used)))), f"{where}.used")
    techniques = [text_of(member(one, "name")) for one in items(record.get("measurementTechnique"))]
    claims.text("technique", ", ".join(filter(None, techniques)), "measurementTechnique")
    approaches = [text_of(member(one, "name")) for one in items(record.get("approach"))]
    claims.text("modality", ", ".join(filter(None, approaches)), "approach")
    for number, sample in enumerate(items(record.get("wasDerivedFrom"))):
        claims.text("sample", member(sample, "identifier"), f"wasDerivedFrom[{number}].identifier")
        claims.text("tissue", member(sample, "sampleType", "name"), f"wasDerivedFrom[{number}].sampleType")
    checksum = member(record.get("digest"), "dandi:dandi-zarr-checksum")
    if text_of(checksum):
        claims.claim("other_digests", f"dandi-zarr-checksum:{text_of(checksum)}", "digest")


def _participant(agent: object, where: str, claims: Claims) -> None:
    subject = text_of(member(agent, "identifier"))
    told = subject.removeprefix("sub-")
    claims.claim("subject_id", told, f"{where}.identifier", original=subject if told != subject else "")
    claims.text("age", member(agent, "age", "value"), f"{where}.age")
    claims.text("genotype", member(agent, "genotype"), f"{where}.genotype")
    claims.text("strain", member(agent, "strain", "name"), f"{where}.strain")
    sex_claims(member(agent, "sex", "name"), f"{where}.sex", claims)
    species_claims(member(agent, "species"), f"{where}.species", claims)


def species_claims(species: object, where: str, claims: Claims) -> None:
    """A species: its scientific name without the common one, and its taxon."""
    said = text_of(member(species, "name")) or text_of(species)
    taxon = next(filter(None, (_taxon(member(species, name)) for name in ("identifier", "registry_identifier"))), None)
    plain = said.partition(" - ")[0].strip()
    name = _SCIENTIFIC.get(taxon or _COMMON.get(plain.casefold(), 0), plain)
    claims.claim("organism", name, where, original="" if name == said else said)
    claims.claim("ncbi_taxon", taxon, where)


def _taxon(raw: object) -> int | None:
    """A number of the NCBI taxonomy, plain or at the end of an identifier or link."""
    text = text_of(raw)
    found = _TAXON.search(text)
    number = found[1] if found is not None else text
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 9 else None  # noqa: PLR2004 - as in _TAXON


def sex_claims(raw: object, where: str, claims: Claims) -> None:
    """``male``, ``female``, ``other`` or ``unknown`` out of what archives write; other texts stay what they are."""
    text = text_of(raw)
    known = {"m": "male", "f": "female", "u": "unknown", "o": "other"}
    found = known.get(text.lower(), text.lower())
    claims.claim("sex", found, where, original=text if found != text else "")
