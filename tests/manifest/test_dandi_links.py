"""Links to dandisets, as people paste them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emasync.manifest.archives import DandiEntry
from emasync.manifest.dandi_links import INSTANCES

VERSION = "0.210831.2033"


@pytest.mark.parametrize(
    ("link", "version", "instance", "include"),
    [
        ("000027", None, "dandi", ()),
        ("DANDI:000027", None, "dandi", ()),
        ("dandi:000027/draft", "draft", "dandi", ()),
        (f"DANDI:000027/{VERSION}", VERSION, "dandi", ()),
        ("dandi://dandi/000027", None, "dandi", ()),
        ("dandi://linc/000027/sub-1/", None, "linc", ("sub-1/**",)),
        (
            f"dandi://ember-dandi/000027@{VERSION}/sub-1/a%20[1].nwb",
            VERSION,
            "ember-dandi",
            ("sub-1/a [[]1].nwb", "sub-1/a [[]1].nwb/**"),
        ),
        ("https://dandiarchive.org/dandiset/000027", None, "dandi", ()),
        ("https://dandiarchive.org/000027/draft", "draft", "dandi", ()),
        ("https://gui.dandiarchive.org/#/dandiset/000027/draft", "draft", "dandi", ()),
        ("https://sandbox.dandiarchive.org/dandiset/000027", None, "dandi-sandbox", ()),
        (
            "https://dandiarchive.org/dandiset/000027/draft/files?location=sub-RAT123%2Fses-1&page=1",
            "draft",
            "dandi",
            ("sub-RAT123/ses-1/**",),
        ),
        ("https://identifiers.org/DANDI:000027", None, "dandi", ()),
        (f"https://doi.org/10.48324/dandi.000027/{VERSION}", VERSION, "dandi", ()),
        (f"doi:10.48324/dandi.000027/{VERSION}", VERSION, "dandi", ()),
        ("https://api.dandiarchive.org/api/dandisets/000027/", None, "dandi", ()),
        ("https://api.lincbrain.org/api/dandisets/000027/versions/draft/", "draft", "linc", ()),
        (
            "https://api.dandiarchive.org/api/dandisets/000027/versions/draft/assets/?path=sub-1/",
            "draft",
            "dandi",
            ("sub-1/**",),
        ),
        ("http://localhost:8000/api/dandisets/000027/", None, "dandi-api-local-docker-tests", ()),
        ("http://docker.example.org:8000/api/dandisets/000027/", None, "http://docker.example.org:8000/api", ()),
        *((f"dandi://{name}/000027", None, name, ()) for name in INSTANCES),
    ],
)
def test_what_a_link_says(
    dataset: Callable[..., DandiEntry], link: str, version: str | None, instance: str, include: tuple[str, ...]
) -> None:
    found = dataset(source="dandi", dandiset=link)
    assert (found.dandiset, found.version, found.instance, found.include) == ("000027", version, instance, include)


def test_all_archives_that_dandi_cli_knows_are_known_here() -> None:
    """``known_instances`` of ``dandi/consts.py``."""
    assert {name: instance.api for name, instance in INSTANCES.items()} == {
        "dandi": "https://api.dandiarchive.org/api",
        "dandi-sandbox": "https://api.sandbox.dandiarchive.org/api",
        "linc": "https://api.lincbrain.org/api",
        "linc-staging": "https://staging-api.lincbrain.org/api",
        "ember-dandi": "https://api-dandi.emberarchive.org/api",
        "ember-dandi-sandbox": "https://api-dandi.sandbox.emberarchive.org/api",
        "dandi-api-local-docker-tests": "http://localhost:8000/api",
    }


def test_a_link_wants_the_same_as_its_parts(dataset: Callable[..., DandiEntry]) -> None:
    parts = dataset(source="dandi", dandiset="000027", version="draft")
    assert dataset(source="dandi", dandiset="DANDI:000027/draft").digest == parts.digest
    assert dataset(source="dandi", dandiset="DANDI:000027", version="draft").digest == parts.digest


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"dandiset": "MINE:000027"}, "dandiset: no link to a dandiset; no archive is called 'MINE' here"),
        ({"dandiset": "https://example.org/x"}, "dandiset: no link to a dandiset; expected a link to a dandiset"),
        ({"dandiset": "DANDI:27"}, "dandiset: no link to a dandiset"),
        ({"dandiset": "dandi://dandi/000027@latest/"}, "dandiset: no link to a dandiset"),
        ({"dandiset": "https://dandiarchive.org.evil.com/dandiset/000027"}, "dandiset: no link to a dandiset"),
        (
            {"dandiset": "https://api.dandiarchive.org/api/dandisets/000027/versions/draft/assets/?glob=*.nwb"},
            "dandiset: no link to a dandiset; this link holds a glob of the archive's own kind",
        ),
        ({"dandiset": "DANDI:000027/draft", "version": VERSION}, "version: the link in dandiset says otherwise"),
        ({"dandiset": "DANDI:000027", "instance": "linc"}, "instance: the link in dandiset says otherwise"),
        ({"dandiset": "dandi://dandi/000027/a/", "include": ["b/*"]}, "include: the link in dandiset says otherwise"),
        ({"dandiset": 27}, "dandiset: expected six digits such as 000728, or a link; got '27'"),
    ],
)
def test_what_is_refused(refusal: Callable[..., list[str]], fields: dict[str, Any], told: str) -> None:
    (problem,) = refusal(source="dandi", **fields)
    assert problem.startswith(told)


def test_a_zarr_asset_stands_for_all_that_is_in_it(dataset: Callable[..., DandiEntry]) -> None:
    entry = dataset(source="dandi", dandiset="000027", include=["**/*.ome.zarr"], exclude=["sub-2/x.ome.zarr"])
    assert entry.selection.wants("sub-1/x.ome.zarr/0/0")
    assert not entry.selection.wants("sub-2/x.ome.zarr/0/0")
