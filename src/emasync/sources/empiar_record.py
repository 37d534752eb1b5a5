"""What EMPIAR says of an entry: the API's JSON and the XML beside the data, in the same values. No I/O.

Both are filled in by hand and typed loosely: numbers come as text, folders with and without a leading slash. Only
what a cross-check needs is read; what the answers hold beyond that is kept as received.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any
from xml.etree.ElementTree import Element, ParseError

import orjson
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.model.task import escape_for_log

MAX_IMAGE_SETS = 10_000
"""Most image sets of one entry."""

_ITEMSIZE_BYTES = {
    "UNSIGNED BYTE": 1,
    "SIGNED BYTE": 1,
    "UNSIGNED 16 BIT INTEGER": 2,
    "SIGNED 16 BIT INTEGER": 2,
    "UNSIGNED 32 BIT INTEGER": 4,
    "SIGNED 32 BIT INTEGER": 4,
    "32 BIT FLOAT": 4,
}
"""By ``voxel_type`` (``empiar_deposition.schema.json``); types of less than a byte are left out."""

_NAMESPACE = "{http://pdbe.org/empiar}"
_SIZE = re.compile(r"\s*([0-9]{1,12}(?:\.([0-9]{1,6}))?)\s*([KMGTP]?)i?B\s*", re.IGNORECASE)


def _number(value: object) -> float | None:
    """A number, also from text; None for what is none."""
    try:
        number = float(value) if isinstance(value, str | int | float) else float("nan")
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None  # noqa: PLR2004 - neither infinite nor NaN


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _folder(value: object) -> str:
    """``data`` and ``/data/`` are the same folder; empty for the entry as a whole."""
    return "/".join(segment for segment in _text(value).strip().split("/") if segment not in ("", "."))


Number = Annotated[float | None, BeforeValidator(_number)]
Words = Annotated[str, BeforeValidator(_text)]


class ImageSet(BaseModel):
    """One image set of an entry: images of one kind in one folder.

    Attributes
    ----------
    directory : str
        Relative to the entry's folder, without slashes around it.
    images : float or None
        Number of images or tilt series, as the depositor counted them.
    width, height : float or None
        Pixels.
    pixel_width, pixel_height : float or None
        Angstrom.
    voxel_type : str
        Such as ``UNSIGNED BYTE``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Words = ""
    directory: Annotated[str, BeforeValidator(_folder)] = ""
    data_format: Words = Field("", validation_alias=AliasChoices("data_format", "dataFormat"))
    images: Number = Field(None, validation_alias=AliasChoices("num_images_or_tilt_series", "numImagesOrTiltSeries"))
    width: Number = Field(None, validation_alias=AliasChoices("image_width", "imageWidth"))
    height: Number = Field(None, validation_alias=AliasChoices("image_height", "imageHeight"))
    pixel_width: Number = Field(None, validation_alias=AliasChoices("pixel_width", "pixelWidth"))
    pixel_height: Number = Field(None, validation_alias=AliasChoices("pixel_height", "pixelHeight"))
    voxel_type: Words = Field("", validation_alias=AliasChoices("voxel_type", "voxelType"))

    @property
    def image_bytes(self) -> int | None:
        """Bytes of one image without compression; None where the entry does not say."""
        itemsize_bytes = _ITEMSIZE_BYTES.get(self.voxel_type)
        if itemsize_bytes is None or self.width is None or self.height is None:
            return None
        return int(self.width * self.height) * itemsize_bytes


class EmpiarRecord(BaseModel):
    """One entry, as one of its two documents tells it.

    Attributes
    ----------
    status : str
        ``REL`` for a released entry.
    dataset_size : str
        Such as ``1.2 GB``, typed in.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: Words = ""
    status: Words = ""
    entry_doi: Words = ""
    dataset_size: Words = ""
    imagesets: Annotated[tuple[ImageSet, ...], BeforeValidator(lambda value: value or ())] = Field(
        (), max_length=MAX_IMAGE_SETS
    )


def from_api(data: bytes, entry: int, url: str) -> EmpiarRecord:
    """Read the API's answer: the one value of an object whose key is the accession.

    Raises
    ------
    SourceError
        ``not_found``: there is no such entry.
    FormatError
        Something else came: a page, another entry, another shape.
    """
    accession = f"EMPIAR-{entry}"
    answer = _object(data, url)
    if answer.keys() == {"detail"}:
        raise unknown_entry(entry, url, escape_for_log(_text(answer["detail"])[:100]))
    if answer.keys() != {accession} or not isinstance(answer[accession], dict):
        names = escape_for_log(", ".join(map(str, answer))[:200])
        message = f"{url}: expected an object with the one key {accession}, got the keys {names or 'none'}"
        raise FormatError(message, location=url)
    return _record(answer[accession], url)


def from_xml(data: bytes, entry: int, url: str) -> EmpiarRecord:
    """Read the entry's XML (schema ``empiar.xsd``, namespace ``http://pdbe.org/empiar``).

    Raises
    ------
    FormatError
        No XML, one with a document type or entities of its own, or one about something else.
    """
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise FormatError(f"{url}: not XML that can be read ({str(error)[:200]})", location=url) from error
    accession = root.get("accessionCode", "")
    if accession != f"EMPIAR-{entry}":
        shown = escape_for_log(accession[:100])
        raise FormatError(f"{url}: expected the entry EMPIAR-{entry}, got {shown!r}", location=url)
    if root.tag != f"{_NAMESPACE}entry":
        raise FormatError(f"{url}: expected an EMPIAR <entry>, got <{escape_for_log(root.tag[:100])}>", location=url)
    size = _find(root, "admin/datasetSize")
    said = {
        "title": _said(_find(root, "admin/title")),
        "status": _said(_find(root, "admin/currentStatus")),
        "entry_doi": _said(_find(root, "admin/entryDOI")),
        "dataset_size": "" if size is None else f"{_said(size)} {size.get('units', '')}",
        "imagesets": [_leaves(item) for item in root.iterfind(f"{_NAMESPACE}imageSet")],
    }
    return _record(said, url)


def unknown_entry(entry: int, url: str, said: str) -> SourceError:
    """The error for an entry that is not there."""
    message = f"{url}: EMPIAR has no released entry {entry} ({said}); check the number (`entry:`)"
    return SourceError(message, kind=ErrorKind.NOT_FOUND, location=url)


def size_range(text: str) -> tuple[float, float] | None:
    """Bytes that a typed-in size may stand for, rounding and both meanings of GB included; None for no size."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    slack = 0.5 * 10.0 ** -len(match[2] or "")
    power = "KMGTP".find(match[3].upper()) + 1 if match[3] else 0
    number = float(match[1])
    return max(0.0, number - slack) * 1000.0**power, (number + slack) * 1024.0**power


def _object(data: bytes, url: str) -> dict[str, Any]:
    """Any: JSON, checked by the caller."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        seen = escape_for_log(data[:100].decode("utf-8", "replace"))
        message = f"{url}: expected a JSON object of the EMPIAR API, got {seen!r}; the service may be down, run again"
        raise FormatError(message, location=url)
    return answer


def _record(said: dict[str, Any], url: str) -> EmpiarRecord:
    try:
        return EmpiarRecord.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FormatError(f"{url}: {where}: {first['msg']}", location=url) from error


def _find(root: Element, path: str) -> Element | None:
    return root.find("/".join(f"{_NAMESPACE}{name}" for name in path.split("/")))


def _said(element: Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _leaves(element: Element) -> dict[str, str]:
    """Texts of all elements below, by their names without namespace; the first of a name counts."""
    found: dict[str, str] = {}
    leaves: Iterable[Element] = (item for item in element.iter() if len(item) == 0)
    for item in leaves:
        found.setdefault(item.tag.rpartition("}")[2], _said(item))
    return found
