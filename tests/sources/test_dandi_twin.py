"""The twin has the oddities of the archive: what the other tests stand on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.sources.dandi_desk import twin_of

from emasync.testing import Archive
from emasync.testing.dandi import DandiTwin

Start = Callable[..., Archive]
PATHS = ["foo.txt", "foo/bar.txt", "sub-10/a.nwb", "sub-1/a.nwb", "SUB-1/b.nwb"]


@pytest.fixture
def twin() -> DandiTwin:
    made = twin_of({path: path.encode() for path in PATHS})
    made.add_zarr("000027", "x.zarr", {"0/1/0": b"1", "0/10/0": b"2", ".zgroup": b"{}"})
    return made


@pytest.fixture
def ask(archive: Start, twin: DandiTwin) -> Callable[[str], Any]:
    server = archive(twin.store, apps=[twin])

    def call(path: str) -> Any:
        try:
            with urlopen(f"{server.url}/api/{path}") as answer:  # noqa: S310 - loopback
                body = answer.read()
        except HTTPError as error:
            with error:
                return error.code
        return json.loads(body) if body[:1] in b"[{" else body

    return call


def paths(page: dict[str, Any]) -> list[str]:
    return [row["path"] for row in page["results"]]


LIST = "dandisets/000027/versions/draft/assets/"


def test_trap_1_pages(ask: Callable[[str], Any]) -> None:
    first = ask(f"{LIST}?page_size=4")
    second = ask(f"{LIST}?page_size=4&page=2")
    assert (first["count"], second["count"]) == (6, None)
    assert (first["previous"], second["next"]) == (None, None)
    assert "page=2" in first["next"]
    assert paths(first) + paths(second) == [*PATHS, "x.zarr"], "in order of creation"
    assert "metadata" not in first["results"][0]


def test_trap_2_prefixes(ask: Callable[[str], Any]) -> None:
    assert paths(ask(f"{LIST}?path=foo.txt")) == ["foo.txt"]
    assert paths(ask(f"{LIST}?path=foo")) == ["foo.txt", "foo/bar.txt"]
    assert paths(ask(f"{LIST}?path=sub-1&order=path")) == ["SUB-1/b.nwb", "sub-1/a.nwb", "sub-10/a.nwb"]
    assert paths(ask(f"{LIST}?path=sub-1/&order=path")) == ["SUB-1/b.nwb", "sub-1/a.nwb"]


def test_trap_3_globs(ask: Callable[[str], Any]) -> None:
    assert paths(ask(f"{LIST}?glob=FOO*.txt")) == ["foo.txt", "foo/bar.txt"]
    assert paths(ask(f"{LIST}?glob=sub-?/a.nwb")) == []


def test_trap_6_files_of_a_zarr(ask: Callable[[str], Any], twin: DandiTwin) -> None:
    zarr = twin.version("000027").assets[-1].zarr
    page = ask(f"zarr/{zarr}/files/?prefix=0/1/")
    assert [row["Key"] for row in page["results"]] == ["0/1/0", "0/10/0"]
    assert ask(f"zarr/{zarr}/files/?prefix=0/../1") == 400
    first = ask(f"zarr/{zarr}/files/?limit=2")
    assert set(first) == {"next", "results"}
    assert "after=0%2F1%2F0" in first["next"]


def test_trap_13_downloads(ask: Callable[[str], Any], twin: DandiTwin) -> None:
    *_, blob, zarr = twin.version("000027").assets
    assert ask(f"assets/{blob.asset_id}/download/") == blob.path.encode()
    assert ask(f"assets/{blob.asset_id}/download/?content_disposition=inline").startswith(b"<!DOCTYPE html>")
    assert ask(f"assets/{zarr.asset_id}/download/") == 400
    assert ask(f"assets/{blob.asset_id}/")["path"] == blob.path


@pytest.mark.parametrize("path", ["nothing/", "dandisets/000027/versions/0.1/", "assets/" + "0" * 36 + "/"])
def test_what_is_not_there(ask: Callable[[str], Any], path: str) -> None:
    assert ask(path) == 404
