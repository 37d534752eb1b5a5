"""The manifest's ``settings:`` and ``mirrors:`` → :class:`emasync.settings.Settings`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from emasync.errors import InputError
from emasync.manifest.fields import (
    Flag,
    Positive,
    PositiveNumber,
    RateBytes,
    RateOrNone,
    Seconds,
    Share,
    SizeBytes,
    Text,
    asked,
    reject,
)
from emasync.manifest.mirrors import mirror_source, mirror_target
from emasync.manifest.problems import shown
from emasync.manifest.record import Record, several
from emasync.manifest.scalars import Plain
from emasync.model.timetable import DAY_S, EVERY_DAY, WEEKDAYS, BandwidthHours, ever_open
from emasync.settings import MIB, Settings

MIN_MEMORY_BYTES: Final = 4 * MIB
"""Two slabs of 1 MiB for each of two connections."""

MAX_WORKERS: Final = 256

_HOST_KEY = re.compile(r"(?:(?:s3|gs|https?)://)?[A-Za-z0-9.*?\[\]!_-]+(?::[0-9]{1,5})?")

HOST_FIELDS: Final = {
    "max_connections": "max_connections",
    "requests_per_second": "requests_per_second",
    "connect_timeout": "connect_timeout_s",
    "first_byte_timeout": "first_byte_timeout_s",
    "stall_timeout": "stall_timeout_s",
    "crawl_rate": "crawl_bytes_per_s",
    "max_attempts": "max_attempts",
    "give_up_after": "give_up_after_s",
    "part_size": "part_bytes",
    "etag_is_md5": "etag_is_md5",
    "absent_on_404": "absent_on_404",
    "rate_headers": "rate_headers",
    "error_pages": "error_pages",
    "hedge_share": "hedge_share",
    "asks_checksums": "asks_checksums",
    "wire": "wire",
}
"""Manifest key → field of :class:`emasync.settings.HostPolicy`."""


def _worker_count(value: object) -> int | str:
    inner = value.value if isinstance(value, Plain) else value
    if inner == "auto":
        return "auto"
    if isinstance(inner, int) and not isinstance(inner, bool) and 1 <= inner <= MAX_WORKERS:
        return inner
    raise reject(f"expected a number of processes from 1 to {MAX_WORKERS}, or auto", f"; got {shown(value)}")


def _host_key(text: str) -> str:
    if not _HOST_KEY.fullmatch(text):
        raise reject("expected s3://bucket, gs://bucket, a host, or a glob over hosts, without a path")
    return text if text.startswith(("s3://", "gs://")) else text.lower()


def distinct_keys(normal: Callable[[str], str]) -> BeforeValidator:
    """Refuse a mapping two of whose keys mean the same."""

    def check(value: object) -> object:
        twins = _twins(value, normal) if isinstance(value, dict) else []
        if twins:
            raise several("mapping", [((key, "[key]"), reject("means the same as another key")) for key in twins])
        return value

    return BeforeValidator(check)


def _twins(keys: Iterable[str], normal: Callable[[str], str]) -> list[str]:
    seen: set[str] = set()
    twins = []
    for key in keys:
        try:
            name = normal(key)
        except (PydanticCustomError, InputError):
            continue  # told by the key's own check
        if name in seen:
            twins.append(key)
        seen.add(name)
    return twins


HostKey = Annotated[str, AfterValidator(_host_key)]
WorkerCount = Annotated[
    int | Literal["auto"],
    BeforeValidator(_worker_count),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_WORKERS}, {"const": "auto"}]}),
]


class HostRecord(Record):
    """How one origin is treated; what is left out keeps its built-in value."""

    max_connections: Annotated[Positive, Field(le=1024)] | None = None
    """Requests in flight, listing and API included."""
    requests_per_second: PositiveNumber | None = None
    """Most requests a second; null: no cap."""
    connect_timeout: Seconds | None = None
    """Until a connection stands."""
    first_byte_timeout: Seconds | None = None
    """From a request's end to the answer's first byte."""
    stall_timeout: Seconds | None = None
    """Silence inside an answer."""
    crawl_rate: RateBytes | None = None
    """Slower than this over twice ``stall_timeout`` counts as a stall."""
    max_attempts: Annotated[Positive, Field(le=1000)] | None = None
    """Tries of one request that brought no byte."""
    give_up_after: Seconds | None = None
    """An origin that answers nothing for this long is given up for this run."""
    part_size: Annotated[SizeBytes, Field(ge=64 << 10)] | None = None
    """Size of the ranges that large objects are fetched in."""
    etag_is_md5: Flag | None = None
    """Whether an ETag without a dash is the MD5 of the object."""
    absent_on_404: Flag | None = None
    """Whether a 404 says that the publisher left a chunk out."""
    rate_headers: Flag | None = None
    """Whether a used-up budget in RateLimit headers holds the host."""
    error_pages: Flag | None = None
    """Whether a page in HTML or XML that comes instead of an object is refused."""
    hedge_share: Share | None = None
    """Share of the bytes of large files that may be asked for twice, when a slow range holds up their end; 0: never."""
    asks_checksums: Flag | None = None
    """Whether the checksum of each large object without a published digest is asked for (S3): one more request each."""
    wire: Flag | None = None
    """Whether requests go over emasync's own HTTP client (true); false: over aiohttp, for servers that need it."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_said(cls, value: object, info: object) -> object:
        if value is None and getattr(info, "field_name", "") != "requests_per_second":
            raise reject("null says nothing here; remove the key for the built-in value")
        return value

    def policy(self) -> dict[str, float | int | bool | None]:
        """What was said, by field of :class:`emasync.settings.HostPolicy`."""
        return {HOST_FIELDS[key]: getattr(self, key) for key in HOST_FIELDS if key in self.model_fields_set}


_TIME = re.compile(r"(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])")


def _second_of_day(value: object) -> int:
    inner = value.value if isinstance(value, Plain) else value
    if isinstance(inner, int) and not isinstance(inner, bool):  # readers of YAML 1.1 take 18:30 for 18 * 60 + 30
        inner = f"{inner // 60}:{inner % 60:02}"
    text = str(inner)
    match = _TIME.fullmatch(text)
    second = int(match["hour"]) * 3600 + int(match["minute"]) * 60 if match else DAY_S + 1
    if second > DAY_S:
        raise reject("expected a time of the day such as 08:00 or 24:00", f"; got {shown(value)}")
    return second


TimeOfDay = Annotated[
    int,
    BeforeValidator(_second_of_day),
    WithJsonSchema({"type": "string", "pattern": "^([01]?[0-9]|2[0-4]):[0-5][0-9]$"}),
]


class HoursRecord(Record):
    """Hours at which another cap on the bandwidth holds, in this machine's time zone."""

    start: TimeOfDay = 0
    """From when on; 00:00 when left out."""
    stop: TimeOfDay = DAY_S
    """Until when; before ``start``: on the next day. 24:00 when left out."""
    days: (
        Annotated[tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], Field(min_length=1)] | None
    ) = None
    """Weekdays on which the hours start; all when left out."""
    rate: RateOrNone
    """Bytes per second, over all origins; 0: nothing is asked for."""

    def build(self) -> BandwidthHours:
        """As the transport takes it."""
        days = EVERY_DAY if self.days is None else frozenset(WEEKDAYS.index(day) for day in self.days)
        return BandwidthHours(start_s=self.start % DAY_S, stop_s=self.stop, bytes_per_s=self.rate, days=days)


def _hours(records: Iterable[HoursRecord]) -> tuple[BandwidthHours, ...]:
    return tuple(record.build() for record in records)


class SettingsRecord(Record):
    """Policies of a run."""

    max_bandwidth: RateBytes | None = None
    """Over all origins; null: no cap."""
    bandwidth_timetable: tuple[HoursRecord, ...] = ()
    """Hours at which another cap holds; where several do, the first counts."""

    max_memory: Annotated[SizeBytes, Field(ge=MIN_MEMORY_BYTES)] | None = None
    """Between socket and disk, a process."""
    max_total: SizeBytes | None = None
    """Pause before more than this is wanted; null: free space minus ``reserve``."""
    reserve: SizeBytes | None = None
    """Free space that is never used."""
    workers: WorkerCount | None = None
    """Processes, or ``auto``."""
    checksums: Literal["published", "sha256", "size"] | None = None
    """What is checked: what is published, SHA-256 computed for everything too, or sizes only."""
    hosts: Annotated[dict[HostKey, HostRecord], distinct_keys(_host_key)] = Field(default_factory=dict)
    """Policies by ``s3://bucket``, ``gs://bucket``, host or glob over hosts."""

    allow_private: Flag | None = None
    """Whether loopback, private and link-local addresses and local paths may be named (true); false: mirrors only."""

    @field_validator("bandwidth_timetable")
    @classmethod
    def _leaves_some_time(cls, value: tuple[HoursRecord, ...]) -> tuple[HoursRecord, ...]:
        if value and not ever_open(_hours(value)):
            raise reject("expected hours that leave some time: nothing would ever be asked for")
        return value

    def build(self, mirrors: Mapping[str, str]) -> Settings:
        """Settings of a run: what was said, over the defaults of :mod:`emasync.settings`."""
        named = {
            "max_bandwidth": self.max_bandwidth,
            "max_memory_bytes": self.max_memory,
            "max_total_bytes": self.max_total,
            "reserve_bytes": self.reserve,
            "workers": self.workers,
            "checksums": self.checksums,
            "allow_private": self.allow_private,
        }
        timetable = _hours(self.bandwidth_timetable)
        said = {key: value for key, value in named.items() if value is not None}
        hosts = {key: record.policy() for key, record in self.hosts.items()}
        return Settings(hosts=hosts, bandwidth_timetable=timetable, mirrors=dict(mirrors), **said)  # type: ignore[arg-type]  # types of the record


def _mirrored(text: str) -> str:
    return asked(mirror_source, text, "expected a whole bucket (s3://name, gs://name) or an http(s) URL prefix")


def _mirror(text: str) -> str:
    return asked(mirror_target, text, "expected an http(s)://, s3:// or file:// place, without a query")


Mirrors = Annotated[
    dict[Annotated[str, AfterValidator(_mirrored)], Annotated[Text, AfterValidator(_mirror)]],
    distinct_keys(mirror_source),
]
