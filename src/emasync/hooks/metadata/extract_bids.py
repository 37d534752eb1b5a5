"""BIDS: ``dataset_description.json``, sidecars of one file, tables of participants and samples (BIDS 1.10)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Final

from emasync.formats.paths import join
from emasync.hooks.metadata.claims import Claims, items, shown, text_of
from emasync.hooks.metadata.extract_dandi import sex_claims, species_claims
from emasync.hooks.metadata.rights import doi_claims, license_claims

_MAX_ROWS: Final = 10_000
_PREPARATION: Final = (
    "SampleEnvironment",
    "SampleFixation",
    "SampleEmbedding",
    "SampleStaining",
    "SamplePrimaryAntibody",
)
_ABSENT: Final = frozenset(("", "n/a", "N/A"))


def bids_description(value: Mapping[str, Any], claims: Claims) -> None:
    """``dataset_description.json``.

    Parameters
    ----------
    value : mapping
        Any: JSON.
    claims : Claims
        Grows.
    """
    claims.text("title", value.get("Name"), "Name")
    license_claims(value.get("License"), "License", claims)
    claims.texts("authors", items(value.get("Authors")), "Authors")
    claims.text("citation", value.get("HowToAcknowledge"), "HowToAcknowledge")
    doi_claims(value.get("DatasetDOI"), "DatasetDOI", claims)
    for number, link in enumerate(items(value.get("ReferencesAndLinks"))):
        doi_claims(link, f"ReferencesAndLinks[{number}]", claims)
    version = text_of(value.get("BIDSVersion"))
    claims.text("metadata_convention", version and f"BIDS {version}", "BIDSVersion")


def bids_sidecar(value: Mapping[str, Any], claims: Claims) -> None:
    """The sidecar of one file: microscopy, recordings (BIDS 1.10, "Microscopy", "Electrophysiology").

    Parameters
    ----------
    value : mapping
        Any: JSON.
    claims : Claims
        Grows.
    """
    unit = value.get("PixelSizeUnits")
    for axis, size in zip("xyz", items(value.get("PixelSize")), strict=False):
        claims.length(f"voxel_size_{axis}_nm", size, unit, f"PixelSize ({axis})")
    claims.length("voxel_size_z_nm", value.get("SliceThickness"), value.get("SliceThicknessUnits"), "SliceThickness")
    maker = (text_of(value.get("Manufacturer")), text_of(value.get("ManufacturersModelName")))
    claims.text("instrument", " ".join(filter(None, maker)), "Manufacturer, ManufacturersModelName")
    claims.text("institution", value.get("InstitutionName"), "InstitutionName")
    claims.text("tissue", value.get("BodyPart"), "BodyPart")
    claims.text("technique", value.get("ImageAcquisitionProtocol"), "ImageAcquisitionProtocol")
    told = [text_of(value.get(name)) for name in _PREPARATION]
    claims.text("preparation", "; ".join(filter(None, told)), ", ".join(_PREPARATION))
    claims.texts("channels", items(value.get("ChannelName")), "ChannelName")
    claims.number("sampling_rate_hz", value.get("SamplingFrequency"), "SamplingFrequency", unit="Hz")
    claims.number("duration_s", value.get("RecordingDuration"), "RecordingDuration", unit="s")
    claims.number("frame_rate_hz", value.get("FrameRate"), "FrameRate", unit="Hz")


def bids_table(data: bytes, claims: Claims) -> None:
    """``participants.tsv`` and ``samples.tsv``: rows are about folders of subjects.

    Parameters
    ----------
    data : bytes
    claims : Claims
        Grows.
    """
    text = io.StringIO(data.decode("utf-8-sig", "replace"), newline=None)  # line ends of any system
    rows = csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    home = claims.scope
    try:
        for number, row in zip(range(_MAX_ROWS), rows, strict=False):
            _say_row(row, f"line {number + 2}", home, claims)
    except csv.Error as error:
        claims.notes.append(f"{claims.document} cannot be read beyond line {rows.line_num}: {shown(error)}")
    claims.scope = home


def _say_row(row: Mapping[str, Any], where: str, home: str, claims: Claims) -> None:
    """One participant, or a sample of one (Any: a list behind the last column)."""
    told = {name: text for name, value in row.items() if name and (text := text_of(value)) not in _ABSENT}
    subject = told.get("participant_id", "")
    if not subject or "/" in subject:
        return
    claims.scope = join(home, subject)
    claims.text("subject_id", subject.removeprefix("sub-"), where)
    species_claims(told.get("species"), f"{where}: species", claims)
    sex_claims(told.get("sex"), f"{where}: sex", claims)
    claims.text("strain", told.get("strain"), f"{where}: strain")
    claims.text("age", told.get("age"), f"{where}: age")
    if "sample_id" in told:
        claims.text("sample", told["sample_id"], f"{where}: sample_id")
        claims.text("tissue", told.get("sample_type"), f"{where}: sample_type")
