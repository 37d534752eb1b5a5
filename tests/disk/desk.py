"""Kernels that fail."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import Buffer

from emasync.disk.system import System
from emasync.testing.failing import Faulty

__all__ = ["Faulty", "ShortWrites", "open_descriptors"]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class ShortWrites(System):
    """Writes at most three bytes a call."""

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return super().pwrite(fd, memoryview(data)[:3], offset)
