"""Folders as sources: spans, versions, key order, names and links that lead elsewhere."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import AccessDeniedError, NotFoundError, PreconditionFailedError, RefusedError, TransientError
from emasync.model.digest import Span
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing.conformance import Recorder
from emasync.transport.files import FilePlace, FolderListing, open_file

parts = st.text("a-.0", min_size=1, max_size=3).filter(lambda part: part not in (".", ".."))
names = st.lists(parts, min_size=1, max_size=3).map("/".join)


def fill(folder: Path, keys: set[str]) -> set[str]:
    """Make files; a key that another one is a folder of is left out."""
    made = {key for key in keys if not any(other.startswith(key + "/") for other in keys)}
    for key in made:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key.encode())
    return made


def rows(listing: FolderListing) -> tuple[list[str], list[str]]:
    page = listing.page()
    assert page.last
    return [item.key for item in page.objects], list(page.folders)


@given(st.sets(names, max_size=8), st.text("a-/.", max_size=4), names)
@settings(max_examples=50, deadline=None)
def test_any_folder_lists_as_a_bucket_does(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], prefix: str, after: str
) -> None:
    """The oracle is the flat, sorted list of keys; ``a-b`` comes before ``a/b``."""
    folder = tmp_path_factory.mktemp("tree")
    made = fill(folder, keys)
    expected = sorted(key for key in made if key.startswith(prefix) and key > after)
    assert rows(FolderListing(str(folder), prefix, after)) == (expected, [])
    found, folders = rows(FolderListing(str(folder), prefix, delimiter=True))
    deeper = {key for key in made if key.startswith(prefix) and "/" in key[len(prefix) :]}
    assert found == sorted(key for key in made if key.startswith(prefix) and key not in deeper)
    assert folders == sorted({key[: key.index("/", len(prefix)) + 1] for key in deeper})


def test_pages_go_on_where_they_ended(tmp_path: Path) -> None:
    fill(tmp_path, {f"d{number % 7}/{number:04d}" for number in range(2100)})
    listing = FolderListing(str(tmp_path))
    pages = [listing.page() for _ in range(3)]
    assert [(len(page.objects), page.last) for page in pages] == [(1000, False), (1000, False), (100, True)]
    keys = [item.key for page in pages for item in page.objects]
    assert keys == sorted(keys)


@pytest.fixture
def tangled(tmp_path: Path) -> Path:
    """A folder with links to files in it, out of it, and to folders."""
    (tmp_path / "secret").write_bytes(b"secret")
    inside = tmp_path / "data"
    inside.mkdir()
    (inside / "real").write_bytes(b"real")
    (inside / "out").symlink_to(tmp_path / "secret")
    (inside / "alias").symlink_to(inside / "real")
    (inside / "up").symlink_to(tmp_path)
    (inside / "broken").symlink_to(inside / "nothing")
    os.mkfifo(inside / "pipe")
    return inside


def test_links_to_folders_are_not_followed(tangled: Path) -> None:
    assert rows(FolderListing(str(tangled))) == (["alias", "real"], [])


@pytest.mark.parametrize("prefix", ["up/", "up/data/", "../", "./", "//", "/", "../data/"])
def test_no_prefix_leads_out(tangled: Path, prefix: str) -> None:
    assert rows(FolderListing(str(tangled), prefix)) == ([], [])
    assert rows(FolderListing(str(tangled), prefix, delimiter=True)) == ([], [])


async def test_links_do_not_lead_out(tangled: Path, opened: Any) -> None:
    inside = tangled
    settings_ = Settings(mirrors={"s3://lab": f"file://{inside}"})
    async with opened(settings_) as fetcher:
        assert (await fetcher.read(Location.parse("s3://lab/alias"))).data == b"real"
        with pytest.raises(RefusedError, match="leads out"):
            await fetcher.read(Location.parse("s3://lab/out"))
        with pytest.raises(RefusedError, match="leads out"):
            await fetcher.read(Location.parse("s3://lab/up/secret"))
        with pytest.raises(RefusedError, match="no regular file"):
            await fetcher.read(Location.parse("s3://lab/pipe"))
        with pytest.raises(NotFoundError, match=r"s3://lab/none \(mirror file://"):
            await fetcher.read(Location.parse("s3://lab/none"))
        with pytest.raises(NotFoundError, match="is a folder"):
            await fetcher.read(Location.parse(f"file://{inside}"))
        # a file that the user names may be a link
        assert (await fetcher.read(Location.parse(f"file://{inside}/out"))).data == b"secret"


async def test_names_that_are_no_text_are_left_out_and_told(tmp_path: Path, opened: Any, events: list[Any]) -> None:
    (tmp_path / "good").write_bytes(b"1")
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff", os.O_CREAT))
    async with opened() as fetcher:
        pages = [page async for page in fetcher.list(Location.parse(f"file://{tmp_path}"))]
    assert [item.key for page in pages for item in page.objects] == ["good"]
    assert "left out" in str(events[0].fields["message"])


async def test_a_missing_mirror_is_no_empty_one(tmp_path: Path, opened: Any) -> None:
    """A disk that is not mounted must not look like a bucket without objects."""
    async with opened(Settings(mirrors={"s3://lab": f"file://{tmp_path}/mnt"})) as fetcher:
        with pytest.raises(NotFoundError, match="no such folder"):
            await anext(fetcher.list(Location.parse("s3://lab/")))
        with pytest.raises(NotFoundError, match="no such folder"):
            await anext(fetcher.list(Location.parse(f"file://{tmp_path}/mnt/data")))


async def test_a_file_that_changes_while_it_is_read(tmp_path: Path, opened: Any) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(3 << 20))

    class Meddling(Recorder):
        async def feed(self, data: bytes | memoryview) -> None:
            await super().feed(data)
            if len(self.data) == 1 << 20:
                await asyncio.to_thread(path.write_bytes, b"short")

    async with opened() as fetcher:
        with pytest.raises(PreconditionFailedError, match="changed while it was read"):
            await fetcher.transfer(Location.parse(f"file://{path}"), Meddling())


async def test_a_large_span_comes_in_pieces(tmp_path: Path, opened: Any) -> None:
    body = os.urandom(3_000_000)
    (tmp_path / "x").write_bytes(body)
    recorder = Recorder()
    async with opened() as fetcher:
        head = await fetcher.transfer(Location.parse(f"file://{tmp_path}/x"), recorder, span=Span(7, 9_999_999))
        assert fetcher.statistics()["file://"].bytes_received == len(body) - 7
    assert (bytes(recorder.data), head.stop) == (body[7:], len(body))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "x").touch(mode=0)
    with pytest.raises(AccessDeniedError, match="no permission"):
        open_file(FilePlace(str(tmp_path / "x"), None, "x"))


def test_a_disk_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    file = open_file(FilePlace(str(path), None, "x"))
    assert stat.S_ISREG(os.fstat(file.descriptor).st_mode)
    file.close()
    with pytest.raises(TransientError, match="cannot be read"):
        file.read(0, 1)
    with pytest.raises(TransientError, match="cannot be opened"):
        open_file(FilePlace(f"/{'x' * 300}", None, "x"))
