"""What every source does with bad input and bad days: a named error that says what to do, or all of it; never less.

One archive stands in for all of them. Each case spoils one source; a dataset of plain files beside it must come all
the same, what lies on disk must be as published, and in good weather the next run must bring the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.integration.folders import files_below, run_within

from emasync.model.events import Event
from emasync.testing import Archive, MemoryStore
from emasync.testing.content import BucketRules
from emasync.testing.dandi import DandiTwin
from emasync.testing.dandi_records import blob_key
from emasync.testing.empiar import API_HOST, DATA_HOST, EmpiarTwin
from emasync.testing.idr import OMERO_HOST, IdrTwin, OmeroApp
from emasync.testing.open_data import bucket_resource, entry_text, registry_objects
from emasync.testing.volumes import write_ome_zarr_04

ASSET = "exaSPIM_708373_2024-04-02_19-49-38"
PUBLISHED = "0.210831.2033"
ENTRY = f"{DATA_HOST}/empiar/world_availability/11759"
FILES = {
    "aind-open-data": {f"{ASSET}/data_description.json": b"{}", f"{ASSET}/behavior/a.csv": b"1,2\n"},
    "a-bucket": {"set/a.bin": b"a" * 100, "set/deep/b.bin": b"b" * 200},
    "a-private-bucket": {"set/a.bin": b"a"},
    "web.example.org": {"a.bin": b"a" * 300, "b.bin": b"b"},
    "calm.example.org": {"calm.bin": b"calm"},
}
SETTINGS = {"hosts": {"127.0.0.1": {"max_attempts": 1, "give_up_after": "200ms"}}}
TELLS_WHAT_TO_DO = re.compile(
    r"check |try again|run again|--refresh|name the|take it|look at|put the|write |anonymous|open the URL|credentials"
    r"|tell the archive|look it up|\bset it\b"
)


class World:
    """Twins of all archives behind one server."""

    def __init__(self) -> None:
        objects = {f"{host}/{path}": data for host, files in FILES.items() for path, data in files.items()}
        self.store = MemoryStore(objects)
        self.dandi = DandiTwin(self.store)
        self.empiar = EmpiarTwin(images=3)
        self.idr = IdrTwin()
        self.omero = OmeroApp(self.idr)
        registry = entry_text([bucket_resource("arn:aws:s3:::a-bucket/set")])
        for path, data in (self.empiar.objects | self.idr.objects | registry_objects({"a-slug": registry})).items():
            self.store.put(path, data)
        self.blobs = {"sub-1/a.nwb": b"nwb" * 100, "sub-2/b.nwb": b"bwn" * 50}
        for path, data in self.blobs.items():
            self.dandi.add_blob("000027", path, data)
        self.image = {".zgroup": b'{"zarr_format":2}', ".zattrs": b"{}", "x/.zgroup": b'{"zarr_format":2}'}
        self.dandi.add_zarr("000027", "sub-1/c.zarr", self.image)
        self.dandi.publish("000027", PUBLISHED)

    def serve(self, start: Callable[..., Archive]) -> Archive:
        apps = (self.omero, *self.empiar.apps(self.store), self.dandi)
        return start(self.store, apps=apps, buckets={"a-private-bucket": BucketRules(private=True)})

    def expected(self, source: str) -> dict[str, bytes]:
        """All files of the dataset that a source is asked for below."""
        return {
            "web": FILES["web.example.org"],
            "bucket": {path.removeprefix("set/"): data for path, data in FILES["a-bucket"].items()},
            "open_data": {path.removeprefix("set/"): data for path, data in FILES["a-bucket"].items()},
            "aind": FILES["aind-open-data"],
            "empiar": {**self.empiar.files, "11759.xml": self.empiar.xml()},
            "idr": self.idr.files,
            "dandi": self.blobs | {f"sub-1/c.zarr/{key}": data for key, data in self.image.items()},
        }[source]


DATASETS: Mapping[str, Mapping[str, Any]] = {
    "web": {"files": [{"url": f"https://web.example.org/{name}.bin"} for name in "ab"]},
    "bucket": {"url": "s3://a-bucket/set"},
    "open_data": {"registry": "a-slug"},
    "aind": {"assets": [ASSET]},
    "empiar": {"entry": 11759},
    "idr": {"dataset": 10740},
    "dandi": {"dandiset": "000027", "version": "draft"},
}


def manifest(url: str, source: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    mirrors = {f"https://{host}": f"{url}/{host}" for host in ("web.example.org", "calm.example.org")}
    mirrors |= {f"s3://{name}": f"{url}/{name}" for name in FILES if name.startswith("a")} | IdrTwin.mirrors(url)
    mirrors["s3://a-bukket"] = f"{url}/a-bukket"
    mirrors |= EmpiarTwin.mirrors(url) | {"https://raw.githubusercontent.com": url}
    mirrors |= {"https://api.dandiarchive.org": url, "s3://dandiarchive": f"{url}/dandiarchive"}
    spoilt = {"id": "spoilt", "source": source, **DATASETS[source], **entry}
    spoilt = {key: value for key, value in spoilt.items() if value is not None}
    calm = {"id": "calm", "source": "web", "files": [{"url": "https://calm.example.org/calm.bin"}]}
    return {"version": 1, "settings": SETTINGS, "mirrors": mirrors, "datasets": [spoilt, calm]}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad day of one source.

    Attributes
    ----------
    source : str
    entry : mapping
        What the manifest says in place of the usual.
    faults : mapping
        Of the server.
    spoil : callable or None
        Done to the world before.
    kind : str
        Of the failure.
    url : str
        The failure's location begins with it, and the message shows it.
    says : tuple of str
        In the message: what was expected, what came.
    heals : bool
        Whether good weather mends it.
    """

    source: str
    what: str
    entry: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, Any] = field(default_factory=dict)
    spoil: Callable[[World], None] | None = None
    kind: str
    url: str
    says: tuple[str, ...] = ()
    heals: bool = True

    def __str__(self) -> str:
        return f"{self.source}: {self.what}"


def drop_a_blob_record(world: World) -> None:
    """The manifest of the published version ends early, and is whole JSON all the same."""
    path = f"dandiarchive/dandisets/000027/{PUBLISHED}/assets.jsonld"
    found = world.store.get(path)
    assert found is not None
    world.store.put(path, orjson.dumps(orjson.loads(bytes(found.read(0, found.size_bytes)))[:-1]))


def lose_a_chunk(world: World) -> None:
    zarr = world.dandi.version("000027").assets[-1].zarr
    world.store.delete(f"dandiarchive/zarr/{zarr}/x/.zgroup")


def shorten_a_blob(world: World) -> None:
    asset = world.dandi.version("000027").assets[0]
    assert asset.blob is not None
    world.store.put(f"dandiarchive/{blob_key(asset.blob)}", b"nwb" * 99)


def promise_more_images(world: World) -> None:
    world.omero.promised = 3


API = "https://api.dandiarchive.org/api/dandisets/000027/versions/draft/"
IDR_API = f"https://{OMERO_HOST}/api/v0/m/datasets/10740/"
EMPIAR_API = f"https://{API_HOST}/empiar/api/entry/EMPIAR-11759/"
REGISTRY = "https://raw.githubusercontent.com/awslabs/open-data-registry/main/datasets/"

DOWN = [
    ("web", "web.example.org/a.bin", "https://web.example.org/a.bin"),
    ("bucket", "list:a-bucket", "s3://a-bucket/set/"),
    ("open_data", "awslabs/*", f"{REGISTRY}a-slug.yaml"),
    ("aind", "list:aind-open-data", f"s3://aind-open-data/{ASSET}/"),
    ("empiar", f"{API_HOST}/*", EMPIAR_API),
    ("empiar", f"{ENTRY}/data/", f"https://{ENTRY}/data/"),
    ("idr", f"{OMERO_HOST}/api/*", IDR_API),
    ("dandi", "api/*", API),
    ("dandi", "dandiarchive/blobs/*", "s3://dandiarchive/blobs/"),
    ("dandi", "list:dandiarchive", "s3://dandiarchive/zarr/"),
]
PAGES = [
    ("web", "web.example.org/a.bin", "https://web.example.org/a.bin", "refused", "in-band error page"),
    ("bucket", "list:a-bucket", "s3://a-bucket/set/", "refused", "in-band error page"),
    ("open_data", "awslabs/*", f"{REGISTRY}a-slug.yaml", "refused", "in-band error page"),
    ("aind", "list:aind-open-data", f"s3://aind-open-data/{ASSET}/", "refused", "in-band error page"),
    ("empiar", f"{API_HOST}/*", EMPIAR_API, "format", "expected a JSON object of the EMPIAR API, got '<!DOCTYPE"),
    ("empiar", f"{ENTRY}/data/", f"https://{ENTRY}/data/", "refused", "expected a directory listing"),
    ("idr", f"{OMERO_HOST}/api/*", IDR_API, "format", "expected a JSON object of OMERO.web, got '<!DOCTYPE"),
    ("dandi", "api/*", API, "source", "expected a JSON object from"),
    ("dandi", "list:dandiarchive", "s3://dandiarchive/zarr/", "refused", "in-band error page"),
]

VERSION = f"dandiarchive/dandisets/000027/{PUBLISHED}"
PAGE = "<!DOCTYPE html><title>Sign in to the network</title>"
MANIFESTS = [
    ("dandiset.jsonld", "cannot be had", {"status": 502}, "transient", "502"),
    ("assets.jsonld", "cannot be had", {"status": 502}, "transient", "502"),
    ("dandiset.jsonld", "is a page", {"body": PAGE}, "source", "expected a JSON object from"),
    ("assets.jsonld", "is a page", {"body": PAGE}, "source", "expected a JSON array of records, this begins with"),
]

CASES = [
    # --- unknown ----------------------------------------------------------------------------------------------------
    Case(source="web", what="no such file", faults={"web.example.org/a.bin": [{"missing": True}]},
         kind="not_found", url="https://web.example.org/a.bin", says=("404",)),
    Case(source="bucket", what="no such bucket", entry={"url": "s3://a-bukket/set"}, heals=False,
         kind="not_found", url="s3://a-bukket/", says=("NoSuchBucket",)),
    Case(source="bucket", what="nothing below the prefix", entry={"url": "s3://a-bucket/sett"}, heals=False,
         kind="source", url="s3://a-bucket/sett", says=("nothing to fetch at",)),
    Case(source="open_data", what="no such slug", entry={"registry": "a-slugg"}, heals=False,
         kind="not_found", url=f"{REGISTRY}a-slugg.yaml", says=("registry slug unknown: 'a-slugg'", "bucket:")),
    Case(source="aind", what="no such asset", entry={"assets": [ASSET.replace("38", "39")]}, heals=False,
         kind="not_found", url="s3://aind-open-data/", says=("has no asset", ASSET)),
    Case(source="aind", what="a filter that nothing fits", entry={"assets": None, "filter": {"subject": "1"}},
         heals=False, kind="source", url="s3://aind-open-data/", says=("none of 1 assets", "subject: 1")),
    Case(source="empiar", what="no such entry", entry={"entry": 1}, heals=False,
         kind="not_found", url=f"https://{API_HOST}/empiar/api/entry/EMPIAR-1/", says=("no released entry 1",)),
    Case(source="idr", what="no such dataset", entry={"dataset": 1}, heals=False,
         kind="not_found", url=f"https://{OMERO_HOST}/webclient/?show=dataset-1", says=("no public dataset 1",)),
    Case(source="idr", what="no such image", entry={"dataset": None, "images": [1]}, heals=False,
         kind="not_found", url=f"https://{OMERO_HOST}/webclient/?show=image-1", says=("no public image 1",)),
    Case(source="dandi", what="no such dandiset", entry={"dandiset": "999999"}, heals=False,
         kind="not_found", url="https://api.dandiarchive.org/api/dandisets/999999/", says=("404",)),
    Case(source="dandi", what="no such version", entry={"version": "0.999999.9999"}, heals=False,
         kind="not_found", url="https://api.dandiarchive.org/api/dandisets/000027/versions/0.999999.9999/",
         says=("000027/0.999999.9999",)),
    # --- down, or answering with pages ------------------------------------------------------------------------------
    *(Case(source=source, what=f"{key} is down", faults={key: [{"status": 502}]}, kind="transient", url=url,
           says=("502",)) for source, key, url in DOWN),
    *(Case(source=source, what=f"{key} does not answer", faults={key: [{"drop": True}]}, kind="transient", url=url)
      for source, key, url in DOWN),
    *(Case(source=source, what=f"{key} answers 200 with a page", faults={key: [{"html_error": True}]}, kind=kind,
           url=url, says=(says,)) for source, key, url, kind, says in PAGES),
    *(Case(source="dandi", what=f"the manifest of a version {what}", entry={"version": PUBLISHED},
           faults={f"{VERSION}/{name}": [fault]}, kind=kind, url=f"s3://{VERSION}/{name}", says=(says,))
      for name, what, fault, kind, says in MANIFESTS),
    # --- shorter than promised --------------------------------------------------------------------------------------
    Case(source="idr", what="a page fewer than promised", spoil=promise_more_images, heals=False,
         kind="source", url=IDR_API, says=("3 images are promised, 2 came",)),
    Case(source="dandi", what="a manifest shorter than promised", spoil=drop_a_blob_record, heals=False,
         entry={"version": None}, kind="source", url=f"s3://dandiarchive/dandisets/000027/{PUBLISHED}/assets.jsonld",
         says=("promises 3 assets", "holds 2")),
    Case(source="dandi", what="a Zarr shorter than its checksum", spoil=lose_a_chunk, heals=False,
         kind="source", url="s3://dandiarchive/zarr/", says=("promises 3 objects", "lists 2")),
    # --- not for everybody ------------------------------------------------------------------------------------------
    Case(source="web", what="a login", faults={"web.example.org/a.bin": [{"status": 401}]},
         kind="access_denied", url="https://web.example.org/a.bin", says=("401", "without credentials")),
    Case(source="bucket", what="a private bucket", entry={"url": "s3://a-private-bucket/set"}, heals=False,
         kind="access_denied", url="s3://a-private-bucket/", says=("403", "without credentials")),
    Case(source="aind", what="a private bucket", entry={"bucket": "a-private-bucket"}, heals=False,
         kind="access_denied", url="s3://a-private-bucket/", says=("403", "without credentials")),
    Case(source="empiar", what="a listing that is denied", faults={f"{ENTRY}/": [{"forbidden": True}]},
         kind="access_denied", url=f"https://{ENTRY}/", says=("403",)),
    Case(source="dandi", what="a token is missing", faults={"api/*": [{"status": 401}]},
         kind="access_denied", url=API, says=("DANDI_API_KEY", "without credentials")),
    # --- metadata that contradict the bytes -------------------------------------------------------------------------
    Case(source="web", what="another size", entry={"files": [{"url": "https://web.example.org/a.bin", "size": 7}]},
         heals=False, kind="size_mismatch", url="https://web.example.org/a.bin", says=("7 bytes", "300")),
    Case(source="dandi", what="another size", spoil=shorten_a_blob, heals=False,
         kind="size_mismatch", url="s3://dandiarchive/blobs/", says=("300", "297")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_named_error_and_never_a_silent_subset(case: Case, archive: Callable[..., Archive], tmp_path: Path) -> None:
    world = World()
    if case.spoil is not None:
        case.spoil(world)
    server = world.serve(archive)
    server.set_faults(case.faults)
    described = manifest(server.url, case.source, case.entry)
    receipt = run_within(described, tmp_path)
    assert receipt.exit_code == 1
    spoilt, calm = receipt.datasets
    assert calm.status == "complete"
    assert spoilt.status != "complete"
    failure = spoilt.failures[0]
    assert failure.kind == case.kind
    assert failure.location.startswith(case.url)
    assert case.url in failure.message
    for words in case.says:
        assert words in failure.message
    assert TELLS_WHAT_TO_DO.search(failure.message)
    whole = world.expected(case.source)
    assert files_below(tmp_path / "spoilt").items() <= whole.items()
    if not case.heals:
        return
    server.set_faults({})
    assert run_within(described, tmp_path).exit_code == 0
    assert files_below(tmp_path / "spoilt") == whole


def test_what_a_bucket_without_a_listing_may_keep_is_told(archive: Callable[..., Archive], tmp_path: Path) -> None:
    """A hierarchy can be taken by its metadata alone; what they do not name stays behind, and that is said."""
    write_ome_zarr_04(tmp_path / "x.zarr", shape=(8, 8, 8), chunks=(8, 8, 8), levels=1)
    image = files_below(tmp_path / "x.zarr")
    objects = {f"a-bucket/x.zarr/{key}": data for key, data in {**image, "OME/METADATA.ome.xml": b"<OME/>"}.items()}
    server = archive(objects, buckets={"a-bucket": BucketRules(list_denied=True)})
    events: list[Event] = []
    described = manifest(server.url, "bucket", {"url": "s3://a-bucket/x.zarr"})
    run_within({**described, "datasets": described["datasets"][:1]}, tmp_path / "root", on_event=events.append)
    assert files_below(tmp_path / "root/spoilt") == image
    (warning,) = [str(event.fields["message"]) for event in events if event.event == "warning"]
    assert warning.startswith("s3://a-bucket/x.zarr cannot be listed, what its metadata do not name stays behind: ")
    assert "403" in warning
