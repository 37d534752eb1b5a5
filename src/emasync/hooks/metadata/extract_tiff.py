"""Tags of TIFF files, and the texts that OME and ImageJ put into their first description."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from emasync.formats.stored import ByteSource, HeaderBytes
from emasync.formats.tiff.chain import Directories
from emasync.formats.tiff.directory import form_of
from emasync.formats.tiff.ome import MAX_XML_BYTES, is_ome
from emasync.hooks.metadata.claims import Claims, shown

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DESCRIPTION, _MAKE, _MODEL, _SOFTWARE, _DATE, _ARTIST, _COPYRIGHT = 270, 271, 272, 305, 306, 315, 33432
_MAX_TEXT_BYTES: Final = 4_096
_MOMENT: Final = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
_MAX_CHANNELS: Final = 200


def tiff_claims(file: ByteSource, claims: Claims) -> None:
    """What the first directory says about the picture (TIFF 6.0, section 8), and OME-XML or ImageJ in it.

    Parameters
    ----------
    file : ByteSource
    claims : Claims
        Grows.

    Raises
    ------
    FormatError
        The file contradicts the format.
    """
    header = HeaderBytes(file)
    form = form_of(header.take(0, min(16, header.size_bytes)))
    if form is None:
        return
    first = next(iter(Directories(header, form).chain()), None)
    if first is None:
        return
    texts = {
        tag: first.text(tag, _MAX_TEXT_BYTES).split(b"\0")[0].decode("utf-8", "replace")
        for tag in (_MAKE, _MODEL, _SOFTWARE, _DATE, _ARTIST, _COPYRIGHT)
    }
    claims.text("instrument", " ".join(part for part in (texts[_MAKE], texts[_MODEL]) if part), "Make, Model")
    claims.texts("processing", [texts[_SOFTWARE]], "Software")
    claims.texts("authors", [texts[_ARTIST]], "Artist")
    claims.text("license_text", texts[_COPYRIGHT], "Copyright")
    if found := _MOMENT.fullmatch(texts[_DATE].strip()):
        text = f"{found[1]}-{found[2]}-{found[3]}T{found[4]}"
        claims.claim("acquired_at", text, "DateTime", note="when the file was made")
    _described(first.text(_DESCRIPTION, MAX_XML_BYTES), claims)


def _described(description: bytes, claims: Claims) -> None:
    if is_ome(description):
        _ome(description, claims)
    elif description.startswith(b"ImageJ="):
        version = description.splitlines()[0].partition(b"=")[2].decode("latin-1")
        claims.claim("metadata_convention", f"ImageJ {shown(version)}", "ImageDescription")
    elif description and b"\0" not in description.rstrip(b"\0"):
        claims.text("description", description.rstrip(b"\0").decode("utf-8", "replace"), "ImageDescription")


def _ome(description: bytes, claims: Claims) -> None:
    """The first image of OME-XML (OME data model 2016-06)."""
    try:
        root: Element = fromstring(description, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        claims.notes.append(f"OME-XML does not parse: {type(error).__name__}")
        return
    claims.claim("metadata_convention", "OME-TIFF", "ImageDescription")
    image = _first(root, "Image")
    if image is None:
        return
    claims.text("title", image.get("Name"), "OME-XML: Image/@Name")
    claims.text("description", _text(image, "Description"), "OME-XML: Image/Description")
    claims.text("acquired_at", _text(image, "AcquisitionDate"), "OME-XML: Image/AcquisitionDate")
    pixels = _first(image, "Pixels")
    channels = [] if pixels is None else [node for node in pixels if _local(node) == "Channel"]
    claims.texts("channels", [node.get("Name") for node in channels[:_MAX_CHANNELS]], "OME-XML: Channel/@Name")
    microscope = _first(_first(root, "Instrument"), "Microscope")
    if microscope is not None:
        name = " ".join(filter(None, (microscope.get("Manufacturer"), microscope.get("Model"))))
        claims.text("instrument", name, "OME-XML: Instrument/Microscope")
    claims.text("license_text", _text(root, "Rights", "RightsHeld"), "OME-XML: Rights/RightsHeld")


def _local(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _first(node: Element | None, name: str) -> Element | None:
    return None if node is None else next((child for child in node if _local(child) == name), None)


def _text(node: Element, *names: str) -> str | None:
    found: Element | None = node
    for name in names:
        found = _first(found, name)
    return None if found is None else found.text
