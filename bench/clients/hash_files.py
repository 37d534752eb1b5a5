"""Reads files and takes their CRC-32C, with as many threads as there are cores, and nothing else: the yardstick.

``python hash_files.py FOLDER`` prints the seconds that reading and hashing took, without the start of Python.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from crc32c import crc32c

READ_BYTES = 1 << 20
SPAN_BYTES = 64 << 20
BATCH = 512


def hash_span(path: str, start: int, buffer: memoryview) -> int:
    """CRC of one span of a file."""
    crc, left = 0, SPAN_BYTES
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as little as there is
        file.seek(start)
        while left and (got := file.readinto(buffer[:left])):
            crc = crc32c(buffer[:got], crc)
            left -= got
    return crc


def hash_spans(spans: Sequence[tuple[str, int]]) -> None:
    """One job of a thread."""
    buffer = memoryview(bytearray(READ_BYTES))
    for path, start in spans:
        hash_span(path, start, buffer)


def jobs(folder: str) -> list[list[tuple[str, int]]]:
    """Spans of large files one by one, small files together."""
    found: list[list[tuple[str, int]]] = []
    small: list[tuple[str, int]] = []
    for entry in os.scandir(folder):
        size_bytes = entry.stat().st_size
        if size_bytes > SPAN_BYTES:
            found += [[(entry.path, start)] for start in range(0, size_bytes, SPAN_BYTES)]
        else:
            small.append((entry.path, 0))
    return found + [small[first : first + BATCH] for first in range(0, len(small), BATCH)]


def main(folder: str) -> None:
    """Hash all files of a folder."""
    began_s = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(hash_spans, jobs(folder)))
    print(f"{time.perf_counter() - began_s:.4f}")


if __name__ == "__main__":
    main(sys.argv[1])
