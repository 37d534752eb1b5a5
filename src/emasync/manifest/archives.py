"""Archives with an address of their own: EMPIAR, IDR, DANDI, AIND, the Registry of Open Data."""

from __future__ import annotations

import re
from datetime import date
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.errors import InputError
from emasync.manifest.bucket import BucketName, Region, StoreEntry
from emasync.manifest.dandi_links import DANDISET, INSTANCES, VERSION, DandiLink, is_link, parse_link
from emasync.manifest.entry import Entry
from emasync.manifest.fields import Count, Positive, Segment, Text, asked, reject
from emasync.manifest.problems import shown
from emasync.manifest.record import Record, several
from emasync.model.globs import Selection
from emasync.model.location import Location

DANDI_INSTANCES: Final = tuple(INSTANCES)
"""Names of ``dandi/consts.py`` (``known_instances``) that are reachable from anywhere."""


def _entry_number(value: object) -> object:
    """``EMPIAR-11759`` names the entry as well as ``11759``."""
    return int(match[1]) if isinstance(value, str) and (match := re.fullmatch(r"EMPIAR-([0-9]{1,9})", value)) else value


class EmpiarEntry(Entry):
    """One entry of the Electron Microscopy Public Image Archive."""

    has_arrays: ClassVar[bool] = False
    source: Literal["empiar"] = "empiar"
    """This source."""
    entry: Annotated[Positive, BeforeValidator(_entry_number, json_schema_input_type=int | str)]
    """Accession number, ``11759`` or ``EMPIAR-11759``."""


def _copies(text: str) -> str:
    if "{image}" not in text:
        raise reject("expected a URL with {image} in place of the image's number", f"; got {shown(text)}")
    rule = "expected the URL of a Zarr hierarchy, with {image} in place of the image's number"
    location = asked(Location.parse, text.replace("{image}", "0"), rule)
    if "{" in text.replace("{image}", "") or location.query:
        raise reject(rule, f"; got {shown(text)}")
    return text.rstrip("/")


class IdrEntry(Entry):
    """Images, or a dataset, of the Image Data Resource."""

    source: Literal["idr"] = "idr"
    """This source."""
    images: tuple[Positive, ...] = ()
    """Image numbers."""
    dataset: Annotated[Positive | None, Field(validate_default=True)] = None
    """Dataset number, in place of images."""
    ngff: Annotated[Text, AfterValidator(_copies)] | None = None
    """Where OME-NGFF copies are, taken in place of the originals: a URL with ``{image}`` for the image's number."""

    @field_validator("dataset")
    @classmethod
    def _one_of_them(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "images" in info.data and bool(info.data["images"]) == (value is not None):
            raise reject("name images: [number, ...] or dataset: number, one of the two")
        return value


def _instance(text: str) -> str:
    if text in DANDI_INSTANCES:
        return text
    rule = f"expected {', '.join(DANDI_INSTANCES)}, or the http(s) URL of an API"
    if not text.startswith(("http://", "https://")):
        raise reject(rule, f"; got {shown(text)}")
    asked(Location.parse, text, rule)
    return text


def _with_link(data: dict[str, object], link: DandiLink) -> dict[str, object]:
    """`data` with what a pasted link says; what is written beside the link must not say otherwise.

    Raises
    ------
    ValidationError
        It does.
    """
    said = {"version": link.version, "instance": link.instance, "include": link.include or None}
    told = {key: value for key, value in said.items() if value is not None}
    twice = sorted(key for key, value in told.items() if data.get(key) not in (None, value))
    if twice:
        raise several("dandiset", [((key,), reject("the link in dandiset says otherwise; keep one")) for key in twice])
    return {**data, **told, "dandiset": link.dandiset}


def _with_content(globs: tuple[str, ...]) -> tuple[str, ...]:
    return (*globs, *(f"{glob}/**" for glob in globs if not glob.endswith("**")))


class DandiEntry(Entry):
    """Assets of a dandiset."""

    source: Literal["dandi"] = "dandi"
    """This source."""
    dandiset: Text
    """Six digits, or a link: ``DANDI:000027``, ``dandi://dandi/000027@draft/sub-1/``, a web page, an API URL, a DOI."""
    version: Text | None = None
    """``draft`` or ``0.yymmdd.hhmm``; the newest published version, else the draft, when left out."""
    instance: Annotated[Text, AfterValidator(_instance)] = "dandi"
    """Name of a DANDI archive, or the URL of its API."""

    @cached_property
    def selection(self) -> Selection:
        """``include`` and ``exclude``, compiled; the path of a Zarr asset stands for all that is in it."""
        return Selection(_with_content(self.include), _with_content(self.exclude))

    @property
    def immutable(self) -> bool:
        """Published versions never change; drafts do, and what is the newest version."""
        return self.version not in (None, "draft")

    @model_validator(mode="before")
    @classmethod
    def _take_link(cls, data: object) -> object:
        """A link that cannot be read stays as it is, for the field's own validator."""
        text = data.get("dandiset") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(text, str) or not is_link(text):
            return data
        try:
            link = parse_link(text)
        except InputError:
            return data
        return _with_link(data, link)

    @field_validator("dandiset")
    @classmethod
    def _six_digits(cls, value: str) -> str:
        if is_link(value):
            asked(parse_link, value, "no link to a dandiset")
        if not DANDISET.fullmatch(value):
            raise reject("expected six digits such as 000728, or a link", f"; got {shown(value)}")
        return value

    @field_validator("version")
    @classmethod
    def _known_form(cls, value: str | None) -> str | None:
        if value is not None and not VERSION.fullmatch(value):
            raise reject("expected draft or a version such as 0.240827.1809", f"; got {shown(value)}")
        return value


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise reject("expected a date such as 2024-04-02", f"; got {shown(text)}") from None


Day = Annotated[Text, AfterValidator(_day)]


class AssetFilter(Record):
    """Which assets of a flat bucket; all conditions must hold."""

    platform: Text | None = None
    """Such as ``exaSPIM``; case does not matter."""
    subject: Text | None = None
    """Subject id."""
    after: Day | None = None
    """First day of acquisition, inclusive."""
    before: Day | None = None
    """Day of acquisition that is too late, exclusive."""
    level: Literal["raw", "derived"] | None = None
    """Raw assets, or what was derived from them."""

    @field_validator("before")
    @classmethod
    def _in_order(cls, value: str | None, info: ValidationInfo) -> str | None:
        after = info.data.get("after")
        if value is not None and after is not None and value <= after:
            raise reject("before must be later than after")
        return value


class AindEntry(Entry):
    """Assets of a flat bucket of the Allen Institute for Neural Dynamics."""

    source: Literal["aind"] = "aind"
    """This source."""
    bucket: BucketName = "aind-open-data"
    """S3 bucket with one folder an asset."""
    assets: tuple[Segment, ...] = ()
    """Names of assets."""
    filter: Annotated[AssetFilter | None, Field(validate_default=True)] = None
    """Conditions, in place of names."""

    @field_validator("filter")
    @classmethod
    def _one_of_them(cls, value: AssetFilter | None, info: ValidationInfo) -> AssetFilter | None:
        if "assets" in info.data and bool(info.data["assets"]) == (value is not None):
            raise reject(
                "name assets: [name, ...] or filter: {platform, subject, after, before, level}, one of the two"
            )
        return value


class OpenDataEntry(StoreEntry):
    """A dataset of the Registry of Open Data on AWS."""

    source: Literal["open_data"] = "open_data"
    """This source."""
    registry: Text
    """Slug of the registry, or a registry YAML file."""
    resource: Count | None = None
    """Which of several resources, counted from 0."""
    bucket: BucketName | None = None
    """Bucket, where the registry has no entry (yet)."""
    region: Region | None = None
    """Region of the bucket; the registry's, or found out, when left out."""
