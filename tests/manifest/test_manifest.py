"""What a manifest says, once it is read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from emasync.errors import InputError
from emasync.manifest.archives import AindEntry, DandiEntry, EmpiarEntry, IdrEntry, OpenDataEntry
from emasync.manifest.bucket import BucketEntry
from emasync.manifest.crop import BoxCrop, DrawnCrop, SameAsCrop
from emasync.manifest.entry import Entry
from emasync.manifest.layout import DataRoots, FlexiznamLayout, MirrorLayout
from emasync.manifest.load import load_manifest, manifest_from_object, parse_manifest
from emasync.manifest.manifest import Manifest
from emasync.manifest.web import WebEntry, WebFile
from emasync.model.digest import Digest
from emasync.model.location import Location
from emasync.model.timetable import BandwidthHours
from emasync.settings import MIB, Settings

Read = Callable[..., Manifest]
E = TypeVar("E", bound=Entry)
MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"

EVERYTHING = """\
version: 1
root: ../data
state_dir: null
settings:
  max_bandwidth: 200MB/s
  bandwidth_timetable:
    - {start: 08:00, stop: 18:30, days: [mon, fri], rate: 20MB/s}
    - {start: 22:00, stop: 6:00, rate: 1GB/s}
  max_memory: 96MiB
  max_total: 2TB
  reserve: 5GB
  workers: auto
  checksums: sha256
  hosts:
    FTP.ebi.ac.uk:
      {max_connections: 8, requests_per_second: null, connect_timeout: 10s, first_byte_timeout: 30s,
       stall_timeout: 500ms, crawl_rate: 2KiB/s, max_attempts: 3, give_up_after: 1h, part_size: 16MiB,
       etag_is_md5: true, absent_on_404: false}
    "s3://*": {max_connections: 32}
mirrors:
  "s3://janelia-cosem-datasets": "https://mirror.example.org/cosem/"
  "https://FTP.ebi.ac.uk/": "file:///mnt/ebi-mirror"
layout: mirror
datasets:
  - id: epfl-hippocampus
    source: web
    files:
      - url: https://documents.epfl.ch/a/%20ElectronMicroscopy_Hippocampus/volumedata.tif
        size: 3353674357
        md5: 14FC2fb6a5061ea4ea9b69a090c327c9
        path: volumedata.tif
      - url: https://example.org/s_{z:04d}.dm3
        z: 0..15
    metadata: {voxel_size: [5, 5, 5], unit: nanometre, axes: zyx, license: null, citation: "...", animal: 000027}
  - id: nacc-2
    source: bucket
    url: s3://janelia-cosem-datasets/jrc_mus-nacc-2/jrc_mus-nacc-2.zarr
    region: us-east-1
    anonymous: true
    arrays: ["recon-2/em/fibsem-int16/"]
    scales: [0, 3]
    crop: {start: [0, -1, 0], shape: [256, 512, 512], scale: 0}
    select: {c: 0, t: 0}
    subset: mirror
  - id: hemibrain
    source: bucket
    url: gs://neuroglancer-janelia-flyem-hemibrain/emdata/clahe_yz/jpeg
    format: precomputed
    scales: [0]
    crop: {at: random, shape: [1000, 1000, 1000], seed: 20250720, within: null, min_nonzero: 0.5}
  - id: hemibrain-labels
    source: bucket
    url: gs://neuroglancer-janelia-flyem-hemibrain/v1.2/segmentation
    role: labels
    scales: [0]
    crop: {same_as: hemibrain}
  - id: empiar-11759
    source: empiar
    entry: EMPIAR-11759
    include: ["data/*.dm3"]
    exclude: ["data/*_test.dm3"]
    series: {pattern: "data/*_slice_*.dm3", spacing: 50, unit: nanometer}
    allow_missing: []
  - id: idr-u2os
    source: idr
    images: [9846137]
  - id: visual-coding
    source: dandi
    dandiset: 000728
    version: 0.240827.1809
    instance: ember-dandi
  - id: exaspim
    source: aind
    assets: ["exaSPIM_708373_2024-04-02_19-49-38"]
    include: ["*.json", "SPIM.ome.zarr/**"]
    scales: [3]
  - id: chosen
    source: aind
    bucket: other-bucket
    filter: {platform: exaSPIM, subject: 000027, after: 2024-04-02, before: 2025-01-01, level: raw}
  - id: interhemispheric
    source: open_data
    registry: pasteur-interhemispheric-cortex-connectivity
    resource: 0
    bucket: my-bucket
"""


def of(manifest: Manifest, dataset: str, kind: type[E]) -> E:
    entry = manifest.entry(dataset)
    assert isinstance(entry, kind)
    return entry


@pytest.fixture
def everything(read: Read) -> Manifest:
    return read(EVERYTHING)


def test_settings(everything: Manifest) -> None:
    assert everything.settings == Settings(
        max_bandwidth=2e8,
        bandwidth_timetable=(
            BandwidthHours(start_s=28_800, stop_s=66_600, bytes_per_s=2e7, days=frozenset({0, 4})),
            BandwidthHours(start_s=79_200, stop_s=21_600, bytes_per_s=1e9),
        ),
        max_memory_bytes=96 * MIB,
        max_total_bytes=2 * 10**12,
        reserve_bytes=5 * 10**9,
        workers="auto",
        checksums="sha256",
        hosts={
            "ftp.ebi.ac.uk": {
                "max_connections": 8,
                "requests_per_second": None,
                "connect_timeout_s": 10.0,
                "first_byte_timeout_s": 30.0,
                "stall_timeout_s": 0.5,
                "crawl_bytes_per_s": 2048.0,
                "max_attempts": 3,
                "give_up_after_s": 3600.0,
                "part_bytes": 16 * MIB,
                "etag_is_md5": True,
                "absent_on_404": False,
            },
            "s3://*": {"max_connections": 32},
        },
        mirrors={
            "s3://janelia-cosem-datasets": "https://mirror.example.org/cosem",
            "https://ftp.ebi.ac.uk": "file:///mnt/ebi-mirror",
        },
    )


def test_host_policies_reach_their_origin(everything: Manifest) -> None:
    policy = everything.settings.policy(Location.parse("https://ftp.ebi.ac.uk/empiar/x"))
    assert (policy.stall_timeout_s, policy.part_bytes) == (0.5, 16 * MIB)
    assert everything.settings.policy(Location.parse("s3://some-bucket/x")).max_connections == 32


def test_what_is_left_out_keeps_its_default(read: Read) -> None:
    manifest = read("version: 1\nsettings:\nmirrors:\ndatasets: [{id: a, source: idr, dataset: 10740}]")
    assert manifest.settings == Settings()
    assert manifest.layout == MirrorLayout()
    assert (manifest.version, manifest.file, manifest.root, manifest.state_dir) == (1, "m.yaml", None, None)


def test_web(everything: Manifest) -> None:
    entry = of(everything, "epfl-hippocampus", WebEntry)
    first, *slices = entry.expanded()
    assert first == WebFile(
        url="https://documents.epfl.ch/a/%20ElectronMicroscopy_Hippocampus/volumedata.tif",
        path="volumedata.tif",
        size_bytes=3353674357,
        digests=(Digest("md5", "14fc2fb6a5061ea4ea9b69a090c327c9"),),
    )
    assert first.location == Location.parse(first.url)
    assert [file.path for file in slices] == [f"s_{z:04d}.dm3" for z in range(16)]
    assert slices[15].url == "https://example.org/s_0015.dm3"
    described = entry.metadata
    assert described.voxel_size == (5.0, 5.0, 5.0)
    assert (described.unit, described.axes, described.license) == ("nanometer", "zyx", None)
    assert described.model_extra == {"animal": "000027"}


def test_bucket(everything: Manifest) -> None:
    entry = of(everything, "nacc-2", BucketEntry)
    assert entry.location == Location("s3", "janelia-cosem-datasets", "jrc_mus-nacc-2/jrc_mus-nacc-2.zarr")
    assert (entry.region, entry.anonymous, entry.requester_pays) == ("us-east-1", True, False)
    assert (entry.arrays, entry.scales, entry.select) == (("recon-2/em/fibsem-int16",), (0, 3), {"c": 0, "t": 0})
    assert entry.crop == BoxCrop(start=(0, -1, 0), shape=(256, 512, 512))
    assert (entry.subset, entry.format, entry.role) == ("mirror", "auto", "image")
    assert of(everything, "hemibrain", BucketEntry).crop == DrawnCrop(
        at="random", shape=(1000, 1000, 1000), seed=20250720, min_nonzero=0.5
    )
    labels = of(everything, "hemibrain-labels", BucketEntry)
    assert (labels.role, labels.crop) == ("labels", SameAsCrop(same_as="hemibrain"))


def test_archives(everything: Manifest) -> None:
    empiar = of(everything, "empiar-11759", EmpiarEntry)
    assert empiar.entry == 11759
    assert empiar.selection.wants("data/a.dm3")
    assert not empiar.selection.wants("data/a_test.dm3")
    assert empiar.series is not None
    assert (empiar.series.spacing, empiar.series.unit) == (50.0, "nanometer")
    assert of(everything, "idr-u2os", IdrEntry).images == (9846137,)
    dandi = of(everything, "visual-coding", DandiEntry)
    assert (dandi.dandiset, dandi.version, dandi.instance) == ("000728", "0.240827.1809", "ember-dandi")
    assert of(everything, "exaspim", AindEntry).assets == ("exaSPIM_708373_2024-04-02_19-49-38",)
    chosen = of(everything, "chosen", AindEntry)
    assert chosen.bucket == "other-bucket"
    assert chosen.filter is not None
    assert (chosen.filter.subject, chosen.filter.after, chosen.filter.level) == ("000027", "2024-04-02", "raw")
    registry = of(everything, "interhemispheric", OpenDataEntry)
    assert (registry.resource, registry.bucket) == (0, "my-bucket")


def test_every_entry_names_its_source(everything: Manifest) -> None:
    names = [entry.source_name for entry in everything.datasets]
    assert names == ["web", "bucket", "bucket", "bucket", "empiar", "idr", "dandi", "aind", "aind", "open_data"]


def test_an_archive_elsewhere(dataset: Callable[..., DandiEntry]) -> None:
    entry = dataset(source="dandi", dandiset="000001", instance="http://localhost:8000/api")
    assert (entry.instance, entry.version) == ("http://localhost:8000/api", None)


def test_flexiznam(read: Read) -> None:
    manifest = read("""\
        version: 1
        layout:
          {kind: flexiznam, project: p, mouse: 654308, session: S20231102, data_root: {raw: /r, processed: /p}}
        datasets: [{id: a, source: idr, images: [1]}]
        """)
    assert manifest.layout == FlexiznamLayout(
        kind="flexiznam",
        project="p",
        mouse="654308",
        session="S20231102",
        flavour="v0.4",
        data_root=DataRoots(raw=Path("/r"), processed=Path("/p")),
    )


def test_what_else_may_be_written(read: Read) -> None:
    manifest = read("""\
        version: 1
        layout: {kind: flexiznam, project: p, sample: brain}
        datasets:
        - id: 007
          source: bucket
          url: https://s3.example.org/bucket
          anonymous: false
          requester_pays: true
          scales: []
          crop: {at: center, shape: [1, 2, 3], scale: 2}
          metadata: {voxel_size: [0.5, 4, 4], unit: \u03bcm, plate: {well: 003, rows: [01, 2, true, null]}}
        """)
    entry = of(manifest, "007", BucketEntry)
    assert entry.requester_pays
    assert entry.scales == ()
    assert entry.crop == DrawnCrop(at="center", shape=(1, 2, 3), scale=2)
    assert entry.metadata.unit == "\u00b5m"
    assert entry.metadata.model_extra == {"plate": {"well": "003", "rows": ["01", 2, True, None]}}
    assert isinstance(manifest.layout, FlexiznamLayout)
    assert manifest.layout.sample == "brain"


@pytest.mark.parametrize("text", ["000027", "12:30", "no", "on", "0x1f", "1e3", "2024-04-02", "true"])
def test_text_is_what_was_written(read: Read, text: str) -> None:
    manifest = read(f"version: 1\ndatasets: [{{id: a, source: open_data, registry: {text}}}]")
    assert of(manifest, "a", OpenDataEntry).registry == text


def test_folders(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "version: 1\ndatasets: [{id: a, source: idr, images: [1]}]\n"
    path = tmp_path / "m.yaml"
    path.write_text(body)
    manifest = load_manifest(path, environ={})
    assert manifest.root_for() == tmp_path / "data"
    assert manifest.root_for(Path("elsewhere")) == Path("elsewhere")
    assert manifest.state_dir_for() is None
    named = parse_manifest(body + "root: ../out\nstate_dir: /var/x\n", file=str(path), environ={})
    assert named.root_for() == tmp_path / "../out"
    assert named.state_dir_for() == Path("/var/x")
    monkeypatch.setenv("HOME", "/home/someone")
    at_home = parse_manifest(body + "root: ~/data\n", file="m.yaml", environ={}, folder=tmp_path)
    assert at_home.root_for() == Path("/home/someone/data")
    assert at_home.root_for(Path("~/x")) == Path("/home/someone/x")


def test_datasets_by_id(everything: Manifest) -> None:
    assert [entry.id for entry in everything.only(["nacc-2", "epfl-hippocampus"])] == ["epfl-hippocampus", "nacc-2"]
    assert everything.only([]) == everything.datasets
    with pytest.raises(InputError, match=r"no dataset 'nacc'; there are epfl-hippocampus, nacc-2"):
        everything.only(["nacc"])


def test_a_manifest_crosses_processes(everything: Manifest) -> None:
    copy = pickle.loads(pickle.dumps(everything))  # noqa: S301 - our own bytes
    assert copy == everything
    assert [entry.digest for entry in copy.datasets] == [entry.digest for entry in everything.datasets]


def test_an_object_says_the_same_as_its_text(everything: Manifest) -> None:
    """PyYAML reads YAML 1.1, so what the two versions differ in is put in by hand."""
    data = yaml.safe_load(EVERYTHING)
    data["datasets"][0]["metadata"]["animal"] = "000027"
    data["datasets"][6]["dandiset"] = "000728"
    data["datasets"][8]["filter"] |= {"subject": "000027", "after": "2024-04-02", "before": "2025-01-01"}
    data["root"] = Path("../data")
    assert manifest_from_object(data).digest == everything.digest


# --- shipped manifests ------------------------------------------------------------------------------------------


def test_the_shipped_manifests_are_right() -> None:
    files = sorted(MANIFESTS.glob("*.yaml"))
    assert {path.name for path in files} >= {"quickstart.yaml", "epfl.yaml", "openorganelle-nacc-2.yaml"}
    for path in files:
        assert load_manifest(path, environ={}).datasets


def test_the_quickstart_is_small() -> None:
    (entry,) = load_manifest(MANIFESTS / "quickstart.yaml", environ={}).datasets
    assert isinstance(entry, BucketEntry)
    assert (entry.scales, entry.anonymous) == ((6, 7, 8), True)
