from __future__ import annotations

from typing import Any

import pytest

from emasync.errors import DestinationError
from emasync.plan.intake import Intake
from emasync.plan.kept import keep_document
from emasync.plan.written import MemoryDocuments
from emasync.sources.interface import Kept

Bench = Any
"""The fixture of conftest.py: test modules cannot import it by name."""


class Counting(MemoryDocuments):
    """Remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    async def write(self, destination: str, data: bytes) -> None:
        self.written.append(destination)
        await super().write(destination, data)


async def keep(bench: Bench, documents: Counting, name: str, data: bytes) -> None:
    async with bench.tools() as tools:
        await keep_document(Intake(tools, "d"), Kept(name=name, data=data), documents)


async def test_documents_of_a_source_lie_beside_the_dataset(bench: Bench) -> None:
    documents = Counting()
    await keep(bench, documents, "api/entry 1.json", b"{}")
    assert await documents.read("d.source-metadata/api/entry 1.json") == b"{}"


async def test_only_what_changed_is_written_again(bench: Bench) -> None:
    documents = Counting()
    for data in (b"1", b"1", b"2"):
        await keep(bench, documents, "a.json", data)
    assert documents.written == ["d.source-metadata/a.json"] * 2
    assert await documents.read("d.source-metadata/a.json") == b"2"


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", "a/../../b"])
async def test_a_name_never_leaves_the_folder(bench: Bench, name: str) -> None:
    documents = Counting()
    try:
        await keep(bench, documents, name, b"{}")
    except DestinationError:
        return
    (written,) = documents.written
    assert written.startswith("d.source-metadata/")
    assert ".." not in written.split("/")
