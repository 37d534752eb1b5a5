"""One slice of a serial block-face series as Gatan's 3View saves it: a thumbnail first, then the image, many tags.

Names, order and types of the tags are those of EMPIAR-11759 (its tag dumps) and of other files of the program; with
the true sizes the pixels lie at the true offsets. Behind the pixels, tags that say nothing about the image are left
out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from emasync.testing.dm3 import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    UINT8,
    UINT16,
    UINT32,
    Tag,
    array,
    array_of_fields,
    each,
    fields,
    simple,
    text,
    write_dm3,
)
from emasync.testing.sparse import Body, Literal, Piece

THUMBNAIL_TYPE, UINT8_TYPE = 23, 6
"""``DataType`` of a thumbnail (four bytes a pixel) and of the image."""

PIXEL_UM = 0.007998250424861908
SLICE_NM = 50.0

_VERSION = "3.21.1374.0"
_NOWHERE = (0.0, 0.0, 256.0, 256.0)
_NO_CALIBRATION = {"Origin": simple(FLOAT32, 0), "Scale": simple(FLOAT32, 1), "Units": text("")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What differs between the slices of a series.

    Attributes
    ----------
    number : int
    rows, columns : int
    thumbnail : tuple of int
        Columns and rows of the thumbnail: it stands before the image, whose offset follows from it.
    pixels : Piece
        One byte each.
    """

    number: int
    rows: int
    columns: int
    thumbnail: tuple[int, int]
    pixels: Piece

    @property
    def name(self) -> str:
        """Name of the image."""
        return f"3VBSED_slice_{self.number:04d}"


def slice_file(of: Slice) -> Body:
    """The DM3 file of a slice."""
    source: Tag = {"ClassName": text("ImageSource:Simple"), "Id": [simple(UINT32, 0)], "ImageRef": simple(UINT32, 1)}
    return write_dm3(
        {
            "ApplicationBounds": fields(INT32, (0, 0, 971, 1724)),
            "DocumentObjectList": [_document_object()],
            "DocumentTags": {},
            "HasWindowPosition": simple(BOOL, 1),
            "Image Behavior": _image_behaviour(),
            "ImageList": [_thumbnail(of), _image(of)],
            "ImageSourceList": [source],
            "InImageMode": simple(BOOL, 1),
            "LayoutType": text("Unknown"),
            "MinVersionList": [{"RequiredVersion": simple(UINT32, 50659328)}],
            "NextDocumentObjectID": simple(UINT32, 11),
            "SentinelList": [],
            "Thumbnails": [{"ImageIndex": simple(UINT32, 0), "SourceSize_Pixels": fields(INT32, of.thumbnail)}],
            "WindowPosition": fields(INT32, (30, 8, 286, 264)),
        }
    )


def _thumbnail(of: Slice) -> Tag:
    """``ImageList[0]``: what a file browser shows, in four bytes a pixel (blue, green, red, and none)."""
    columns, rows = of.thumbnail
    grey = np.linspace(40 + of.number, 200, rows * columns).astype(np.uint8)
    data = np.stack([grey, grey, grey, np.zeros_like(grey)], axis=-1).tobytes()
    calibrations: Tag = {
        "Brightness": _NO_CALIBRATION,
        "Dimension": [_NO_CALIBRATION, _NO_CALIBRATION],
        "DisplayCalibratedUnits": simple(BOOL, 1),
    }
    return {
        "ImageData": {
            "Calibrations": calibrations,
            "Data": array(INT32, Literal(data)),
            "DataType": simple(UINT32, THUMBNAIL_TYPE),
            "Dimensions": [simple(UINT32, columns), simple(UINT32, rows)],
            "PixelDepth": simple(UINT32, 4),
        },
        "ImageTags": {"GMS Version": {"Created": text(_VERSION)}},
        "Name": text(f"Image Of {of.name}"),
        "UniqueID": _unique(of.number),
    }


def _image(of: Slice) -> Tag:
    """``ImageList[1]``: calibrated in the plane, and the distance of slices among the image's tags only."""
    in_plane: Tag = {"Origin": simple(FLOAT32, 0), "Scale": simple(FLOAT32, PIXEL_UM), "Units": text("µm")}
    calibrations: Tag = {
        "Brightness": _NO_CALIBRATION,
        "Dimension": [in_plane, in_plane],
        "DisplayCalibratedUnits": simple(BOOL, 1),
    }
    return {
        "Description": text("pixel size : \u20280.0080µm x 0.0080µm\u2028"),
        "ImageData": {
            "Calibrations": calibrations,
            "Data": array(UINT8, of.pixels),
            "DataType": simple(UINT32, UINT8_TYPE),
            "Dimensions": [simple(UINT32, of.columns), simple(UINT32, of.rows)],
            "PixelDepth": simple(UINT32, 1),
        },
        "ImageTags": _image_tags(of),
        "Name": text(of.name),
        "UniqueID": _unique(of.number + 1000),
    }


def _image_tags(of: Slice) -> Tag:
    """The date is the eleventh of June; the time stamp says so."""
    across: Tag = {"Origin": simple(FLOAT32, 0), "Scale": simple(FLOAT32, SLICE_NM), "Units": text("nm")}
    record = {"Cut speed": 100.0, "Slice thickness": SLICE_NM}
    return {
        "DataBar": {
            "Acquisition Date": text("11.06.2018"),
            "Acquisition Time": text(f"22:{27 + of.number:02d}:16"),
            "Device Name": text("DigiScan"),
            "Exposure Number": simple(UINT32, 897131 + of.number),
            "Signal Name": text("3VBSED"),
        },
        "DigiScan": {
            "Image Height": simple(UINT32, of.rows),
            "Image Width": simple(UINT32, of.columns),
            "Sample Time": simple(FLOAT64, 0.5),
            "TimeStamp": text("Mon Jun 11 22:26:45 2018\u2028"),
        },
        "GMS Version": {"Created": text(_VERSION), "Saved": text(_VERSION)},
        "Meta Data": {
            "Dimension info": [{}, {}, across],
            "Format": text("Image"),
            "Signal": text("DigiScan"),
        },
        "Microscope Info": {
            "Field of View (µm)": simple(FLOAT64, 65.52167114273233),
            "Illumination Mode": text("SEM"),
            "Name": text("FEI Quanta"),
            "Stage Position": each(FLOAT64, {"Stage X": 79.27, "Stage Y": -773.66, "Stage Z": 21.05}),
            "Voltage": simple(FLOAT64, 1900.0),
        },
        "SBFSEM": {"Record": {**each(FLOAT64, record), "Slice number": simple(UINT32, 250)}},
        "Session Info": {"Items": [_item("Specimen", ""), _item("WD (mm)", "5591.26")]},
    }


def _item(label: str, value: str) -> Tag:
    """Labels hold dots and colons at times: paths of tags cannot be split at them."""
    described = {"Label": label, "Tag path": f"Session Info:{label}", "Units": "", "Value": value}
    return {name: text(content) for name, content in described.items()} | each(UINT32, {"Data Type": 20})


def _document_object() -> Tag:
    """What draws the image: colours, contrast, place on the page."""
    return {
        "AnnotationGroupList": [],
        "BackgroundColor": fields(INT16, (-1, -1, -1)),
        "ForegroundColor": fields(INT16, (-1, 0, 0)),
        "ImageDisplayInfo": _display(),
        "ObjectTags": {},
        "Rectangle": fields(FLOAT32, _NOWHERE),
        **each(INT32, {"AnnotationType": 20, "ImageDisplayType": 1}),
        **each(INT16, {"BackgroundMode": 2, "FillMode": 1}),
        **each(UINT32, {"ImageSource": 0, "RestrictionStyle": 0, "UniqueID": 8}),
        **each(BOOL, {"HasBackground": 0, "IsMoveable": 1, "IsResizable": 1, "IsSelectable": 1}),
        **each(BOOL, {"IsTransferrable": 1, "IsTranslatable": 1, "IsVisible": 1}),
    }


def _display() -> Tag:
    colours = np.repeat(np.arange(256, dtype="<u2") * 257, 3).tobytes()
    trims = ("EstimatedMaxTrimPercentage", "EstimatedMinTrimPercentage")
    deltas = ("HiLimitContrastDeltaTriggerPercentage", "LowLimitContrastDeltaTriggerPercentage")
    limits = {"EstimatedMax": 65, "EstimatedMin": 123, "HighLimit": 123, "LowLimit": 65, "MinimumContrast": 0}
    looks = {"Brightness": 0.5, "ComplexRange": 1000, "Contrast": 0.5, "Gamma": 0.5, "RangeAdjust": 1}
    survey = {"SparseSurvey_GridSize": 16, "SparseSurvey_NumberPixels": 32, "SurveyTechique": 2}
    flags = {"CaptionOn": 0, "DiffractionMode": 0, "DoAutoSurvey": 1, "IsIgnoreGirdBar": 0, "IsInverted": 0}
    return {
        "BrightColor": fields(INT16, (-1, -1, -1)),
        "CLUT": array_of_fields(INT16, 3, Literal(colours)),
        "CLUTName": text("Greyscale"),
        "CaptionSize": simple(UINT16, 10),
        "DimensionLabels": [text("")],
        "MainSliceId": [simple(UINT32, 0)],
        **each(BOOL, {**flags, "SparseSurvey_UseNumberPixels": 1}),
        **each(FLOAT32, {**limits, **looks, **dict.fromkeys(trims, 0.001), **dict.fromkeys(deltas, 0)}),
        **each(UINT32, {**survey, "ComplexMode": 4, "ContrastMode": 1}),
    }


def _image_behaviour() -> Tag:
    transform: Tag = {"Offset": fields(FLOAT32, (0, 0)), "Scale": fields(FLOAT32, (1, 1))}
    return {
        "ImageDisplayBounds": fields(FLOAT32, _NOWHERE),
        "UnscaledTransform": transform,
        "ViewDisplayID": simple(UINT32, 8),
        "WindowRect": fields(FLOAT32, _NOWHERE),
        "ZoomAndMoveTransform": transform,
        "IsZoomedToWindow": simple(BOOL, 1),
    }


def _unique(seed: int) -> Tag:
    return [simple(UINT32, word) for word in struct.unpack("<4I", np.random.default_rng(seed).bytes(16))]
