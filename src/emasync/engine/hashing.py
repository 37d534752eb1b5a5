"""Digests taken while an object lands: in threads, of bytes that are still in the system's memory (law 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from emasync.disk.interface import Partial
from emasync.engine.interface import Threads
from emasync.engine.version import Version
from emasync.model.digest import Span

HOP_BYTES = 16 << 20
"""Most that is hashed in one hop to a thread: who is cancelled waits for no more than some hundredths of a second."""


async def hash_landed(version: Version, whole: Sequence[Span], threads: Threads) -> None:
    """Hash what has landed of `version`, whose partial somebody holds open: parts that are whole, and what comes next.

    Digests that need the bytes in their order are taken as far as there is no gap.

    Parameters
    ----------
    version : Version
    whole : sequence of Span
        Parts of its digest that are whole since now.
    threads : Threads
    """
    partial = version.partial
    if partial is None:
        return
    landing = version.landing
    if landing is not None:
        for part in whole:
            await _to_its_end(threads.submit(landing.hash, part, partial.read))
    await _run_prefix(version, partial, threads)


async def _run_prefix(version: Version, partial: Partial, threads: Threads) -> None:
    """One connection at a time, until it has caught up: the hash is slower than most lines and must not be idle."""
    prefix = version.prefix
    if prefix is None or prefix.busy:
        return
    prefix.busy = True
    try:
        while (stop := min(prefix.landed(version.done), prefix.reached + HOP_BYTES)) > prefix.reached:
            await _to_its_end(threads.submit(prefix.run, partial.read, stop))
    finally:
        prefix.busy = False


async def _to_its_end(job: asyncio.Future[None]) -> None:
    """Wait for a job that reads the partial: it owns it until it ends (law 5)."""
    try:
        await asyncio.shield(job)
    finally:
        if not job.done():
            await asyncio.wait([job])
