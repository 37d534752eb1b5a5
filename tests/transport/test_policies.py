"""The policy pack: every archive has its row, with the figures it is known by, under every spelling of its host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from emasync import api
from emasync.manifest.load import parse_manifest
from emasync.manifest.tuning import HOST_FIELDS
from emasync.model.location import Location
from emasync.settings import BUILT_IN_POLICIES, MIB, HostPolicy, Settings
from emasync.testing import Archive
from emasync.testing.clock import ManualClock


def bucket(name: str, region: str = "us-east-1") -> list[str]:
    """All spellings of an object in a bucket of S3."""
    hosts = [
        f"{name}.s3.amazonaws.com/k",
        f"{name}.s3.{region}.amazonaws.com/k",
        f"{name}.s3-{region}.amazonaws.com/k",
        f"{name}.s3.dualstack.{region}.amazonaws.com/k",
        f"{name}.s3-accelerate.amazonaws.com/k",
        f"{name}.s3-accelerate.dualstack.amazonaws.com/k",
        f"s3.amazonaws.com/{name}/k",
        f"s3.{region}.amazonaws.com/{name}/k",
        f"s3.dualstack.{region}.amazonaws.com/{name}/k",
    ]
    return [
        f"s3://{name}/k",
        *(f"https://{host}" for host in hosts),
        f"http://{hosts[0]}",
        f"https://{hosts[0].upper()}",
    ]


def host(name: str) -> list[str]:
    """All spellings of a file at a host."""
    ports = [f"https://{name}:443/k", f"http://{name}:80/k", f"https://{name}:8443/k"]
    return [f"https://{name}/k", f"http://{name}/k", f"https://{name.upper()}/k", f"https://{name}./k", *ports]


BRAIN = "neuroglancer-janelia-flyem-hemibrain"
OF_GOOGLE = [
    f"gs://{BRAIN}/k",
    f"https://storage.googleapis.com/{BRAIN}/k",
    f"https://{BRAIN}.storage.googleapis.com/k",
]

ARCHIVES: dict[str, tuple[list[str], dict[str, float]]] = {
    "s3://*": (
        bucket("any-bucket", "eu-west-3"),
        {"start_connections": 16, "max_connections": 64, "stall_timeout_s": 10},
    ),
    "gs://*": (["gs://any/k"], {"start_connections": 16, "max_connections": 32, "stall_timeout_s": 10}),
    "file://*": (["file:///k"], {"max_connections": 16}),
    "s3://janelia-cosem-datasets": (
        bucket("janelia-cosem-datasets"),
        {"start_connections": 16, "max_connections": 64, "stall_timeout_s": 10, "etag_is_md5": False},
    ),
    "s3://dandiarchive": (
        bucket("dandiarchive", "us-east-2"),
        {"start_connections": 16, "max_connections": 64, "stall_timeout_s": 10, "etag_is_md5": True},
    ),
    "s3://aind-open-data": (
        bucket("aind-open-data", "us-west-2"),
        {"start_connections": 16, "max_connections": 64, "stall_timeout_s": 10, "etag_is_md5": False},
    ),
    "s3://aind-benchmark-data": (
        bucket("aind-benchmark-data", "us-west-2"),
        {"start_connections": 16, "max_connections": 64, "stall_timeout_s": 10, "part_bytes": 8 * MIB},
    ),
    f"gs://{BRAIN}": (OF_GOOGLE, {"start_connections": 16, "max_connections": 32, "stall_timeout_s": 10}),
    "ftp.ebi.ac.uk": (host("ftp.ebi.ac.uk"), {"max_connections": 8, "stall_timeout_s": 12}),
    "www.ebi.ac.uk": (host("www.ebi.ac.uk"), {"max_connections": 2, "stall_timeout_s": 30}),
    "idr.openmicroscopy.org": (host("idr.openmicroscopy.org"), {"max_connections": 2, "stall_timeout_s": 60}),
    "documents.epfl.ch": (
        host("documents.epfl.ch"),
        {
            "start_connections": 8,
            "max_connections": 16,
            "first_byte_timeout_s": 20,
            "stall_timeout_s": 15,
            "part_bytes": 10 * MIB,
        },
    ),
    "api*.dandiarchive.org": (
        [*host("api.dandiarchive.org"), *host("api.sandbox.dandiarchive.org")],
        {"max_connections": 4, "stall_timeout_s": 30},
    ),
    "api*.emberarchive.org": (
        [*host("api-dandi.emberarchive.org"), *host("api-dandi.sandbox.emberarchive.org")],
        {"max_connections": 4, "stall_timeout_s": 30},
    ),
    "*api.lincbrain.org": (
        [*host("api.lincbrain.org"), *host("staging-api.lincbrain.org")],
        {"max_connections": 4, "stall_timeout_s": 30},
    ),
    "api.allenneuraldynamics.org": (host("api.allenneuraldynamics.org"), {"max_connections": 2, "stall_timeout_s": 30}),
    "raw.githubusercontent.com": (host("raw.githubusercontent.com"), {"max_connections": 1, "stall_timeout_s": 30}),
    "zenodo.org": (host("zenodo.org"), {"max_connections": 2}),
    "datadryad.org": (host("datadryad.org"), {"requests_per_second": 0.027}),
}
"""Row to spellings of a place that it is for, and its figures."""


def test_every_row_is_proven() -> None:
    assert ARCHIVES.keys() == BUILT_IN_POLICIES.keys()


@pytest.mark.parametrize("row", ARCHIVES)
def test_the_figures_hold_for_all_spellings(row: str) -> None:
    spellings, figures = ARCHIVES[row]
    for spelling in spellings:
        policy = Settings().policy(Location.parse(spelling))
        assert {name: getattr(policy, name) for name in figures} == figures, spelling


@pytest.mark.parametrize("row", BUILT_IN_POLICIES)
def test_a_row_says_what_a_policy_can_be_told(row: str) -> None:
    kinds = {item.name: item.type for item in fields(HostPolicy)}
    for name, value in BUILT_IN_POLICIES[row].items():
        assert type(value).__name__ in kinds[name], name
    if "start_connections" in BUILT_IN_POLICIES[row]:
        assert BUILT_IN_POLICIES[row]["start_connections"] <= BUILT_IN_POLICIES[row]["max_connections"]


def test_a_manifest_overrides_every_field() -> None:
    """All fields but one: how many connections to begin with is found out and remembered."""
    assert {item.name for item in fields(HostPolicy)} - set(HOST_FIELDS.values()) == {"start_connections"}
    said = "hosts: {ftp.ebi.ac.uk: {stall_timeout: 5s, error_pages: false}, 's3://dandiarchive': {etag_is_md5: false}}"
    text = f"version: 1\nsettings: {{{said}}}\ndatasets: [{{id: a, source: idr, dataset: 10740}}]\n"
    settings = parse_manifest(text, file="m.yaml", environ={}).settings
    for spelling in host("ftp.ebi.ac.uk"):
        policy = settings.policy(Location.parse(spelling))
        assert (policy.stall_timeout_s, policy.error_pages, policy.max_connections) == (5, False, 8)
    for spelling in bucket("dandiarchive", "us-east-2"):
        policy = settings.policy(Location.parse(spelling))
        assert (policy.etag_is_md5, policy.max_connections) == (False, 64)


def test_an_unknown_host_gets_the_defaults() -> None:
    policy = Settings().policy(Location.parse("https://ftp.ebi.ac.uk.example.org/k"))
    assert policy == HostPolicy()
    assert not any(fnmatchcase("example.org", pattern) for pattern in BUILT_IN_POLICIES)


# --- rate headers and pages -------------------------------------------------------------------------------------------

PAGE = b"<!DOCTYPE html><html><body>Please come back later.</body></html>"


@pytest.mark.parametrize("heeded", [True, False])
async def test_rate_headers_hold_a_host_unless_it_is_said_otherwise(
    heeded: bool, archive: Callable[..., Archive], opened: Any, clock: ManualClock
) -> None:
    used_up = {"headers": {"RateLimit-Remaining": "0", "RateLimit-Reset": "50"}, "times": 1}
    server = archive({"b/x": b"1"}, faults={"b/x": [used_up]})
    began_s = clock.monotonic_s()
    async with opened(Settings(hosts={"127.0.0.1": {"rate_headers": heeded}})) as fetcher:
        for _ in range(2):
            await fetcher.read(Location.parse(f"{server.url}/b/x"))
    assert clock.monotonic_s() == began_s + (50 if heeded else 0)


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("source", ["web", "bucket"])
def test_pages_in_place_of_objects(source: str, refused: bool, archive: Callable[..., Archive], tmp_path: Path) -> None:
    """Small objects of a listing begin in the express lane, files of the web go the general way."""
    server = archive({"b/d/x.bin": PAGE}, faults={"b/d/*": [{"headers": {"Content-Type": "text/html"}}]})
    wanted = {"url": f"{server.url}/b/d"} if source == "bucket" else {"files": [{"url": f"{server.url}/b/d/x.bin"}]}
    manifest = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": {"error_pages": refused}}},
        "datasets": [{"id": "d", "source": source, "format": "raw", **wanted}],
    }
    receipt = api.run(manifest, root=tmp_path)
    if refused:
        assert [failure.kind for failure in receipt.failures] == ["refused"]
    else:
        assert receipt.failures == ()
        assert (tmp_path / "d" / "x.bin").read_bytes() == PAGE


def test_rate_headers_in_the_express_lane(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """Told not to heed them, a run of many small objects does not wait half a minute for each."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"}
    server = archive({f"b/d/{n}.bin": b"%d" % n for n in range(20)}, faults={"*": [{"headers": headers}]})
    manifest = {
        "version": 1,
        "settings": {"hosts": {"127.0.0.1": {"rate_headers": False}}},
        "datasets": [{"id": "d", "source": "bucket", "url": f"{server.url}/b/d", "format": "raw"}],
    }
    assert api.run(manifest, root=tmp_path).ok
