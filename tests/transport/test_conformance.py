"""The suite every Fetcher must pass, over each kind of place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.conformance import FetcherSuite
from emasync.testing.stores import MemoryStore
from emasync.transport.governed import GovernedFetcher
from emasync.transport.object_store import Endpoints


class StoreOrigin:
    """A bucket of an archive."""

    def __init__(self, archive: Archive, root: Location) -> None:
        self.archive = archive
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        assert isinstance(self.archive.store, MemoryStore)
        self.archive.store.put(f"bucket/{key}", data)

    def delete(self, key: str) -> None:
        assert isinstance(self.archive.store, MemoryStore)
        self.archive.store.delete(f"bucket/{key}")


class FolderOrigin:
    """A folder on disk."""

    def __init__(self, folder: Path, root: Location) -> None:
        self.folder = folder
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, key: str) -> None:
        (self.folder / key).unlink()


class OverArchive(FetcherSuite):
    root = ""
    mirrored = False

    @pytest.fixture
    def origin(self, archive: Callable[..., Archive]) -> StoreOrigin:
        server = archive(MemoryStore(buckets=("bucket",)))
        return StoreOrigin(server, Location.parse(self.root.replace("URL", server.url)))

    @pytest.fixture(params=[True, False], ids=["wire", "aiohttp"])
    async def fetcher(self, origin: StoreOrigin, request: pytest.FixtureRequest) -> AsyncIterator[GovernedFetcher]:
        url = origin.archive.url
        settings = Settings(mirrors={self.root: f"{url}/bucket"}) if self.mirrored else Settings()
        async with GovernedFetcher(settings, endpoints=Endpoints(s3=url, gs=url), wire=request.param) as fetcher:
            yield fetcher


class TestS3(OverArchive):
    root = "s3://bucket"


class TestGoogle(OverArchive):
    root = "gs://bucket"


class TestS3StyleServer(OverArchive):
    root = "URL/bucket"


class TestUrlMirror(OverArchive):
    root = "https://data.example.org/pub/em"
    mirrored = True


class OverFolder(FetcherSuite):
    @pytest.fixture(autouse=True)
    def blockbuster(self) -> None:
        """The suite fills the folder inside of the loop, thousands of calls that the guard would look at."""


class TestFolder(OverFolder):
    @pytest.fixture
    def origin(self, tmp_path: Path) -> FolderOrigin:
        return FolderOrigin(tmp_path, Location.parse(f"file://{tmp_path}"))

    @pytest.fixture
    async def fetcher(self) -> AsyncIterator[GovernedFetcher]:
        async with GovernedFetcher(Settings()) as fetcher:
            yield fetcher


class TestFolderMirror(OverFolder):
    @pytest.fixture
    def origin(self, tmp_path: Path) -> FolderOrigin:
        return FolderOrigin(tmp_path, Location.parse("gs://elsewhere"))

    @pytest.fixture
    async def fetcher(self, tmp_path: Path) -> AsyncIterator[GovernedFetcher]:
        async with GovernedFetcher(Settings(mirrors={"gs://elsewhere": f"file://{tmp_path}"})) as fetcher:
            yield fetcher
