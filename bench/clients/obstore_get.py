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


async def fetch_windows(store: HTTPStore, name: str, size_bytes: int, out: int, workers: int) -> None:
    """Write one large object, `workers` windows at a time."""
    starts = iter(range(0, size_bytes, WINDOW_BYTES))

    async def work() -> None:
        for start in starts:
            end = min(start + WINDOW_BYTES, size_bytes)
            data = await obstore.get_range_async(store, name, start=start, end=end)
            await asyncio.to_thread(os.pwrite, out, data, start)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers):
            tasks.create_task(work())


async def fetch(store: HTTPStore, name: str, path: Path, workers: int) -> None:
    """Write one object to one file."""
    answer = await obstore.get_async(store, name)
    size_bytes = answer.meta["size"]
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        if size_bytes > 2 * WINDOW_BYTES:
            del answer
            await fetch_windows(store, name, size_bytes, out, workers)
        else:
            os.write(out, await answer.bytes_async())
    finally:
        os.close(out)


async def work(store: HTTPStore, names: Iterator[str], folder: Path, workers: int) -> None:
    """Take names until there are none."""
    for name in names:
        await fetch(store, name, folder / name, workers)


async def main(urls: list[str], folder: Path, workers: int = 32) -> None:
    """Fetch all; all URLs lie below the folder of the first."""
    base = urls[0].rpartition("/")[0]
    store = HTTPStore.from_url(base, client_options={"allow_http": True, "timeout": "600s"})
    names = iter([url.removeprefix(f"{base}/") for url in urls])
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(workers, len(urls))):
            tasks.create_task(work(store, names, folder, workers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text().split(), Path(sys.argv[2]), *(int(text) for text in sys.argv[3:4])))
