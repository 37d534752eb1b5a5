"""Runs with a deadline, and what lies on disk afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from emasync import api
from emasync.model.receipt import Receipt

DEADLINE_S = 30.0
"""Far above what any run of these tests takes: a run that hangs fails by name."""


def run_within(manifest: Any, root: Path, **options: Any) -> Receipt:
    """As ``emasync.run``, on the same loop; cancelled, and an error, when it takes too long."""

    async def main() -> Receipt:
        async with asyncio.timeout(DEADLINE_S):
            return await api.arun(manifest, root=root, **options)

    with asyncio.Runner(loop_factory=api.loop_factory()) as runner:
        return runner.run(main())


def files_below(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder, by path; empty where there is no folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def below(objects: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    """Objects of a store below a prefix, by the rest of their path."""
    return {path.removeprefix(prefix): data for path, data in objects.items() if path.startswith(prefix)}
