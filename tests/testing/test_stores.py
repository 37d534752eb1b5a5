"""Generated objects: keys sort, content follows from the key, ranges agree with the whole."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from emasync.testing import Archive, FolderStore, MemoryStore, SyntheticStore

Start = Callable[..., Archive]


def test_keys_sort_as_numbers() -> None:
    store = SyntheticStore(count=1234, folder_size=100, suffix=".bin")
    keys = [row.key for row in store.scan("big", "")]
    assert keys == sorted(keys)
    assert (len(keys), keys[0], keys[-1]) == (1234, "d/0000/0000.bin", "d/0012/1233.bin")


def test_scan_seeks() -> None:
    store = SyntheticStore(count=10**9)
    assert next(store.scan("big", "d/999999998")).key == "d/999999998"
    assert [row.key for row in store.scan("big", "d/999999998\0")] == ["d/999999999"]
    assert list(islice(store.scan("big", "e"), 1)) == []
    assert list(store.scan("other", "")) == []
    assert store.has_bucket("big")
    assert not store.has_bucket("other")


@pytest.mark.parametrize("path", ["big/d/5", "big/d/x", "big/d/100", "other/d/05", "big/d/\u06605", "big/e/05"])
def test_only_keys_of_the_formula(path: str) -> None:
    assert SyntheticStore(count=100).get(path) is None


@pytest.mark.parametrize("size", [0, 1, 256, 65_536, 65_537, 300_000])
def test_content(size: int) -> None:
    store = SyntheticStore(count=10, size_bytes=size)
    found = store.get("big/d/3")
    assert found is not None
    whole = bytes(found.read(0, size))
    assert len(whole) == size
    for start, stop in ((0, size), (size // 2, size), (size // 3, size // 2), (max(0, size - 1), size)):
        assert bytes(found.read(start, stop)) == whole[start:stop]
    other = store.get("big/d/4")
    assert other is not None
    assert size == 0 or bytes(other.read(0, size)) != whole
    if size <= 65_536:
        assert found.tag == hashlib.md5(whole).hexdigest()  # noqa: S324  # the tag S3 gives
    else:
        assert found.tag.endswith("-1")
    assert next(store.scan("big", "d/3")).tag == found.tag


def test_a_million_keys_are_listed_lazily(archive: Start) -> None:
    server = archive(SyntheticStore(count=1_000_000), where="process")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/big?list-type=2&start-after=d/999000&max-keys=1000")
    body = connection.getresponse().read()
    connection.close()
    assert body.count(b"<Contents>") == 999
    assert b"<IsTruncated>false<" in body


def test_large_files_wear_opaque_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.testing.folder.DIGEST_LIMIT_BYTES", 10)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "k").write_bytes(b"x" * 11)
    found = FolderStore(tmp_path).get("b/k")
    assert found is not None
    assert found.tag.endswith("-1")


def test_tags_follow_the_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    store = FolderStore(tmp_path)
    tags = []
    for text in (b"one", b"three"):
        (tmp_path / "b" / "k").write_bytes(text)
        found = store.get("b/k")
        assert found is not None
        tags.append(found.tag)
    assert tags == [hashlib.md5(text).hexdigest() for text in (b"one", b"three")]  # noqa: S324  # the tag S3 gives


def test_special_files_are_not_served(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "dangling").symlink_to(tmp_path / "none")
    store = FolderStore(tmp_path)
    assert store.get("b/dangling") is None
    assert list(store.scan("b", "")) == []


def test_named_buckets_exist_empty(archive: Start) -> None:
    store = MemoryStore(buckets=("empty",))
    assert store.has_bucket("empty")
    assert not store.has_bucket("none")
    assert list(store.scan("empty", "")) == []
