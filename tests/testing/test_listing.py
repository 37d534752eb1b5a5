"""Bucket listings: S3 ListObjectsV2 and V1, Google's JSON API, over memory and folders."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

import pytest
from defusedxml.ElementTree import fromstring

from emasync.testing import Archive, BucketRules, FolderStore, MemoryStore, ObjectStore

Start = Callable[..., Archive]
KEYS = ["a", "a!b", "a-b", "a/1", "a/2/x", "a/2/y", "a0", "b c+d", "z/é", "z/ﬀ", "z/😀"]
"""In UTF-8 binary order: ``!`` and ``-`` sort before the slash, U+FB00 before U+1F600."""

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def get(archive: Archive, target: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", archive.port, timeout=20)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def read(archive: Archive, bucket: str, **query: str) -> dict[str, Any]:
    names = {name.replace("_", "-"): text for name, text in query.items()}
    status, body, _ = get(archive, f"/{bucket}?{urlencode(names)}")
    assert status == 200
    root = fromstring(body)
    rows = list(root.iter(f"{NAMESPACE}Contents"))
    return {
        **{element.tag.removeprefix(NAMESPACE): element.text for element in root},
        "keys": [row[0].text for row in rows],
        "folders": [element[0].text for element in root.iter(f"{NAMESPACE}CommonPrefixes")],
        "rows": [[child.text for child in row] for row in rows],
    }


def pages(archive: Archive, **query: str) -> Iterator[dict[str, Any]]:
    page = read(archive, "b", list_type="2", **query)
    yield page
    while page["IsTruncated"] == "true":
        page = read(archive, "b", list_type="2", continuation_token=page["NextContinuationToken"], **query)
        yield page


def expected(prefix: str, start_after: str, delimiter: str) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    folders: list[str] = []
    for key in KEYS:
        if not key.startswith(prefix) or key <= start_after:
            continue
        inner = key.find(delimiter, len(prefix)) if delimiter else -1
        if inner < 0:
            keys.append(key)
        elif (folder := key[: inner + 1]) not in folders:
            folders.append(folder)
    return keys, folders


@pytest.fixture(params=["memory", "folder"])
def bucket(request: pytest.FixtureRequest, archive: Start, tmp_path: Path) -> Archive:
    store: ObjectStore
    if request.param == "memory":
        store = MemoryStore({f"b/{key}": key.encode() for key in KEYS} | {"a/x": b"", "c/x": b""})
    else:
        for key in KEYS:
            if key != "a":  # a file cannot stand beside a folder of its name
                place = tmp_path / "b" / key
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(key.encode())
        store = FolderStore(tmp_path)
    return archive(store)


@pytest.mark.parametrize("max_keys", ["1", "2", "3", "1000"])
@pytest.mark.parametrize(
    ("prefix", "start_after", "delimiter"),
    [
        ("", "", ""),
        ("", "", "/"),
        ("a", "", "/"),
        ("a/", "", "/"),
        ("a/", "a/1", ""),
        ("", "a/2/x", "/"),
        ("z", "", ""),
        ("none", "", "/"),
        ("a/2/", "", "/"),
        ("", "a/2/x", ""),
        ("a", "", "!"),
    ],
)
def test_pages_add_up(bucket: Archive, prefix: str, start_after: str, delimiter: str, max_keys: str) -> None:
    query = {"prefix": prefix, "start_after": start_after, "delimiter": delimiter, "max_keys": max_keys}
    found = list(pages(bucket, **{name: text for name, text in query.items() if text}))
    keys, folders = expected(prefix, start_after, delimiter)
    if isinstance(bucket.store, FolderStore):
        keys = [key for key in keys if key != "a"]
    assert [key for page in found for key in page["keys"]] == keys
    assert [folder for page in found for folder in page["folders"]] == folders
    for page in found:
        assert int(page["KeyCount"]) == len(page["keys"]) + len(page["folders"])
        assert int(page["KeyCount"]) <= int(max_keys)


def test_rows(archive: Start) -> None:
    server = archive({"b/k": b"hello world"})
    page = read(server, "b", list_type="2")
    assert page["rows"] == [
        ["k", "2025-06-15T15:06:40.000Z", '"5eb63bbbe01eeed093cb22bb8f5acdc3"', "11", "STANDARD"],
    ]
    assert (page["Name"], page["MaxKeys"], page["IsTruncated"]) == ("b", "1000", "false")


def test_url_encoding(bucket: Archive) -> None:
    page = read(bucket, "b", list_type="2", encoding_type="url", prefix="b ")
    assert page["keys"] == ["b+c%2Bd"]
    assert [unquote_plus(page["Prefix"]), page["EncodingType"]] == ["b ", "url"]


def test_control_characters_are_references(archive: Start) -> None:
    server = archive({"b/x\x01y": b""})
    assert b"<Key>x&#x1;y</Key>" in get(server, "/b?list-type=2")[1]
    assert read(server, "b", list_type="2", encoding_type="url")["keys"] == ["x%01y"]


def test_page_limit_and_empty_page(archive: Start) -> None:
    server = archive({f"b/{number:04d}": b"" for number in range(1500)})
    assert len(read(server, "b", list_type="2", max_keys="5000")["keys"]) == 1000
    page = read(server, "b", list_type="2", max_keys="0")
    assert (page["keys"], page["IsTruncated"]) == ([], "false")
    assert sum(len(page["keys"]) for page in pages(server)) == 1500


def test_version_one_goes_on_by_marker(bucket: Archive) -> None:
    names: list[object] = []
    page = read(bucket, "b", max_keys="2", delimiter="/")
    while True:
        names += [*page["keys"], *page["folders"]]
        if page["IsTruncated"] == "false":
            break
        page = read(bucket, "b", max_keys="2", delimiter="/", marker=page["NextMarker"])
    keys, folders = expected("", "", "/")
    assert {*names} | {"a"} == {*keys, *folders}
    assert len(names) == len(set(names))


def google(archive: Archive, **query: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(get(archive, f"/storage/v1/b/b/o?{urlencode(query)}")[1])
    return document


def test_google_pages(bucket: Archive) -> None:
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = google(bucket, delimiter="/", maxResults="2", startOffset="a!b", **token)
        names += [item["name"] for item in page.get("items", [])] + list(page.get("prefixes", []))
        if "nextPageToken" not in page:
            break
        token = {"pageToken": page["nextPageToken"]}
    keys, folders = expected("", "a", "/")
    assert sorted(names) == sorted(keys + folders)


def test_google_rows(archive: Start) -> None:
    server = archive({"b/k/x": b"hello world"}, buckets={"b": BucketRules(kind="google")})
    (item,) = google(server)["items"]
    assert (item["name"], item["size"], item["md5Hash"]) == ("k/x", "11", "XrY7u+Ae7tCTyyK7j1rNww==")
    assert get(server, "/b/k/x")[2]["x-goog-generation"] == item["generation"]
    one = f"/storage/v1/b/b/o/{quote('k/x', safe='')}"
    assert json.loads(get(server, one)[1]) == item
    assert get(server, f"{one}?alt=media")[1] == b"hello world"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/storage/v1/b/none/o", 404),
        ("/storage/v1/b/b/o/none", 404),
        ("/storage/v1/b/b/x", 404),
        ("/storage/v1/b/b/o?pageToken=%3F", 400),
        ("/storage/v1/b/b/o?maxResults=0", 400),
        ("/storage/v1/b/b/o?maxResults=x", 400),
    ],
)
def test_google_refusals(bucket: Archive, target: str, status: int) -> None:
    got, body, _ = get(bucket, target)
    assert (got, json.loads(body)["error"]["code"]) == (status, status)
