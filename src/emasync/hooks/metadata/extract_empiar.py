"""EMPIAR entries: the answer of the API, and the XML beside the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from emasync.hooks.metadata.claims import Claim, Claims, items, member, number_of, text_of
from emasync.hooks.metadata.rights import doi_claims

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FAQ: Final = "https://www.ebi.ac.uk/empiar/faq"
"""Says of all data in EMPIAR that it is under CC0."""

_DTYPES: Final = {
    "UNSIGNED BYTE": "uint8",
    "SIGNED BYTE": "int8",
    "UNSIGNED 16 BIT INTEGER": "uint16",
    "SIGNED 16 BIT INTEGER": "int16",
    "UNSIGNED 32 BIT INTEGER": "uint32",
    "SIGNED 32 BIT INTEGER": "int32",
    "32 BIT FLOAT": "float32",
}
"""``voxel_type`` (``empiar_deposition.schema.json`` of emdb-empiar/empiar-depositor)."""


def empiar_claims(answer: Mapping[str, Any], claims: Claims) -> None:
    """Claims of one answer: one entry by its accession.

    Sizes are what depositors typed in: pixel sizes in Angstrom, image sizes as text.

    Parameters
    ----------
    answer : mapping
        Any: JSON.
    claims : Claims
        Grows.
    """
    accession, entry = next(iter(answer.items()), ("", None))
    if not isinstance(entry, dict):
        return
    claims.text("accession", accession, "")
    claims.text("source_url", f"https://www.ebi.ac.uk/empiar/{text_of(accession)}/", "")
    claims.text("title", entry.get("title"), "title")
    claims.text("technique", entry.get("experiment_type"), "experiment_type")
    claims.text("version", entry.get("update_date") or entry.get("release_date"), "update_date, release_date")
    doi_claims(entry.get("entry_doi"), "entry_doi", claims)
    licence = Claim(field="license_spdx", value="CC0-1.0", source="webpage", where=FAQ)
    claims.add(licence)
    authors = [member(author, "author", "name") for author in items(entry.get("authors"))]
    claims.texts("authors", authors, "authors")
    organization = member(entry, "corresponding_author", "author", "organization")
    claims.text("institution", organization, "corresponding_author.author.organization")
    for number, paper in enumerate(items(entry.get("citation"))):
        doi_claims(member(paper, "doi"), f"citation[{number}].doi", claims)
    for number, images in enumerate(items(entry.get("imagesets"))):
        if isinstance(images, dict):
            _imageset(images, f"imagesets[{number}]", claims)


def _imageset(images: dict[str, Any], where: str, claims: Claims) -> None:
    """One set of images (Any: JSON), about its folder."""
    scope = text_of(images.get("directory")).strip("/")
    claims.text("description", images.get("details"), f"{where}.details", scope=scope)
    claims.text("sample", images.get("name"), f"{where}.name", scope=scope)
    for axis, size, pixel in (("x", "image_width", "pixel_width"), ("y", "image_height", "pixel_height")):
        claims.number(f"shape_{axis}", images.get(size), f"{where}.{size}", scope=scope)
        claims.length(f"voxel_size_{axis}_nm", images.get(pixel), "angstrom", f"{where}.{pixel}", scope=scope)
    claims.text("dtype", _DTYPES.get(text_of(images.get("voxel_type"))), f"{where}.voxel_type", scope=scope)


def empiar_xml_claims(data: bytes, claims: Claims) -> None:
    """Claims of ``<entry>.xml`` (namespace ``http://pdbe.org/empiar``, schema 0.64).

    Parameters
    ----------
    data : bytes
    claims : Claims
        Grows.
    """
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        claims.notes.append(f"{claims.document} does not parse: {type(error).__name__}")
        return
    for title in _below(root, "admin", "title"):
        claims.text("title", title.text, "admin/title")
    for doi in _below(root, "admin", "entryDOI"):
        doi_claims(doi.text, "admin/entryDOI", claims)
    for number, images in enumerate(_below(root, "imageSet")):
        where = f"imageSet[{number}]"
        scope = next((text_of(node.text).strip("/") for node in _below(images, "directory")), "")
        for axis, size, pixel in (("x", "imageWidth", "pixelWidth"), ("y", "imageHeight", "pixelHeight")):
            for node in _below(images, "dimensions", size):
                claims.number(f"shape_{axis}", _number(node), f"{where}/{size}", scope=scope)
            for node in _below(images, "dimensions", pixel):
                unit = node.get("units") or "angstrom"
                claims.length(f"voxel_size_{axis}_nm", _number(node), unit, f"{where}/{pixel}", scope=scope)


def _number(node: Element) -> object:
    """XML has no numbers: one in an element is not in quotes."""
    return found if (found := number_of(node.text)) is not None else node.text


def _below(node: Element, *names: str) -> Iterator[Element]:
    """Elements at a path of local names."""
    if not names:
        yield node
        return
    for child in node:
        if child.tag.rpartition("}")[2] == names[0]:
            yield from _below(child, *names[1:])
