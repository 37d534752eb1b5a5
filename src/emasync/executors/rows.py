"""Flat forms of values that messages carry."""

from __future__ import annotations

import msgspec

from emasync.model.slices import Packing

Key = bytes | int


class GridRow(msgspec.Struct, frozen=True, array_like=True):
    """A :class:`~emasync.model.grid.ChunkGrid`; ``voxels`` of a ``VoxelGrid``: chunk, origin, size."""

    start: tuple[int, ...]
    shape: tuple[int, ...]
    prefix: str
    encoding: str
    separator: str
    rebase: bool
    voxels: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None


class SpecRow(msgspec.Struct, frozen=True, array_like=True):
    """A :class:`~emasync.model.task.TaskSetSpec`."""

    dataset: str
    asset: str
    rank: int
    base: str
    destination: str
    encoded: bool
    grid: GridRow | None
    absent_ok: bool
    slices: Packing | None


class SetRow(msgspec.Struct, frozen=True, array_like=True):
    """An open set; `spec` the first time only."""

    set_id: int
    pending: int
    spec: SpecRow | None


TaskRow = tuple[Key, bytes | None, int | None, bytes | None, bytes | None, int, int]
"""Key, path, size, published digests, listed validator, attempts, generation of a leased task."""

SealRow = tuple[int, Key, int, int, str, bytes | None, bytes | None, int]
"""Set id, key, size, CRC-32C, verified, validator, computed digests, generation of a sealed object."""

PartRow = tuple[int, int, int, int]
"""Start, stop, CRC-32C, epoch of a finished span."""


class PartialRow(msgspec.Struct, frozen=True, array_like=True):
    """A :class:`~emasync.ledger.interface.PartialState`."""

    generation: int
    size_bytes: int
    validator: bytes | None
    parts: list[PartRow]


class ErrorRow(msgspec.Struct, frozen=True, array_like=True):
    """An error: name of its class, kind, message, location."""

    name: str
    kind: str
    message: str
    location: str | None


class OriginRow(msgspec.Struct, frozen=True, array_like=True):
    """What a worker's limiter of one origin counts."""

    origin: str
    in_flight: int
    limit: int
    waiting: int
    requests: int
    retries: int
    bytes_received: int
    answers: int
    silent: bool


class FailureRow(msgspec.Struct, frozen=True, array_like=True):
    """A dataset that lost its origin."""

    dataset: str
    location: str
    kind: str
    message: str
    attempts: int


class CountsRow(msgspec.Struct, frozen=True, array_like=True):
    """What an engine has done so far."""

    placed: int
    placed_bytes: int
    failed: int
    bytes_received: int
    races: int = 0
    races_won: int = 0
    raced_bytes: int = 0
