"""Policies and their defaults, each with its reason. Read from the manifest at the edge, passed as arguments."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from emasync.model.location import Location
from emasync.model.timetable import BandwidthHours

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

WRITER_THREADS = 16
"""Threads that write and sync. They wait for the disk: on ext4 16 of them cost 140 us a synced file, 4 cost 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """How one origin is treated.

    Attributes
    ----------
    max_connections : int
        Most requests in flight, listing and API included. How many there are is found out; never more than these.
    start_connections : int
        Requests in flight until something is found out.
    requests_per_second : float or None
    connect_timeout_s : float
    first_byte_timeout_s : float
        From the request's last byte to the answer's first.
    stall_timeout_s : float
        Silence inside a body.
    crawl_bytes_per_s : float
        Slower than this over twice the stall time-out counts as a stall.
    max_attempts : int
        Tries of one request that brought no byte; progress resets the count.
    give_up_after_s : float
        An origin that answers nothing at all for this long is given up for this run.
    part_bytes : int
        Size of the ranges of large objects.
    etag_is_md5 : bool
        Whether a listing's or answer's ETag without a dash may be checked as MD5 (law 3).
    absent_on_404 : bool
        Whether a 404 on a chunk key is a statement of absence (law 9).
    rate_headers : bool
        Whether ``RateLimit-Remaining`` of 0 holds the origin until ``RateLimit-Reset``. ``Retry-After`` always does.
    error_pages : bool
        Whether HTML or XML that comes under another name is an error page in disguise, and refused.
    hedge_share : float
        Bytes of large objects that may be asked for twice, so that one slow range does not hold up the end of a file:
        a share of all, one range at least; 0 forbids it.
    asks_checksums : bool
        Whether a store is asked for its checksum of each large object that nothing published vouches for: one HEAD.
    wire : bool
        Whether requests go over this package's own client where it can carry them; False: all over aiohttp.
    """

    max_connections: int = 64  # nobody knows: the adaptive limiter has to find reasons for each
    start_connections: int = 8
    requests_per_second: float | None = None
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 30.0
    stall_timeout_s: float = 12.0  # cutting 60 s to 12 s cut wall time 2.5 times on EMPIAR
    crawl_bytes_per_s: float = 1 * KIB
    max_attempts: int = 6
    give_up_after_s: float = 120.0
    part_bytes: int = 8 * MIB  # S3's advice: 8 or 16 MB, aligned to the parts of the upload
    etag_is_md5: bool = False
    absent_on_404: bool = False
    rate_headers: bool = True  # services that send them mean them; one that counts otherwise can be told apart
    error_pages: bool = True  # proxies and archives under maintenance answer 200 with a page
    hedge_share: float = 0.02  # S3's own advice is to race the slowest few per cent
    asks_checksums: bool = False  # Amazon keeps one of every object that was written since 2024; others mostly do not
    wire: bool = True  # a way out for a server that answers our own client alone wrongly


def _read_pack() -> Mapping[str, Mapping[str, float | int | bool]]:
    """Rows of ``policies.toml``."""
    text = Path(__file__).with_name("policies.toml").read_text(encoding="utf-8")
    rows: Mapping[str, Mapping[str, float | int | bool]] = tomllib.loads(text)["host"]
    return rows


BUILT_IN_POLICIES = _read_pack()
"""Keys: ``s3://bucket``, ``gs://bucket``, a host or a glob over either. Later, more exact keys win."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a run may be told, with defaults.

    Attributes
    ----------
    max_bandwidth : float or None
        Bytes per second over all origins; None for no cap.
    bandwidth_timetable : tuple of BandwidthHours
        Hours at which another cap holds.
    max_memory_bytes : int
        Bytes between socket and disk, a process.
    max_total_bytes : int or None
        Guard on wanted bytes; None: free space minus `reserve_bytes`.
    reserve_bytes : int
        Free space that is never used.
    workers : int or "auto"
    checksums : {"published", "sha256", "size"}
    hosts : mapping of str to mapping
        Policy fields by host key, merged over :data:`BUILT_IN_POLICIES`.
    mirrors : mapping of str to str
        Canonical prefix to the place to ask instead.
    allow_private : bool
        Whether loopback, private and link-local addresses and local paths may be named by anything but a mirror.
        False for what comes from somebody else: whoever runs it did not choose its hosts.
    """

    max_bandwidth: float | None = None
    bandwidth_timetable: tuple[BandwidthHours, ...] = ()
    max_memory_bytes: int = 96 * MIB
    max_total_bytes: int | None = None
    reserve_bytes: int = 1 * GIB  # a full system disk breaks more than this run
    workers: int | Literal["auto"] = 1
    checksums: Literal["published", "sha256", "size"] = "published"
    hosts: Mapping[str, Mapping[str, float | int | bool | None]] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    allow_private: bool = True

    commit_objects: int = 512  # the most small objects that a crash may cost
    commit_bytes: int = 64 * MIB  # the most bytes that a crash may cost
    small_object_bytes: int = 1 * MIB  # up to here an object is written whole in a batch with others

    @property
    def bandwidth_capped(self) -> bool:
        """Whether there is a cap at any hour."""
        return self.max_bandwidth is not None or bool(self.bandwidth_timetable)

    def policy(self, location: Location) -> HostPolicy:
        """Policy of the origin of `location`: defaults, then the built-in pack, then the manifest's hosts."""
        names = {location.origin, location.origin.partition("://")[2]}
        if (bucket := location.as_bucket()) is None and location.authority:
            names.add(
                location.authority.rsplit(":", 1)[0] if location.authority.count(":") == 1 else location.authority
            )
        elif bucket is not None:
            names = {f"{bucket.scheme}://{bucket.authority}", location.authority}
        known = {item.name for item in fields(HostPolicy)}
        policy = HostPolicy()
        for pack in (BUILT_IN_POLICIES, self.hosts):
            for pattern in sorted(pack, key=lambda text: (text.count("*") == 0, len(text))):
                if any(fnmatchcase(name, pattern) for name in names):
                    chosen = {key: value for key, value in pack[pattern].items() if key in known}
                    policy = replace(policy, **chosen)  # type: ignore[arg-type]  # field types were checked by the manifest
        return policy
