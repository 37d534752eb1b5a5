"""``source: bucket``: everything below a prefix of an object store, or a folder."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, field_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.manifest.entry import Entry
from emasync.manifest.fields import Flag, Text, Url, reject
from emasync.manifest.problems import shown
from emasync.model.location import Location

_BUCKET_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{1,221}")
"""S3 user guide, "Bucket naming rules", with the legacy names; Cloud Storage, "Bucket naming guidelines"."""

_REGION: Final = re.compile(r"[a-z]{2}[a-z0-9-]{1,30}")


def checked_bucket(text: str) -> str:
    """Check the name of a bucket.

    Raises
    ------
    PydanticCustomError
        Not a name that S3 or Google Cloud Storage could have given.
    """
    if not _BUCKET_NAME.fullmatch(text):
        raise reject(
            "expected the name of a bucket: letters, digits, dots, dashes, underscores", f"; got {shown(text)}"
        )
    return text


def _checked_region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise reject("expected the name of a region such as us-east-1", f"; got {shown(text)}")
    return text


def _listable(url: str) -> str:
    location = Location.parse(url)
    if location.scheme in ("s3", "gs"):
        checked_bucket(location.authority)
    if location.query:
        raise reject("a bucket's URL has no query; name the bucket or folder only")
    return url


BucketName = Annotated[Text, AfterValidator(checked_bucket)]
Region = Annotated[Text, AfterValidator(_checked_region)]


class StoreEntry(Entry):
    """What a dataset in an object store may say about access."""

    anonymous: Flag = True
    """False: the usual AWS credential chain, or Google application default credentials."""
    requester_pays: Flag = False
    """Whether you agree to pay for the transfer; needs ``anonymous: false``."""

    @field_validator("requester_pays")
    @classmethod
    def _payer_is_known(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's signature
        if value and info.data.get("anonymous") is True:
            raise reject("who pays must be known; write anonymous: false as well")
        return value


class BucketEntry(StoreEntry):
    """Everything, or a selection, below a bucket's prefix or a folder."""

    source: Literal["bucket"] = "bucket"
    """This source."""
    url: Annotated[Url, AfterValidator(_listable)]
    """``s3://``, ``gs://``, ``file://`` or an ``http(s)://`` place that lists as S3 does."""
    region: Region | None = None
    """Region of an S3 bucket; found out when left out."""

    @field_validator("region")
    @classmethod
    def _has_regions(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and str(info.data.get("url", "")).lower().startswith(("gs:", "file:")):
            raise reject("only S3 asks for a region; remove it")
        return value

    @property
    def location(self) -> Location:
        """Canonical location of the bucket prefix or folder."""
        return Location.parse(self.url)
