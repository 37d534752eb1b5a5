"""Files through obstore (Rust's object_store): ``python obstore_get.py URLS FOLDER [WORKERS]``.

Small objects are fetched whole, larger ones in windows of 8 MiB side by side, each written at its offset.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.store import HTTPStore

WINDOW_BYTES = 8 << 20


async def fetch_windows(store: HTTPStore, name: str, size_bytes: int, out: int, requests: asyncio.Semaphore) -> None:
    """Write one large object, as many windows at a time as there may be requests."""

    async def window(start: int) -> None:
        async with requests:
            end = min(start + WINDOW_BYTES, size_bytes)
            data = await obstore.get_range_async(store, name, start=start, end=end)
            await asyncio.to_thread(os.pwrite, out, data, start)

    async with asyncio.TaskGroup() as tasks:
        for start in range(0, size_bytes, WINDOW_BYTES):
            tasks.create_task(window(start))


async def fetch(store: HTTPStore, name: str, path: Path, requests: asyncio.Semaphore) -> None:
    """Write one object to one file."""
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        async with requests:
            answer = await obstore.get_async(store, name)
            size_bytes = answer.meta["size"]
            if size_bytes <= 2 * WINDOW_BYTES:
                os.write(out, await answer.bytes_async())
                return
            del answer  # its body is not wanted
        await fetch_windows(store, name, size_bytes, out, requests)
    finally:
        os.close(out)


async def work(store: HTTPStore, names: Iterator[str], folder: Path, requests: asyncio.Semaphore) -> None:
    """Take names until there are none."""
    for name in names:
        await fetch(store, name, folder / name, requests)


async def main(urls: list[str], folder: Path, workers: int = 32) -> None:
    """Fetch all; all URLs lie below the folder of the first."""
    base = urls[0].rpartition("/")[0]
    store = HTTPStore.from_url(base, client_options={"allow_http": True, "timeout": "600s"})
    requests = asyncio.Semaphore(workers)
    names = iter([url.removeprefix(f"{base}/") for url in urls])
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(workers, len(urls))):
            tasks.create_task(work(store, names, folder, requests))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text().split(), Path(sys.argv[2]), *(int(text) for text in sys.argv[3:4])))
