"""Pictures as they stand on a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from emasync.hooks.report.markup import data_uri, tag
from emasync.hooks.report.pictures import PNG, SVG, ArrayPictures, Picture

_CLASSES: Final = {PNG: "plane", SVG: "traces"}


def show(arrays: Sequence[ArrayPictures]) -> list[Element]:
    """A figure an array: its planes, its coverage, and what they are."""
    return [_array(array) for array in arrays]


def _array(array: ArrayPictures) -> Element:
    about = tag("figcaption", tag("strong", array.name), " ", array.about)
    note = tag("p", f"No picture: {array.note}", class_="sum") if array.note else None
    planes = tag("div", [_picture(plane, _CLASSES[plane.kind]) for plane in array.planes], class_="planes")
    coverage = None if array.coverage is None else _picture(array.coverage, "coverage")
    return tag("figure", planes if array.planes else None, coverage, about, note, class_="array")


def show_boxes(pictures: Sequence[Picture]) -> Element | None:
    """Where a box lies in its array; None where there is none."""
    if not pictures:
        return None
    views = tag("div", [tag("img", src=data_uri(one.kind, one.data), alt=one.alt) for one in pictures], class_="planes")
    return tag(
        "figure",
        views,
        tag("figcaption", f"The box, seen along z and along y: {pictures[0].caption}"),
        class_="array box",
    )


def _picture(picture: Picture, kind: str) -> Element:
    image = tag("img", src=data_uri(picture.kind, picture.data), alt=picture.alt, class_=kind)
    return tag("figure", image, tag("figcaption", picture.caption))
