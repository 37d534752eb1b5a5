"""Every form of link that is understood, and those that are not: text in, dataset of a manifest out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emasync.errors import InputError
from emasync.registry import LINKS
from emasync.sources.links.interface import Question, Reading, Ready
from emasync.sources.links.reading import MAX_CHARACTERS, plugged, read_link, rules

DANDISET = {"source": "dandi", "dandiset": "000027"}
OPENORGANELLE = "s3://janelia-cosem-datasets/jrc_mus-nacc-2/jrc_mus-nacc-2.zarr"
RAW = "exaSPIM_708373_2024-04-02_19-49-38"
NEW = "795133_2026-02-10_11-06-18"
UUID = "0b8a6d31-4de7-4b8c-95f5-5a5e2a2d0a2f"
ASSET = f"https://api.dandiarchive.org/api/assets/{UUID}/"
REGISTRY_FILE = "https://github.com/awslabs/open-data-registry/blob/main/datasets/janelia-cosem.yaml"
ZARR = "https://uk1s3.embassy.ebi.ac.uk/idr/zarr/v0.4/idr0062A/6001240.zarr"


def bucket(url: str, **more: Any) -> dict[str, Any]:
    return {"source": "bucket", "url": url, **more}


def web(url: str) -> dict[str, Any]:
    return {"source": "web", "files": [{"url": url}]}


BUCKETS = {
    "s3://bucket/a/b": bucket("s3://bucket/a/b"),
    "S3://bucket/a": bucket("s3://bucket/a"),
    "s3a://bucket/a": bucket("s3://bucket/a"),
    "gs://bucket/a": bucket("gs://bucket/a"),
    "gcs://bucket/a": bucket("gs://bucket/a"),
    "arn:aws:s3:::aind-benchmark-data/ephys-compression": bucket("s3://aind-benchmark-data/ephys-compression"),
    "https://bucket.s3.amazonaws.com/a%20b/c": bucket("s3://bucket/a b/c"),
    "https://bucket.s3.us-west-2.amazonaws.com/a/": bucket("s3://bucket/a/", region="us-west-2"),
    "https://bucket.s3-us-west-2.amazonaws.com/a": bucket("s3://bucket/a", region="us-west-2"),
    "https://bucket.s3.dualstack.us-east-1.amazonaws.com/a": bucket("s3://bucket/a", region="us-east-1"),
    "https://my.dotted.bucket.s3.amazonaws.com/a": bucket("s3://my.dotted.bucket/a"),
    "https://s3.amazonaws.com/bucket/a": bucket("s3://bucket/a"),
    "https://s3.us-east-2.amazonaws.com/bucket/a": bucket("s3://bucket/a", region="us-east-2"),
    "http://s3.amazonaws.com/bucket": bucket("s3://bucket/"),
    "https://bucket.s3.amazonaws.com/?list-type=2&prefix=a/b/&delimiter=/": bucket("s3://bucket/a/b/"),
    "https://storage.googleapis.com/bucket?prefix=a%2Fb": bucket("gs://bucket/a/b"),
    "https://s3.console.aws.amazon.com/s3/buckets/bucket?region=us-west-2&prefix=a/b/&showversions=false": bucket(
        "s3://bucket/a/b/", region="us-west-2"
    ),
    "https://us-east-1.console.aws.amazon.com/s3/object/bucket?prefix=a/b.tif": bucket("s3://bucket/a/b.tif"),
    "https://open.quiltdata.com/b/janelia-cosem-datasets/tree/jrc_hela-2/": bucket(
        "s3://janelia-cosem-datasets/jrc_hela-2/"
    ),
    "https://open.quiltdata.com/b/janelia-cosem-datasets": bucket("s3://janelia-cosem-datasets/"),
    "https://storage.googleapis.com/bucket/a/b": bucket("gs://bucket/a/b"),
    "https://bucket.storage.googleapis.com/a/b": bucket("gs://bucket/a/b"),
    "https://storage.cloud.google.com/bucket/a": bucket("gs://bucket/a"),
    "https://www.googleapis.com/storage/v1/b/bucket/o/a%2Fb": bucket("gs://bucket/a/b"),
    "https://storage.googleapis.com/download/storage/v1/b/bucket/o/a%2Fb?alt=media": bucket("gs://bucket/a/b"),
    "https://storage.googleapis.com/storage/v1/b/bucket/o": bucket("gs://bucket/"),
    "https://console.cloud.google.com/storage/browser/bucket/a/b;tab=objects?prefix=&forceOnObjects=0": bucket(
        "gs://bucket/a/b"
    ),
    "https://console.cloud.google.com/storage/browser/_details/bucket/a/b.tif;tab=live_object": bucket(
        "gs://bucket/a/b.tif"
    ),
    "https://console.developers.google.com/storage/browser/bucket/": bucket("gs://bucket/"),
    "s3://bucket/x.zarr/0/.zarray": bucket("s3://bucket/x.zarr/0"),
    "https://bucket.s3.amazonaws.com/x.zarr/zarr.json": bucket("s3://bucket/x.zarr"),
}

PLAIN = {
    "https://host.org/a/file.tif": web("https://host.org/a/file.tif"),
    "https://documents.epfl.ch/groups/c/x/%20ElectronMicroscopy_Hippocampus/volumedata.tif": web(
        "https://documents.epfl.ch/groups/c/x/%20ElectronMicroscopy_Hippocampus/volumedata.tif"
    ),
    "https://host.org/a b/é.tif": web("https://host.org/a%20b/%C3%A9.tif"),
    "https://zenodo.org/records/1/files/x.zip?download=1": web("https://zenodo.org/records/1/files/x.zip?download=1"),
    "https://host.org/{z}.tif": web("https://host.org/%7Bz%7D.tif"),
    "ftp://ftp.ebi.ac.uk/pub/databases/IDR/idr0086-x/y.tif": web(
        "https://ftp.ebi.ac.uk/pub/databases/IDR/idr0086-x/y.tif"
    ),
    "https://bucket.s3.amazonaws.com:8443/x.tif": web("https://bucket.s3.amazonaws.com:8443/x.tif"),
    "https://host.org/x.ome.zarr.zip": web("https://host.org/x.ome.zarr.zip"),
    "https://host.org/file.tif#page=2": web("https://host.org/file.tif"),
    "https://host.org/": bucket("https://host.org/"),
    "https://host.org/folder/": bucket("https://host.org/folder/"),
    ZARR: bucket(ZARR),
    f"{ZARR}/0": bucket(f"{ZARR}/0"),
    f"{ZARR}/.zattrs": bucket(ZARR),
    "https://host.org/x.n5/": bucket("https://host.org/x.n5/"),
    f"https://ome.github.io/ome-ngff-validator/?source={ZARR}": bucket(ZARR),
    f"https://hms-dbmi.github.io/vizarr/?source={ZARR}": bucket(ZARR),
    "https://avivator.gehlenborglab.org/?image_url=https://host.org/x.tif": web("https://host.org/x.tif"),
    "https://kitware.github.io/itk-vtk-viewer/app/?fileToLoad=https://host.org/x.tif": web("https://host.org/x.tif"),
}

DANDI = {
    "DANDI:000027": DANDISET,
    "DANDI:000027/0.210831.2033": {**DANDISET, "version": "0.210831.2033"},
    "dandi://dandi/000027@draft/sub-1/": {**DANDISET, "version": "draft", "include": ["sub-1/**"]},
    "dandi://ember-dandi/000027": {**DANDISET, "instance": "ember-dandi"},
    "https://dandiarchive.org/dandiset/000027": DANDISET,
    "https://dandiarchive.org/dandiset/000027/0.210831.2033": {**DANDISET, "version": "0.210831.2033"},
    "https://dandiarchive.org/dandiset/000027/draft/files?location=sub-1": {
        **DANDISET,
        "version": "draft",
        "include": ["sub-1/**"],
    },
    "https://gui.dandiarchive.org/#/dandiset/000027": DANDISET,
    "https://gui.dandiarchive.org/#/dandiset/000027/draft": {**DANDISET, "version": "draft"},
    "https://dandi.emberarchive.org/dandiset/000027": {**DANDISET, "instance": "ember-dandi"},
    "https://lincbrain.org/dandiset/000027": {**DANDISET, "instance": "linc"},
    "https://sandbox.dandiarchive.org/dandiset/000027": {**DANDISET, "instance": "dandi-sandbox"},
    "https://api.dandiarchive.org/api/dandisets/000027/": DANDISET,
    "https://api.dandiarchive.org/api/dandisets/000027/versions/draft/": {**DANDISET, "version": "draft"},
    "https://api.dandiarchive.org/api/dandisets/000027/versions/draft/assets/?path=sub-1/x.nwb": {
        **DANDISET,
        "version": "draft",
        "include": ["sub-1/x.nwb", "sub-1/x.nwb/**"],
    },
    "https://archive.example.org/api/dandisets/000027/": {**DANDISET, "instance": "https://archive.example.org/api"},
    "https://doi.org/10.48324/dandi.000027/0.210831.2033": {**DANDISET, "version": "0.210831.2033"},
    "https://identifiers.org/DANDI:000027": DANDISET,
    "https://neurosift.app/?p=/dandiset&dandisetId=000027&dandisetVersion=draft": {**DANDISET, "version": "draft"},
}

EMPIAR_ENTRY = {"source": "empiar", "entry": 11759}
EMPIAR = {
    "EMPIAR-11759": EMPIAR_ENTRY,
    "empiar-10311": {"source": "empiar", "entry": 10311},
    "EMPIAR:11759": EMPIAR_ENTRY,
    "10.6019/EMPIAR-11759": EMPIAR_ENTRY,
    "https://doi.org/10.6019/EMPIAR-11759": EMPIAR_ENTRY,
    "https://www.ebi.ac.uk/empiar/EMPIAR-11759/": EMPIAR_ENTRY,
    "https://www.ebi.ac.uk/empiar/EMPIAR-11759": EMPIAR_ENTRY,
    "https://www.ebi.ac.uk/empiar/entry/11759/": EMPIAR_ENTRY,
    "https://www.ebi.ac.uk/pdbe/emdb/empiar/entry/11759": EMPIAR_ENTRY,
    "https://www.ebi.ac.uk/empiar/api/entry/EMPIAR-11759/": EMPIAR_ENTRY,
    "https://ftp.ebi.ac.uk/empiar/world_availability/11759/": EMPIAR_ENTRY,
    "ftp://ftp.ebi.ac.uk/empiar/world_availability/11759/data/": {**EMPIAR_ENTRY, "include": ["data/**"]},
    "https://ftp.ebi.ac.uk/empiar/world_availability/11759/data/a%20b.dm3": {
        **EMPIAR_ENTRY,
        "include": ["data/a b.dm3", "data/a b.dm3/**"],
    },
}

IDR_SERVER = "https://idr.openmicroscopy.org"
IDR = {
    f"{IDR_SERVER}/webclient/?show=image-9846137": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/webclient/?show=image-9846137|image-9846138": {"source": "idr", "images": [9846137, 9846138]},
    f"{IDR_SERVER}/webclient/img_detail/9846137/": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/webclient/img_detail/9846137/?dataset=10740": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/webclient/imgData/9846137/": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/webgateway/original_file_paths/9846137/": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/iviewer/?images=9846137": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/iviewer/?images=1,2&dataset=3": {"source": "idr", "images": [1, 2]},
    f"{IDR_SERVER}/api/v0/m/images/9846137/": {"source": "idr", "images": [9846137]},
    f"{IDR_SERVER}/webclient/?show=dataset-10740": {"source": "idr", "dataset": 10740},
    f"{IDR_SERVER}/api/v0/m/datasets/10740/images/": {"source": "idr", "dataset": 10740},
    "https://ftp.ebi.ac.uk/pub/databases/IDR/idr0086-miron-micrographs/x.tif": web(
        "https://ftp.ebi.ac.uk/pub/databases/IDR/idr0086-miron-micrographs/x.tif"
    ),
}

OTHERS = {
    "https://openorganelle.janelia.org/datasets/jrc_mus-nacc-2": bucket(OPENORGANELLE, region="us-east-1"),
    "https://openorganelle.janelia.org/datasets/jrc_mus-nacc-2/?layers=em": bucket(OPENORGANELLE, region="us-east-1"),
    "jrc_mus-nacc-2": bucket(OPENORGANELLE, region="us-east-1"),
    RAW: {"source": "aind", "assets": [RAW]},
    NEW: {"source": "aind", "assets": [NEW]},
    f"s3://aind-open-data/{RAW}": {"source": "aind", "assets": [RAW]},
    f"https://aind-open-data.s3.us-west-2.amazonaws.com/{NEW}/": {"source": "aind", "assets": [NEW]},
    f"s3://aind-open-data/{RAW}/SPIM.ome.zarr": bucket(f"s3://aind-open-data/{RAW}/SPIM.ome.zarr"),
    f"s3://another-bucket/{RAW}": bucket(f"s3://another-bucket/{RAW}"),
    "https://registry.opendata.aws/janelia-cosem/": {"source": "open_data", "registry": "janelia-cosem"},
    "https://registry.opendata.aws/janelia-cosem": {"source": "open_data", "registry": "janelia-cosem"},
    REGISTRY_FILE: {"source": "open_data", "registry": REGISTRY_FILE},
}

SOURCES = {
    "precomputed://gs://bucket/em": bucket("gs://bucket/em", format="precomputed"),
    "zarr://s3://bucket/x.zarr": bucket("s3://bucket/x.zarr", format="zarr"),
    "zarr2://https://host.org/x.zarr/": bucket("https://host.org/x.zarr", format="zarr"),
    "n5://https://bucket.s3.amazonaws.com/x.n5/em": bucket("s3://bucket/x.n5/em", format="n5"),
    "zarr://s3://bucket/x?dimension_separator=/": bucket("s3://bucket/x", format="zarr"),
    "gs://bucket/em|neuroglancer-precomputed:": bucket("gs://bucket/em", format="precomputed"),
    "s3://bucket/x.zarr/|zarr3:": bucket("s3://bucket/x.zarr/", format="zarr"),
    "s3://bucket/x.zarr|zarr:recon-1/em": bucket("s3://bucket/x.zarr/recon-1/em", format="zarr"),
    "https://host.org/x.n5|n5:em/s0#x": bucket("https://host.org/x.n5/em/s0", format="n5"),
}

FORMS = {**BUCKETS, **PLAIN, **DANDI, **EMPIAR, **IDR, **OTHERS, **SOURCES}


@pytest.mark.parametrize("text", FORMS)
def test_links_that_are_understood_without_asking(text: str) -> None:
    found = read_link(text)

    assert isinstance(found, Reading)
    (draft,) = found.drafts
    assert draft.entry == FORMS[text]
    assert next(iter(draft.entry)) == "source"
    assert found.notes == ()


def test_several_datasets_of_the_idr() -> None:
    found = read_link(f"{IDR_SERVER}/webclient/?show=dataset-1|dataset-2")

    assert isinstance(found, Reading)
    assert [draft.entry["dataset"] for draft in found.drafts] == [1, 2]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("idr0086", f"{IDR_SERVER}/api/v0/m/projects/?limit=1000&offset=0"),
        ("idr0086-miron-micrographs/experimentD", f"{IDR_SERVER}/api/v0/m/projects/?limit=1000&offset=0"),
        (f"{IDR_SERVER}/search/?query=Name:idr0086", f"{IDR_SERVER}/api/v0/m/projects/?limit=1000&offset=0"),
        (f"{IDR_SERVER}/webclient/?show=project-402", f"{IDR_SERVER}/api/v0/m/projects/402/datasets/?limit=1000"),
        (f"{IDR_SERVER}/api/v0/m/projects/402/datasets/", f"{IDR_SERVER}/api/v0/m/projects/402/datasets/?limit=1000"),
        (
            f"{ASSET}download/",
            ASSET,
        ),
        (
            f"https://api.dandiarchive.org/api/dandisets/000027/versions/draft/assets/{UUID}/",
            ASSET,
        ),
        (
            f"https://neurosift.app/?p=/nwb&dandisetId=000409&dandisetVersion=draft&url={ASSET}download/",
            ASSET,
        ),
        ("https://x.appspot.com/#!gs://bucket/state.json", "gs://bucket/state.json"),
        ("https://x.appspot.com/#!s3://bucket/state.json", "s3://bucket/state.json"),
        ("https://x.appspot.com/?a=b#!https://host.org/state.json", "https://host.org/state.json"),
        (
            "https://viz.neurodata.io/?json_url=https://json.neurodata.io/v1?NGStateID=1",
            "https://json.neurodata.io/v1?NGStateID=1",
        ),
        (
            "allen-nd-open-data",
            "https://raw.githubusercontent.com/awslabs/open-data-registry/main/datasets/allen-nd-open-data.yaml",
        ),
    ],
)
def test_what_only_the_network_knows_says_what_is_asked(text: str, asked: str) -> None:
    found = read_link(text)

    assert isinstance(found, Question)
    assert str(found.location) == asked
    assert found.why


def test_names_of_the_catalog_are_manifests() -> None:
    found = read_link("quickstart")

    assert isinstance(found, Ready)
    assert found.text.startswith("#")


def test_folders_and_files_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b.zarr").mkdir()
    monkeypatch.chdir(tmp_path)
    url = f"file://{tmp_path}/a%20b.zarr"

    for text in ("./a b.zarr", "a b.zarr", str(tmp_path / "a b.zarr"), url):
        found = read_link(text)
        assert isinstance(found, Reading)
        assert found.drafts[0].entry == bucket(url)


@pytest.mark.parametrize("text", ["'s3://bucket/a'", ' "s3://bucket/a"\n', "<s3://bucket/a>"])
def test_what_a_link_was_wrapped_in_does_not_matter(text: str) -> None:
    found = read_link(text)

    assert isinstance(found, Reading)
    assert found.drafts[0].entry == bucket("s3://bucket/a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no text"),
        ("  ", "no text"),
        ("what is this", "such are:"),
        ("11759", "EMPIAR-11759"),
        ("s1", "such are:"),
        ("Hemibrain", "such are:"),
        ("000027", "DANDI:000027"),
        ("ftp://host.org/file", "https://host/file.tif"),
        ("sftp://host.org/file", "such are:"),
        ("javascript:alert(1)", "such are:"),
        ("https://", "names no host"),
        ("s3://a\nb", "control characters"),
        ("s3://a\x1b[31m", "control characters"),
        ("x" * (MAX_CHARACTERS + 1), "characters"),
        ("x" * 10_000, "such are:"),
        ("https://doi.org/10.25378/janelia.24222898", "a page about data"),
        ("https://zenodo.org/records/12345", "a page about data"),
        ("https://janelia.figshare.com/articles/dataset/x/24222898", "a page about data"),
        ("https://tinyurl.com/hemibrain-ng", "a link to another link"),
        ("https://me:secret@host.org/x", "credentials"),
        ("https://bucket.s3.amazonaws.com/x?X-Amz-Signature=secret", "grants access"),
        ("https://storage.googleapis.com/bucket/x?X-Goog-Signature=secret", "grants access"),
        ("https://host.org/x.tif?token=secret", "grants access"),
        ("https://host.org/x.zarr?sig=secret", "grants access"),
        ("https://bucket.s3.amazonaws.com/x?versionId=1", "one version"),
        ("zarr://https://me:secret@host.org/x", "credentials"),
        ("precomputed://file:///etc", "no scheme that is fetched"),
        ("s3://bucket/x.zip|zip:a|zarr3:", "inside of another"),
        ("/no/such/folder", "not on this machine"),
        ("DANDI:27", "DANDI:000027"),
        ("NOARCHIVE:000027", "such are:"),
        ("https://dandiarchive.org/about", "dandiset"),
        ("https://api.dandiarchive.org/api/dandisets/000027/versions/draft/assets/?glob=*.nwb", "include"),
        (f"{IDR_SERVER}/webclient/?show=plate-1", "plates"),
        (f"{IDR_SERVER}/about/", "idr0086"),
        (f"{IDR_SERVER}/iviewer/?images=x", "names no image"),
        ("https://ome.github.io/ome-ngff-validator/?source=file:///etc/", "no place on the network"),
    ],
)
def test_what_is_not_understood_says_what_is(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_link(text)

    assert says in caught.value.message
    assert "secret" not in caught.value.message


def test_a_manifest_is_no_dataset(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("version: 1\n")

    with pytest.raises(InputError, match="emasync run"):
        read_link(str(manifest))


def test_the_error_lists_a_form_of_each_rule() -> None:
    with pytest.raises(InputError) as caught:
        read_link("what is this")

    for rule in rules():
        for form in rule.forms:
            assert form in caught.value.message


def test_examples_in_the_error_are_understood() -> None:
    for name in LINKS.built_in:
        for form in LINKS.load(name)().forms:
            if not any(sign in form for sign in ("{...}", "<id>", "`")):
                assert read_link(form) is not None


class _Theirs:
    """A plug-in's rule: claims what would be a plain file otherwise, and nothing of ours."""

    forms = ("theirs:NUMBER",)

    def read(self, text: str) -> Reading | None:
        from emasync.sources.links.interface import Draft

        claimed = text.startswith(("theirs:", "https://theirs.org/", "DANDI:"))
        return Reading(drafts=(Draft(name="x", entry={"source": "theirs"}),)) if claimed else None


class _Installed:
    name = "theirs"

    def load(self) -> type[_Theirs]:
        return _Theirs


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import importlib.metadata

    found = {"emasync.links": [_Installed()]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found.get(group, []))
    plugged.cache_clear()
    yield
    plugged.cache_clear()


def test_rules_of_plug_ins_come_after_ours_and_before_what_takes_everything(theirs: None) -> None:
    for text in ("theirs:1", "https://theirs.org/file.tif"):
        found = read_link(text)
        assert isinstance(found, Reading)
        assert found.drafts[0].entry == {"source": "theirs"}
    found = read_link("DANDI:000027")
    assert isinstance(found, Reading)
    assert found.drafts[0].entry == DANDISET
    with pytest.raises(InputError, match="theirs:NUMBER"):
        read_link("what is this")
