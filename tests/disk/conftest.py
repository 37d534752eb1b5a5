"""A root and a sink over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emasync.disk.sink import LocalSink


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def sink(root: Path) -> Iterator[LocalSink]:
    sink = LocalSink(root)
    yield sink
    sink.close()
