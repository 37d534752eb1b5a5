"""IDR images: answers of OMERO's JSON API, of the viewer's, map annotations, and which files an image is of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from emasync.hooks.metadata.claims import Claims, items, member, number_of, text_of
from emasync.hooks.metadata.rights import doi_claims, license_claims

_NAME: Final = re.compile(r"(?P<kind>image|imgData|annotations|original_file_paths)-(?P<image>\d+)\.json")
_IMPORTED: Final = "uod/idr/filesets/"
"""Begins the imported path of a file whose rest is its path in the public tree (``IDR/idr.openmicroscopy.org``,
``_data/download_urls.tsv``)."""

_ANNOTATIONS: Final = {
    "organism": "organism",
    "cell line": "tissue",
    "organism part": "tissue",
    "imaging method": "technique",
    "sample preparation": "preparation",
    "strain": "strain",
    "developmental stage": "developmental_stage",
}
"""Keys of IDR's map annotations, lower case, that are fields of the table."""

Answers = Mapping[str, Any]


@dataclass(slots=True)
class IdrRecords:
    """Answers by image (mutable: grows)."""

    _of_image: dict[str, dict[str, Answers]] = field(default_factory=dict)

    def take(self, name: str, value: Answers) -> None:
        """Take one answer (Any: JSON), by the name it is kept under."""
        found = _NAME.fullmatch(name)
        if found is not None:
            self._of_image.setdefault(found["image"], {})[found["kind"]] = value

    def claims(self) -> Iterator[Claims]:
        """What they say, about the files of each image; about the dataset where these are not known."""
        for image, answers in self._of_image.items():
            for scope in _files(answers.get("original_file_paths", {})) or [""]:
                for kind, value in answers.items():
                    claims = Claims("api", f"idr/{kind}-{image}.json", scope)
                    _EXTRACTORS[kind](value, claims)
                    yield claims


def _files(value: Answers) -> list[str]:
    paths = [text_of(path) for path in items(value.get("client"))]
    return [path.removeprefix(_IMPORTED) for path in paths if path.startswith(_IMPORTED)]


def _image(value: Answers, claims: Claims) -> None:
    """``/api/v0/m/images/<id>/``: ``data`` is an object, a list in the documentation; null members are left out."""
    data = value.get("data")
    image = items(data)[0] if items(data) else data
    pixels = member(image, "Pixels")
    claims.text("title", member(image, "Name"), "data.Name")
    if number := number_of(member(image, "@id")):
        claims.text("accession", f"IDR image {int(number)}", "data.@id")
        show = f"https://idr.openmicroscopy.org/webclient/?show=image-{int(number)}"
        claims.text("source_url", show, "data.@id")
    for axis in "XYZCT":
        claims.number(f"shape_{axis.lower()}", member(pixels, f"Size{axis}"), f"Pixels.Size{axis}")
    for axis in "XYZ":
        size = member(pixels, f"PhysicalSize{axis}")
        where = f"Pixels.PhysicalSize{axis}"
        claims.length(f"voxel_size_{axis.lower()}_nm", member(size, "Value"), member(size, "Unit"), where)
    claims.text("dtype", member(pixels, "Type", "value"), "Pixels.Type")
    claims.texts("channels", [member(one, "Name") for one in items(member(pixels, "Channels"))], "Pixels.Channels")
    moment = number_of(member(image, "AcquisitionDate"))
    if moment is not None and 0 < moment < 4e12:  # noqa: PLR2004 - milliseconds, until 2096
        text = datetime.fromtimestamp(moment / 1000, UTC).isoformat().replace("+00:00", "Z")
        claims.claim("acquired_at", text, "data.AcquisitionDate")


def _viewer(value: Answers, claims: Claims) -> None:
    """``/webclient/imgData/<id>/``: sizes in micrometres, or null."""
    for axis, name in (("x", "width"), ("y", "height"), ("z", "z"), ("c", "c"), ("t", "t")):
        claims.number(f"shape_{axis}", member(value, "size", name), f"size.{name}")
    for axis in "xyz":
        size = member(value, "pixel_size", axis)
        claims.length(f"voxel_size_{axis}_nm", size, "micrometer", f"pixel_size.{axis}")


def _annotations(value: Answers, claims: Claims) -> None:
    for number, annotation in enumerate(items(value.get("annotations"))):
        for pair in items(member(annotation, "values")):
            name, told = (text_of(part) for part in pair) if isinstance(pair, list) and len(pair) == 2 else ("", "")  # noqa: PLR2004
            where = f"annotations[{number}]: {name}"
            key = name.lower()
            if key in _ANNOTATIONS:
                claims.text(_ANNOTATIONS[key], told, where)
            elif key.endswith("doi"):
                doi_claims(told, where, claims)
            elif key in ("license", "copyright"):
                license_claims(told, where, claims)


def _nothing(value: Answers, claims: Claims) -> None:
    """The list of files is read elsewhere."""
    del value, claims


_EXTRACTORS: Final = {
    "image": _image,
    "imgData": _viewer,
    "annotations": _annotations,
    "original_file_paths": _nothing,
}
