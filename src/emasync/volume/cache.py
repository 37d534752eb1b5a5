"""Decoded chunks, kept as long as there is room; each is decoded by one thread however many want it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from emasync.volume.forking import begin_anew_after_fork

DEFAULT_CACHE_BYTES: Final = 256_000_000
"""Of all volumes of a process together: crops next to each other share chunks, and 16 workers still fit into memory."""

Voxels = npt.NDArray[Any]  # Any: of whatever type the array is


@final
class Flight:
    """A chunk that some thread decodes; others wait for it."""

    __slots__ = ("_done", "voxels")

    def __init__(self) -> None:
        self._done = threading.Event()
        self.voxels: Voxels | None = None

    def land(self, voxels: Voxels | None) -> None:
        """Hand the voxels out; None where it failed, and whoever waits tries for himself."""
        self.voxels = voxels
        self._done.set()

    def wait(self) -> Voxels | None:
        """The voxels, as soon as they are there; None where the other thread failed."""
        self._done.wait()
        return self.voxels


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache did.

    Attributes
    ----------
    hits, misses : int
    chunks, size_bytes : int
        Kept now.
    """

    hits: int
    misses: int
    chunks: int
    size_bytes: int


@final
class ChunkCache:
    """Decoded chunks by least recent use, bounded in bytes. Thread safe; empty in a forked child.

    Whoever was left to decode chunks ends all of them before he waits for a flight: two threads never wait for each
    other.

    Parameters
    ----------
    limit_bytes : int
        0 keeps nothing.
    """

    def __init__(self, limit_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        if limit_bytes < 0:
            raise ValueError(f"cache of {limit_bytes} bytes: expected 0 or more")
        self.limit_bytes = limit_bytes
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Voxels] = OrderedDict()
        self._flights: dict[Hashable, Flight] = {}
        self._size_bytes = self._hits = self._misses = 0

    def __repr__(self) -> str:
        return f"ChunkCache(limit_bytes={self.limit_bytes}): {self.statistics()}"

    def statistics(self) -> CacheStatistics:
        """Hits and misses so far, and what is kept."""
        with self._lock:
            return CacheStatistics(self._hits, self._misses, len(self._kept), self._size_bytes)

    def take(self, key: Hashable) -> Voxels | Flight | None:
        """Look a chunk up.

        Returns
        -------
        ndarray, Flight or None
            Its voxels, not to be written to; the flight of another thread that decodes it just now; None where it is
            the caller's from now on: he ends by :meth:`put` or :meth:`fail`.
        """
        with self._lock:
            voxels = self._kept.get(key)
            if voxels is not None:
                self._kept.move_to_end(key)
                self._hits += 1
                return voxels
            flight = self._flights.get(key)
            if flight is None:
                self._flights[key] = Flight()
                self._misses += 1
            else:
                self._hits += 1
            return flight

    def put(self, key: Hashable, voxels: Voxels) -> None:
        """Keep a chunk, and give it to whoever waits."""
        with self._lock:
            flight = self._flights.pop(key, None)
            before = self._kept.pop(key, None)
            if before is not None:
                self._size_bytes -= before.nbytes
            if voxels.nbytes <= self.limit_bytes:
                self._kept[key] = voxels
                self._size_bytes += voxels.nbytes
            while self._size_bytes > self.limit_bytes:
                self._size_bytes -= self._kept.popitem(last=False)[1].nbytes
        if flight is not None:
            flight.land(voxels)

    def fail(self, key: Hashable) -> None:
        """Say that a chunk could not be decoded."""
        with self._lock:
            flight = self._flights.pop(key, None)
        if flight is not None:
            flight.land(None)


def of_its_own(voxels: Voxels) -> Voxels:
    """Voxels that keep no more memory alive than their own: a view of what was read does."""
    base: object = voxels
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    owned = isinstance(base, np.ndarray) and base.nbytes <= 2 * voxels.nbytes
    return voxels if owned else voxels.copy()
