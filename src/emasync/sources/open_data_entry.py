"""Entries of the Registry of Open Data on AWS: YAML → the bucket that is meant.

The registry is a repository of one YAML file a dataset (``awslabs/open-data-registry``, ``schema.yaml``). Files differ
from their schema in many places, so what is not needed is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from emasync.errors import ManifestError, SourceError
from emasync.manifest.document import MappingNode, Node, SequenceNode, compose
from emasync.manifest.problems import clipped
from emasync.manifest.scalars import Plain, resolve

BUCKET_TYPE = "S3 Bucket"
MAX_LISTED = 20
"""Resources that a message lists; the longest entry has some thousand."""

_ACCESS_POINT = re.compile(
    r"arn:(?P<partition>aws[\w-]*):s3:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):accesspoint/"
    r"(?P<name>[a-z0-9][a-z0-9-]{1,48})(?:/(?P<prefix>.*))?",
    re.ASCII,
)
"""Amazon S3 user guide, "Referencing access points". Tried first: a loose pattern takes it for a bucket."""

_BUCKET = re.compile(
    r"arn:(?P<partition>aws[\w-]*):s3:::(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{1,221})(?:/(?P<prefix>.*))?", re.ASCII
)
_REGION = re.compile(r"[a-z]{2}[a-z0-9-]{1,30}")
_FALSE = frozenset(("", "false", "no", "none", "null", "0"))


def _told(value: object) -> bool:
    """Whether a flag is set: keys are often there with a false value, quoted or not."""
    return str(value).strip().casefold() not in _FALSE if value is not None else False


def _text(value: object) -> str | None:
    return None if value is None else str(value).strip()


Told = Annotated[bool, BeforeValidator(_told)]
Text = Annotated[str | None, BeforeValidator(_text)]


class Resource(BaseModel):
    """One resource of an entry; other keys are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    Type: Text = None
    ARN: Text = None
    Region: Text = None
    Description: Text = None
    RequesterPays: Told = False
    AccountRequired: Told = False
    ControlledAccess: Text = None
    """URL of the page where access is asked for."""

    @property
    def is_bucket(self) -> bool:
        """Whether objects can be fetched from it."""
        return self.Type == BUCKET_TYPE

    def __str__(self) -> str:
        return f"{clipped(self.ARN or 'no ARN')} ({clipped(self.Type or 'no type')})"


class RegistryEntry(BaseModel):
    """What is needed of an entry."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    Resources: tuple[Resource, ...]
    Deprecated: Told = False
    DeprecatedNotice: Text = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data of a resource lies.

    Attributes
    ----------
    url : str
        For :meth:`Location.parse`.
    bucket : str
        Name of the bucket or access point.
    region : str or None
    """

    url: str
    bucket: str
    region: str | None


def parse_entry(data: bytes, name: str) -> RegistryEntry:
    """Read a registry file; size, depth and nodes are bounded before anything is made of it (law 15).

    Parameters
    ----------
    data : bytes
    name : str
        For messages.

    Raises
    ------
    SourceError
        No YAML, or no registry entry.
    """
    try:
        return RegistryEntry.model_validate(_plain(compose(data, file=name)))
    except ManifestError as error:
        first = error.problems[0]
        reason = f"line {first.line}: {first.message}"
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, fault['loc'])) or 'the document'}: {fault['msg']}"
    raise SourceError(
        f"{name}: expected an entry of the Registry of Open Data (YAML with Resources:), and it is none: {reason}",
        location=name,
    )


def _plain(node: Node) -> Any:
    """Values of a tree (Any: YAML)."""
    if isinstance(node, MappingNode):
        return {key: _plain(value) for key, value in node.values.items()}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.items]
    value = resolve(node.text) if node.plain else node.text
    return value.written if isinstance(value, Plain) else value


def choose_resource(
    resources: Sequence[Resource], name: str, *, number: int | None, bucket: str | None
) -> Resource | None:
    """The one resource that the manifest means.

    Parameters
    ----------
    resources : sequence of Resource
        All of the entry.
    name : str
        For messages.
    number : int or None
        ``resource:`` of the manifest, counted from 0 over all resources.
    bucket : str or None
        ``bucket:`` of the manifest.

    Returns
    -------
    Resource or None
        None where the manifest names a bucket that the entry does not.

    Raises
    ------
    SourceError
        None is a bucket, several are, or `number` names none.
    """
    if number is not None:
        return _numbered(resources, name, number)
    buckets = [item for item in resources if item.is_bucket]
    if bucket is not None:
        buckets = [item for item in buckets if (at := _parsed(item)) is not None and at.bucket == bucket]
    if len(buckets) == 1 or (bucket is not None and not buckets):
        return buckets[0] if buckets else None
    what = f"{len(buckets)} of its resources are buckets, say which with resource:" if buckets else "no S3 bucket in it"
    raise SourceError(f"{name}: {what}; it has {_listed(resources)}", location=name)


def _numbered(resources: Sequence[Resource], name: str, number: int) -> Resource:
    if number < len(resources) and resources[number].is_bucket:
        return resources[number]
    raise SourceError(f"{name}: resource {number} is no S3 bucket; it has {_listed(resources)}", location=name)


def _listed(resources: Sequence[Resource]) -> str:
    more = f", and {len(resources) - MAX_LISTED:,} more" if len(resources) > MAX_LISTED else ""
    return ", ".join(f"{number}: {item}" for number, item in enumerate(resources[:MAX_LISTED])) + more or "none"


def place_of(resource: Resource, name: str) -> Place:
    """Where a resource lies; a prefix inside its ARN is kept.

    Raises
    ------
    SourceError
        An ARN that is neither a bucket's nor an access point's: nothing is guessed.
    """
    if (place := _parsed(resource)) is not None:
        return place
    raise SourceError(
        f"{name}: ARN {clipped(resource.ARN or '')!r} names no bucket; expected arn:aws:s3:::bucket/prefix; "
        "take the data with source: bucket and its url",
        location=name,
    )


def _parsed(resource: Resource) -> Place | None:
    arn = resource.ARN or ""
    region = resource.Region if resource.Region and _REGION.fullmatch(resource.Region) else None
    if match := _ACCESS_POINT.fullmatch(arn):
        host = f"{match['name']}-{match['account']}.s3-accesspoint.{match['region']}.{_domain(match['partition'])}"
        return Place(f"https://{host}/{match['prefix'] or ''}", match["name"], match["region"])
    if not (match := _BUCKET.fullmatch(arn)):
        return None
    bucket, prefix = match["name"], match["prefix"] or ""
    if match["partition"] == "aws-cn":  # s3:// URLs mean the other partition's hosts
        return Place(f"https://{bucket}.s3.{region}.{_domain('aws-cn')}/{prefix}", bucket, region) if region else None
    return Place(f"s3://{bucket}/{prefix}", bucket, region)


def _domain(partition: str) -> str:
    """Amazon Web Services general reference, "Amazon S3 endpoints and quotas"; China has a domain of its own."""
    return "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
