from __future__ import annotations

import asyncio
from collections.abc import Mapping

from emasync.manifest.load import manifest_from_object
from emasync.manifest.web import WebEntry
from emasync.model.digest import Digest
from emasync.model.events import ignore_event
from emasync.model.task import TaskSetSpec
from emasync.settings import Settings
from emasync.sources.interface import FilesFound, SourceContext
from emasync.sources.web import PAGE_ENTRIES, WebSource
from emasync.testing.fetcher import MemoryFetcher

ESCAPED = "https://documents.example.org/a/%20Electron/volumedata.tif?download=1"


def entry(*files: Mapping[str, object]) -> WebEntry:
    made = manifest_from_object(
        {"version": 1, "datasets": [{"id": "d", "source": "web", "files": list(files)}]}
    ).datasets[0]
    assert isinstance(made, WebEntry)
    return made


async def found(*files: Mapping[str, object]) -> tuple[list[FilesFound], MemoryFetcher]:
    fetcher = MemoryFetcher()
    source = WebSource(SourceContext(fetcher=fetcher, settings=Settings(), on_event=ignore_event))
    findings = [item async for item in source.resolve(await asyncio.to_thread(entry, *files))]
    assert all(isinstance(item, FilesFound) for item in findings)
    return [item for item in findings if isinstance(item, FilesFound)], fetcher


async def test_a_file_keeps_its_escapes_and_gives_its_decoded_name() -> None:
    (page,), fetcher = await found({"url": ESCAPED, "size": 7, "md5": "14fc2fb6a5061ea4ea9b69a090c327c9"})
    (item,) = page.entries
    assert page.base == "https://documents.example.org"
    assert page.encoded
    assert item.key == "/a/%20Electron/volumedata.tif?download=1"
    assert item.path == "volumedata.tif"
    assert item.size_bytes == 7
    assert item.digests == (Digest("md5", "14fc2fb6a5061ea4ea9b69a090c327c9"),)
    spec = TaskSetSpec(dataset="d", base=page.base, destination="d", encoded=True)
    assert str(spec.locate(item.key)) == ESCAPED
    assert not fetcher.log, "planning plain files asks nothing of the network"


async def test_schemes_and_ports_make_bases_of_their_own() -> None:
    pages, _ = await found(
        {"url": "http://h:8080/x.bin"},
        {"url": "https://h/y.bin"},
        {"url": "s3://bucket/k/100%/z.bin"},
        {"url": "file:///data/w%20w.bin"},
    )
    located = {}
    for page in pages:
        spec = TaskSetSpec(dataset="d", base=page.base, destination="d", encoded=page.encoded)
        located.update({item.path: spec.locate(item.key) for item in page.entries})
    assert {page.base for page in pages} == {"http://h:8080", "https://h", "s3://bucket", "file:///"}
    assert located["z.bin"].path == "k/100%/z.bin"
    assert located["w w.bin"].path == "/data/w w.bin"


async def test_templates_stream_in_pages_and_in_order() -> None:
    pages, _ = await found({"url": "https://h/s_{z:05d}.dm3", "z": "0..2499"})
    assert [len(page.entries) for page in pages] == [PAGE_ENTRIES, PAGE_ENTRIES, 500]
    paths = [item.path for page in pages for item in page.entries]
    assert paths == [f"s_{number:05d}.dm3" for number in range(2500)]


async def test_hosts_that_take_turns_share_a_window() -> None:
    pages, _ = await found(*({"url": f"https://h{number % 2}/{number}"} for number in range(10)))
    assert [(page.base, len(page.entries)) for page in pages] == [("https://h0", 5), ("https://h1", 5)]
