"""Entries of the Registry of Open Data, through the whole program and one by one.

Trap numbers are those of open_data_registry.md, and of pasteur_exaspim.md or aind.md where they say so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from tests.integration.folders import below, files_below, run_within

from emasync.errors import ErrorKind, InputError, ManifestError, SourceError
from emasync.manifest.archives import OpenDataEntry
from emasync.manifest.load import manifest_from_object
from emasync.model.events import Event, ignore_event
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.sources.interface import Kept, SourceContext, TreeFound
from emasync.sources.open_data import REGISTRY, OpenDataSource, Reference
from emasync.sources.open_data_entry import Place, Resource, choose_resource, parse_entry, place_of
from emasync.testing import Archive
from emasync.testing.aind import write_asset
from emasync.testing.ephys import write_recording
from emasync.testing.fetcher import MemoryFetcher
from emasync.testing.open_data import bucket_resource, entry_text, registry_objects
from emasync.testing.stores import FolderStore
from emasync.transport.interface import BucketAccess

OBJECTS = {
    "aind-benchmark-data/ephys-compression/aind-np2/readme.txt": b"two",
    "aind-benchmark-data/ephys-compression/mearec/mearec_NP1.h5": b"\x89HDF",
    "aind-benchmark-data/ephys-compression2/other": b"no",
    "aind-benchmark-data/elsewhere": b"no",
}
BENCHMARK = entry_text([bucket_resource("arn:aws:s3:::aind-benchmark-data/ephys-compression")])
COSEM = [bucket_resource("arn:aws:s3:::one", region="us-east-1"), bucket_resource("arn:aws:s3:::two/p")]
SLUG = "a-dataset"


class Registered:
    """A registry and buckets, served by one archive."""

    def __init__(self, start: Callable[..., Archive]) -> None:
        self._start = start
        self.events: list[Event] = []

    def serve(self, text: bytes | None, objects: dict[str, bytes], **options: Any) -> None:
        entries = {} if text is None else {SLUG: text}
        self.archive = self._start(registry_objects(entries) | objects, **options)
        self.buckets = sorted({path.partition("/")[0] for path in objects})

    def run(self, root: Path, **entry: Any) -> Any:
        mirrors = {"https://raw.githubusercontent.com": self.archive.url}
        mirrors |= {f"s3://{bucket}": f"{self.archive.url}/{bucket}" for bucket in self.buckets}
        manifest = {
            "version": 1,
            "mirrors": mirrors,
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": [{"id": "d", "source": "open_data", "registry": SLUG, **entry}],
        }
        return run_within(manifest, root, on_event=self.events.append)

    def failure(self, root: Path, **entry: Any) -> Any:
        receipt = self.run(root, **entry)
        assert receipt.exit_code == 1
        (failure,) = receipt.failures
        return failure

    def warnings(self) -> list[str]:
        return [str(event.fields["message"]) for event in self.events if event.event == "warning"]


@pytest.fixture
def registered(archive: Callable[..., Archive]) -> Registered:
    return Registered(archive)


def test_trap_1_and_aind_trap_10_a_prefix_inside_the_arn_is_kept(registered: Registered, tmp_path: Path) -> None:
    """The benchmark of aind.md is such a one."""
    registered.serve(BENCHMARK, OBJECTS)
    receipt = registered.run(tmp_path)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert files_below(tmp_path / "d") == below(OBJECTS, "aind-benchmark-data/ephys-compression/")
    kept = tmp_path / "d.source-metadata" / "registry" / f"{SLUG}.yaml"
    assert kept.read_bytes() == BENCHMARK


def test_a_resource_is_looked_into_only_where_globs_can_mean_something(registered: Registered, tmp_path: Path) -> None:
    objects = {f"one/asset/image.zarr/0/{number}": b"1" for number in range(50)} | {"one/asset/a.json": b"{}"}
    registered.serve(entry_text([bucket_resource("arn:aws:s3:::one")]), objects, page_limit=5)
    assert registered.run(tmp_path, include=["asset/*.json"]).exit_code == 0
    assert files_below(tmp_path / "d") == {"asset/a.json": b"{}"}
    assert registered.archive.counts()["GET", "list"] <= 2


def test_again_without_a_request(registered: Registered, tmp_path: Path) -> None:
    registered.serve(BENCHMARK, OBJECTS)
    assert registered.run(tmp_path).exit_code == 0
    registered.archive.reset()
    assert registered.run(tmp_path).exit_code == 0
    assert not registered.archive.requests


def test_a_fault_of_the_bucket_is_mended_by_the_next_run(registered: Registered, tmp_path: Path) -> None:
    registered.serve(BENCHMARK, OBJECTS, faults={"*/mearec_NP1.h5": [{"status": 500}]})
    assert registered.run(tmp_path).exit_code == 1
    registered.archive.set_faults({})
    assert registered.run(tmp_path).exit_code == 0
    assert files_below(tmp_path / "d") == below(OBJECTS, "aind-benchmark-data/ephys-compression/")


def test_trap_7_an_unknown_slug_says_what_to_do(registered: Registered, tmp_path: Path) -> None:
    registered.serve(None, OBJECTS)
    failure = registered.failure(tmp_path)
    assert failure.kind == ErrorKind.NOT_FOUND
    assert failure.message.startswith("registry slug unknown: 'a-dataset'")
    assert f"{REGISTRY}a-dataset.yaml" in failure.message
    assert "bucket:" in failure.message


def test_the_manifest_may_name_the_bucket_of_an_unknown_slug(registered: Registered, tmp_path: Path) -> None:
    registered.serve(None, OBJECTS)
    receipt = registered.run(tmp_path, bucket="aind-benchmark-data", include=["elsewhere"])
    assert receipt.exit_code == 0
    assert files_below(tmp_path / "d") == {"elsewhere": b"no"}
    (warning,) = registered.warnings()
    assert "no entry (yet); taken from bucket aind-benchmark-data" in warning


def test_a_registry_that_cannot_be_asked_is_no_unknown_slug(registered: Registered, tmp_path: Path) -> None:
    registered.serve(BENCHMARK, OBJECTS, faults={"awslabs/*": [{"status": 500}]})
    failure = registered.failure(tmp_path, bucket="aind-benchmark-data")
    assert failure.kind != ErrorKind.NOT_FOUND
    assert f"{REGISTRY}a-dataset.yaml" in failure.message


def test_trap_8_of_several_buckets_none_is_taken_silently(registered: Registered, tmp_path: Path) -> None:
    registered.serve(entry_text(COSEM), {"one/a": b"1", "two/p/b": b"2"})
    failure = registered.failure(tmp_path)
    assert "2 of its resources are buckets, say which with resource:" in failure.message
    assert "0: arn:aws:s3:::one (S3 Bucket), 1: arn:aws:s3:::two/p (S3 Bucket)" in failure.message
    assert registered.run(tmp_path, resource=1).exit_code == 0
    assert files_below(tmp_path / "d") == {"b": b"2"}


def test_a_bucket_chooses_among_resources(registered: Registered, tmp_path: Path) -> None:
    registered.serve(entry_text(COSEM), {"one/a": b"1", "two/p/b": b"2", "two/q": b"3"})
    assert registered.run(tmp_path, bucket="two").exit_code == 0
    assert files_below(tmp_path / "d") == {"b": b"2"}, "with the prefix that the registry knows"


def test_a_bucket_that_the_entry_does_not_name_is_taken_and_told(registered: Registered, tmp_path: Path) -> None:
    registered.serve(entry_text(COSEM), {"one/a": b"1", "three/c": b"3"})
    assert registered.run(tmp_path, bucket="three").exit_code == 0
    assert files_below(tmp_path / "d") == {"c": b"3"}
    assert registered.warnings() == [
        "registry a-dataset: does not name bucket three; taken all the same, as the manifest says"
    ]


def test_an_arn_may_name_one_object(registered: Registered, tmp_path: Path) -> None:
    registered.serve(entry_text([bucket_resource("arn:aws:s3:::one/deep/a.h5")]), {"one/deep/a.h5": b"1"})
    assert registered.run(tmp_path).exit_code == 0
    assert files_below(tmp_path / "d") == {"a.h5": b"1"}


@pytest.mark.parametrize(
    ("more", "said", "opening"),
    [
        ({"RequesterPays": True}, "pays for it", {"anonymous": False, "requester_pays": True}),
        ({"AccountRequired": "True"}, "an AWS account is needed", {"anonymous": False}),
        ({"ControlledAccess": "https://example.org/ask"}, "see https://example.org/ask", {"anonymous": False}),
    ],
)
def test_data_that_is_not_free_is_refused_until_it_is_meant(
    registered: Registered, tmp_path: Path, more: dict[str, Any], said: str, opening: dict[str, bool]
) -> None:
    registered.serve(entry_text([bucket_resource("arn:aws:s3:::one", **more)]), {"one/a": b"1"})
    failure = registered.failure(tmp_path)
    assert failure.kind == ErrorKind.ACCESS_DENIED
    assert said in failure.message
    assert [seen.path for seen in registered.archive.requests if "one" in seen.path] == []
    if "requester_pays" not in opening:
        assert registered.run(tmp_path, **opening).exit_code == 0


@pytest.mark.parametrize("said", [False, "False", "false", None, ""])
def test_trap_5_a_flag_may_be_there_and_false(registered: Registered, tmp_path: Path, said: object) -> None:
    text = entry_text([bucket_resource("arn:aws:s3:::one", RequesterPays=said, ControlledAccess=None)])
    registered.serve(text, {"one/a": b"1"})
    assert registered.run(tmp_path).exit_code == 0


def test_deprecated_entries_are_taken_and_told(registered: Registered, tmp_path: Path) -> None:
    text = entry_text([bucket_resource("arn:aws:s3:::one")], Deprecated=True, DeprecatedNotice="moved to two")
    registered.serve(text, {"one/a": b"1"})
    assert registered.run(tmp_path).exit_code == 0
    assert registered.warnings() == ["registry a-dataset: deprecated: moved to two"]


def test_a_page_in_place_of_the_entry_is_refused(registered: Registered, tmp_path: Path) -> None:
    registered.serve(b"<!DOCTYPE html>\n<html><body>Sign in: to the network</body></html>", {"one/a": b"1"})
    failure = registered.failure(tmp_path)
    assert "expected an entry of the Registry of Open Data" in failure.message


@pytest.mark.parametrize("relative", [False, True])
def test_an_entry_beside_the_manifest(
    archive: Callable[..., Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    served = archive({"one/a": b"1"})
    monkeypatch.chdir(tmp_path if relative else "/")
    (tmp_path / "entry.yaml").write_bytes(entry_text([bucket_resource("arn:aws:s3:::one")]))
    manifest = tmp_path / "manifest.yaml"
    dataset = {"id": "d", "source": "open_data", "registry": "entry.yaml"}
    manifest.write_text(
        yaml.safe_dump({"version": 1, "mirrors": {"s3://one": f"{served.url}/one"}, "datasets": [dataset]})
    )
    assert run_within("manifest.yaml" if relative else manifest, tmp_path / "data").exit_code == 0
    assert files_below(tmp_path / "data" / "d") == {"a": b"1"}


def test_recordings_behind_an_entry_are_held_against_their_size(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    sessions = folder / "aind-benchmark-data" / "ephys-compression" / "aind-np2"
    for name in ("595262_2022-02-21_15-18-07_ProbeA", "612962_2022-04-13_19-18-04_ProbeB"):
        write_recording(sessions / name)
    traces = sessions / "612962_2022-04-13_19-18-04_ProbeB" / "traces_cached_seg0.raw"
    traces.write_bytes(traces.read_bytes()[:-1])
    for path, text in registry_objects({SLUG: BENCHMARK}).items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(text)
    registered = Registered(archive)
    registered.archive, registered.buckets = archive(FolderStore(folder)), ["aind-benchmark-data"]
    whole = registered.run(tmp_path / "data", format="binary", include=["aind-np2/595262_*/**"])
    assert whole.exit_code == 0
    failure = registered.failure(tmp_path / "data", format="binary")
    assert failure.kind == ErrorKind.FORMAT
    assert "ProbeB/traces_cached_seg0.raw: 23,999 bytes" in failure.message
    assert "ProbeA" not in failure.message


# --- what registry: names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "slug", "url"),
    [
        ("allen-nd-open-data", "allen-nd-open-data", f"{REGISTRY}allen-nd-open-data.yaml"),
        ("https://registry.opendata.aws/janelia-cosem/", "janelia-cosem", f"{REGISTRY}janelia-cosem.yaml"),
        ("https://h/x/mine.yaml", "mine", "https://h/x/mine.yaml"),
        (
            "https://github.com/awslabs/open-data-registry/blob/dev/datasets/x.yaml",
            "x",
            "https://raw.githubusercontent.com/awslabs/open-data-registry/dev/datasets/x.yaml",
        ),
        ("mine.yaml", "mine", "file:///m/mine.yaml"),
        ("/etc/x/mine.yml", "mine", "file:///etc/x/mine.yml"),
        ("../other/mine.yaml", "mine", "file:///m/../other/mine.yaml"),
    ],
)
def test_references(text: str, slug: str, url: str) -> None:
    reference = Reference.of(text, Path("/m"))
    assert (reference.slug, str(reference.location)) == (slug, url)


@pytest.mark.parametrize(
    ("url", "connections"),
    [(REGISTRY, 1), ("s3://aind-open-data/x", 64), ("https://aind-benchmark-data.s3.us-west-2.amazonaws.com/x", 64)],
)
def test_hosts_are_treated_as_they_bear(url: str, connections: int) -> None:
    assert Settings().policy(Location.parse(url)).max_connections == connections


def test_a_reference_that_cannot_be_fetched() -> None:
    with pytest.raises(InputError):
        Reference.of("ftp://h/x.yaml", Path("/m"))


# --- entries ----------------------------------------------------------------------------------------------------


def placed(arn: str, **more: Any) -> Place:
    (resource,) = parse_entry(entry_text([bucket_resource(arn, **more)]), "x.yaml").Resources
    return place_of(resource, "x.yaml")


@pytest.mark.parametrize(
    ("arn", "url"),
    [
        ("arn:aws:s3:::aind-open-data", "s3://aind-open-data/"),
        ("arn:aws:s3:::b.with.dots/p/q/", "s3://b.with.dots/p/q/"),
        ("arn:aws-us-gov:s3:::bucket", "s3://bucket/"),
        (
            "arn:aws:s3:us-west-2:123456789012:accesspoint/point/p/q",
            "https://point-123456789012.s3-accesspoint.us-west-2.amazonaws.com/p/q",
        ),
        (
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/point",
            "https://point-123456789012.s3-accesspoint.eu-west-1.amazonaws.com/",
        ),
        ("arn:aws-cn:s3:::bucket/p", "https://bucket.s3.us-west-2.amazonaws.com.cn/p"),
    ],
)
def test_trap_2_access_points_are_told_from_buckets(arn: str, url: str) -> None:
    assert placed(arn).url == url


@pytest.mark.parametrize(
    "arn",
    ["arn:aws:s3::://deafrica-sentinel-5p-ch4/x/", "arn:aws:s3:us-east-1::bucket", "s3://bucket", "", "arn:aws:s3:::"],
)
def test_trap_3_nothing_is_guessed_from_a_malformed_arn(arn: str) -> None:
    with pytest.raises(SourceError, match=r"x\.yaml: ARN .* names no bucket"):
        placed(arn)


def test_trap_4_spaces_and_quotes_around_arns() -> None:
    text = (
        b"Name: x\nResources:\n  - ARN: 'arn:aws:s3:::quoted/p '\n    Type: \"S3 Bucket\"\n    Region: ' us-east-1 '\n"
    )
    (resource,) = parse_entry(text, "x.yaml").Resources
    assert place_of(resource, "x.yaml") == Place("s3://quoted/p", "quoted", "us-east-1")


def test_trap_11_the_region_of_the_entry_is_used() -> None:
    assert placed("arn:aws:s3:::bk", region="af-south-1").region == "af-south-1"
    assert placed("arn:aws:s3:eu-west-1:123456789012:accesspoint/point", region="af-south-1").region == "eu-west-1"
    assert placed("arn:aws:s3:::bk", region="nonsense!").region is None


@pytest.mark.parametrize(("more", "region"), [({}, "af-south-1"), ({"region": "eu-west-1"}, "eu-west-1")])
async def test_the_transport_is_told_the_region(more: dict[str, str], region: str) -> None:
    granted: dict[str, BucketAccess] = {}

    class Granting(MemoryFetcher):
        def grant(self, bucket_origin: str, access: BucketAccess) -> None:
            granted[bucket_origin] = access

    text = entry_text([bucket_resource("arn:aws:s3:::bk/p", region="af-south-1")])
    fetcher = Granting({f"{REGISTRY}{SLUG}.yaml": text, "s3://bk/p/x": b"1"})
    dataset = {"id": "d", "source": "open_data", "registry": SLUG, **more}
    (entry,) = (await asyncio.to_thread(manifest_from_object, {"version": 1, "datasets": [dataset]})).datasets
    assert isinstance(entry, OpenDataEntry)
    source = OpenDataSource(SourceContext(fetcher=fetcher, settings=Settings(), on_event=ignore_event))
    kept, tree = [finding async for finding in source.resolve(entry)]
    assert kept == Kept(name=f"registry/{SLUG}.yaml", data=text)
    assert isinstance(tree, TreeFound)
    assert granted == {"s3://bk": BucketAccess(region=region)}


def test_other_types_are_passed_over() -> None:
    topic = {"ARN": "arn:aws:sns:us-east-1:1:x", "Type": "SNS Topic"}
    front = {"Host": "d1.cloudfront.net", "Type": "CloudFront Distribution"}
    resources = parse_entry(entry_text([topic, bucket_resource("arn:aws:s3:::bk"), front]), "x").Resources
    chosen = choose_resource(resources, "x", number=None, bucket=None)
    assert chosen is not None
    assert chosen.ARN == "arn:aws:s3:::bk"
    with pytest.raises(SourceError, match="resource 0 is no S3 bucket; it has 0: arn:aws:sns"):
        choose_resource(resources, "x", number=0, bucket=None)
    with pytest.raises(SourceError, match="resource 7 is no S3 bucket"):
        choose_resource(resources, "x", number=7, bucket=None)
    with pytest.raises(SourceError, match=r"no S3 bucket in it; it has 0: no ARN \(CloudFront Distribution\)"):
        choose_resource(resources[2:], "x", number=None, bucket=None)
    assert choose_resource(resources, "x", number=None, bucket="another") is None


def test_thousands_of_resources_are_not_told_one_by_one() -> None:
    resources = [Resource(ARN=f"arn:aws:s3:::b/{number}", Type="S3 Bucket") for number in range(5000)]
    with pytest.raises(SourceError) as caught:
        choose_resource(resources, "x", number=None, bucket=None)
    assert caught.value.message.endswith(", and 4,980 more")
    assert len(caught.value.message) < 2000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"just text",
        b"Name: x\n",
        b"Resources: 3\n",
        b"Resources: [3]\n",
        b"Resources:\n  - &a {Type: S3 Bucket}\n  - *a\n",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_entry(text: bytes) -> None:
    with pytest.raises(SourceError, match=r"x\.yaml: expected an entry of the Registry of Open Data"):
        parse_entry(text, "x.yaml")


# --- as they are in the registry --------------------------------------------------------------------------------

PAYLOADS = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "payloads" / "open_data_registry"


def real(name: str) -> Sequence[Resource]:
    if not PAYLOADS.is_dir():
        pytest.skip(f"no real entries at {PAYLOADS}")
    return parse_entry((PAYLOADS / f"{name}.yaml").read_bytes(), name).Resources


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("allen-nd-open-data", [Place("s3://aind-open-data/", "aind-open-data", "us-west-2")]),
        (
            "allen-nd-ephys-compression",
            [Place("s3://aind-benchmark-data/ephys-compression", "aind-benchmark-data", "us-west-2")],
        ),
        ("dandiarchive", [Place("s3://dandiarchive/", "dandiarchive", "us-east-2")]),
        (
            "janelia-cosem",
            [
                Place("s3://janelia-cosem-datasets/", "janelia-cosem-datasets", "us-east-1"),
                Place("s3://janelia-cosem-networks/", "janelia-cosem-networks", "us-east-1"),
            ],
        ),
    ],
)
def test_real_entries_traps_6_9_and_10(name: str, expected: list[Place]) -> None:
    """Free text as licence, keys with null, no dates: none of it is looked at."""
    assert [place_of(item, name) for item in real(name)] == expected


def test_a_real_entry_of_malformed_arns() -> None:
    resources = real("deafrica-sentinel5p")
    malformed = [item for item in resources if "s3::://" in (item.ARN or "")]
    assert len(malformed) == 8
    assert not any(item.RequesterPays for item in malformed)
    for item in malformed:
        with pytest.raises(SourceError, match="names no bucket"):
            place_of(item, "deafrica-sentinel5p")


def test_pasteur_trap_2_a_placeholder_is_refused_before_any_request() -> None:
    dataset = {"id": "d", "source": "open_data", "registry": "x", "bucket": "[BUCKET-NAME-TBD]"}
    with pytest.raises(ManifestError, match="expected the name of a bucket"):
        manifest_from_object({"version": 1, "datasets": [dataset]})


# --- shipped manifests ------------------------------------------------------------------------------------------

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def shipped(name: str, mirrors: dict[str, str]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
    return {**loaded, "mirrors": mirrors}


def test_the_shipped_benchmark(archive: Callable[..., Archive], tmp_path: Path) -> None:
    folder = tmp_path / "served"
    session = "aind-np2/595262_2022-02-21_15-18-07_ProbeA"
    write_recording(folder / "aind-benchmark-data" / "ephys-compression" / session)
    for path, text in registry_objects({"allen-nd-ephys-compression": BENCHMARK}).items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(text)
    url = archive(FolderStore(folder)).url
    mirrors = {"https://raw.githubusercontent.com": url, "s3://aind-benchmark-data": f"{url}/aind-benchmark-data"}
    assert run_within(shipped("aind-ephys-benchmark", mirrors), tmp_path / "data").exit_code == 0
    there = files_below(tmp_path / "data" / "ephys-benchmark-np2")
    assert there == files_below(folder / "aind-benchmark-data" / "ephys-compression")


PASTEUR = "exaspim_MOUSE001_2025-01-15_10-30-00"


def test_pasteur_traps_5_7_8_and_10_the_shipped_manifest_is_right_once_the_registry_knows_it(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    """Fused assets apart, levels 0 1 2, NGFF 0.4 with its version inside; zarr of today opens a path as it is."""
    slug = "pasteur-interhemispheric-cortex-connectivity"
    folder = tmp_path / "served"
    truth = write_asset(folder / "callosal", PASTEUR, tiles=1)
    tile = next(iter(truth))
    (folder / "callosal" / PASTEUR / "exaspim").mkdir()
    (folder / "callosal" / PASTEUR / tile).rename(folder / "callosal" / PASTEUR / "exaspim" / "image.ome.zarr")
    write_asset(folder / "callosal", f"{PASTEUR}_stitched_2025-01-16_08-00-00", tiles=1)
    entry = entry_text([bucket_resource("arn:aws:s3:::callosal", region="eu-west-3")])
    for path, text in registry_objects({slug: entry}).items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(text)
    url = archive(FolderStore(folder)).url
    mirrors = {"https://raw.githubusercontent.com": url, "s3://callosal": f"{url}/callosal"}
    receipt = run_within(shipped("pasteur-exaspim", mirrors), tmp_path / "data")
    assert receipt.failures == ()
    sidecars = files_below(tmp_path / "data" / "pasteur-exaspim-sidecars")
    assert sidecars == {
        f"{PASTEUR}/{path.name}": path.read_bytes() for path in (folder / "callosal" / PASTEUR).glob("*.json")
    }
    image = zarr.open_array(tmp_path / "data" / "pasteur-exaspim" / PASTEUR / "exaspim/image.ome.zarr/2", mode="r")
    np.testing.assert_array_equal(np.asarray(image[...]), truth[tile][2])


def test_pasteur_traps_3_5_6_and_9_a_fused_volume_lies_in_an_asset_of_its_own(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    """A filter spells the platform otherwise; both voxel sizes arrive; chunks that are left out are fill."""
    bucket = tmp_path / "served" / "callosal"
    fused = f"{PASTEUR}_stitched_2025-01-16_08-00-00"
    write_asset(bucket, PASTEUR, tiles=1, container="exaspim")
    truth = write_asset(bucket, fused, tiles=1, container="stitched")
    tile = next(iter(truth))
    (bucket / fused / tile).rename(bucket / fused / "stitched/fused.ome.zarr")
    sizes = b'{"voxel_size_um": [0.8, 0.3, 0.3], "voxel_size_um_before_expansion": [0.2, 0.075, 0.075]}'
    (bucket / fused / "acquisition.json").write_bytes(sizes)
    assert not (bucket / fused / "stitched/fused.ome.zarr/0/0/0/2/2/2").exists()
    url = archive(FolderStore(tmp_path / "served")).url
    dataset = {"id": "d", "source": "aind", "bucket": "callosal", "filter": {"platform": "exaSPIM", "level": "derived"}}
    choice = {"include": ["*.json", "stitched/**"], "scales": [0, 1]}
    manifest = {"version": 1, "mirrors": {"s3://callosal": f"{url}/callosal"}, "datasets": [{**dataset, **choice}]}
    assert run_within(manifest, tmp_path / "data").failures == ()
    assert [path.name for path in (tmp_path / "data/d").iterdir()] == [fused]
    assert (tmp_path / "data/d" / fused / "acquisition.json").read_bytes() == sizes
    copy = tmp_path / "data/d" / fused / "stitched/fused.ome.zarr"
    image = zarr.open_group(copy, mode="r")
    assert json.loads((copy / ".zattrs").read_text())["multiscales"][0]["version"] == "0.4"
    for level in (0, 1):
        array = image[str(level)]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(np.asarray(array[...]), truth[tile][level])


def test_pasteur_trap_1_the_shipped_manifest_says_what_is_missing_until_then(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    mirrors = {"https://raw.githubusercontent.com": archive({"other/x": b""}).url}
    receipt = run_within(shipped("pasteur-exaspim", mirrors), tmp_path / "data")
    assert receipt.exit_code == 1
    assert all(item.message.startswith("registry slug unknown: 'pasteur-inter") for item in receipt.failures)


def test_the_shipped_exaspim_manifest(archive: Callable[..., Archive], tmp_path: Path) -> None:
    asset = "exaSPIM_708373_2024-04-02_19-49-38"
    bucket = tmp_path / "served" / "aind-open-data"
    truth = write_asset(bucket, asset, levels=6, shape=(64, 64, 64))
    write_asset(bucket, f"{asset}_fusion_2024-06-12_11-58-05", tiles=1)
    url = archive(FolderStore(tmp_path / "served")).url
    receipt = run_within(shipped("aind-exaspim", {"s3://aind-open-data": f"{url}/aind-open-data"}), tmp_path / "data")
    assert receipt.failures == ()
    for tile, levels in truth.items():
        array = zarr.open_array(tmp_path / "data" / "exaspim-708373" / asset / tile / "5", mode="r")
        np.testing.assert_array_equal(np.asarray(array[...]), levels[5])
    assert {path.name for path in (tmp_path / "data" / "subject-708373").iterdir()} == {
        asset,
        f"{asset}_fusion_2024-06-12_11-58-05",
    }
