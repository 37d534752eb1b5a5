"""What one writes with aiohttp and uvloop in an hour: workers, one GET a file, no checks.

``python aiohttp_get.py URLS FOLDER [WORKERS] [PATIENCE_S]``; URLS is a file with one URL a line. A read that is silent
for `PATIENCE_S` is tried again from the start of the file.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import uvloop

TRIES = 20


async def fetch(session: aiohttp.ClientSession, url: str, path: Path) -> None:
    """Stream one object into one file."""
    async with session.get(url) as answer:
        answer.raise_for_status()
        with path.open("wb", buffering=0) as out:
            async for data in answer.content.iter_any():
                out.write(data)


async def work(session: aiohttp.ClientSession, urls: Iterator[str], folder: Path) -> None:
    """Take URLs until there are none."""
    for url in urls:
        for attempt in range(1, TRIES + 1):
            try:
                await fetch(session, url, folder / url.rpartition("/")[2])
                break
            except (aiohttp.ClientError, TimeoutError):
                if attempt == TRIES:
                    raise
                await asyncio.sleep(0.5)


async def main(urls: list[str], folder: Path, workers: int = 32, patience_s: float | None = None) -> None:
    """Fetch all."""
    todo = iter(urls)
    limits = aiohttp.ClientTimeout(total=None, sock_read=patience_s)
    connector = aiohttp.TCPConnector(limit=workers)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=limits, auto_decompress=False) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(workers):
            tasks.create_task(work(session, todo, folder))


if __name__ == "__main__":
    uvloop.run(
        main(
            Path(sys.argv[1]).read_text().split(),
            Path(sys.argv[2]),
            *(int(text) for text in sys.argv[3:4]),
            *(float(text) for text in sys.argv[4:5]),
        )
    )
