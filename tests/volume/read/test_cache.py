"""Decoded chunks: bounded, by least recent use, one thread a chunk."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tests.volume.read.desk import Array

from emasync.volume.cache import ChunkCache, Flight, of_its_own


def chunk(value: int, size_bytes: int = 100) -> Array:
    return np.full(size_bytes, value, "u1")


def fill(cache: ChunkCache, *keys: int) -> None:
    for key in keys:
        assert cache.take(key) is None
        cache.put(key, chunk(key))


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = ChunkCache(300)
    fill(cache, 1, 2, 3)
    assert isinstance(cache.take(1), np.ndarray)
    fill(cache, 4)

    assert cache.take(2) is None
    assert [isinstance(cache.take(key), np.ndarray) for key in (1, 3, 4)] == [True] * 3
    assert cache.statistics().size_bytes == 300


@pytest.mark.parametrize("limit_bytes", [0, 99])
def test_what_is_larger_than_the_cache_is_not_kept(limit_bytes: int) -> None:
    cache = ChunkCache(limit_bytes)
    fill(cache, 1)

    assert cache.statistics().chunks == cache.statistics().size_bytes == 0


def test_a_chunk_put_twice_counts_once() -> None:
    cache = ChunkCache(1000)
    fill(cache, 1)
    cache.put(1, chunk(2, 50))

    assert (cache.statistics().chunks, cache.statistics().size_bytes) == (1, 50)


def test_others_wait_for_who_decodes() -> None:
    cache = ChunkCache(1000)
    assert cache.take(1) is None
    flight = cache.take(1)
    assert isinstance(flight, Flight)

    threading.Timer(0, cache.put, (1, chunk(7))).start()

    found = flight.wait()
    assert found is not None
    assert (found == 7).all()
    assert (cache.statistics().hits, cache.statistics().misses) == (1, 1)


def test_who_waits_for_a_chunk_that_fails_is_told() -> None:
    cache = ChunkCache(1000)
    assert cache.take(1) is None
    flight = cache.take(1)
    assert isinstance(flight, Flight)

    cache.fail(1)

    assert flight.wait() is None
    assert cache.take(1) is None  # his now


def test_a_chunk_too_large_to_be_kept_still_reaches_who_waits() -> None:
    cache = ChunkCache(10)
    assert cache.take(1) is None
    flight = cache.take(1)
    assert isinstance(flight, Flight)

    cache.put(1, chunk(7))

    assert flight.wait() is not None


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        ChunkCache(-1)


def test_what_is_kept_keeps_no_more_memory_alive_than_its_own() -> None:
    read = bytes(1_000_000)
    own, part = chunk(1), np.frombuffer(read, "u1", 100, 7)

    assert of_its_own(own) is own
    assert of_its_own(own.reshape(10, 10).T).base is own
    for view in (part, part.reshape(10, 10), np.empty((1000, 100))[5]):
        kept = of_its_own(view)
        assert kept.base is None
        np.testing.assert_array_equal(kept, view)
