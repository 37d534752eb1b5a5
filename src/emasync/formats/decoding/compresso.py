"""Compresso: label volumes as the boundaries between segments, and one label for each piece that they leave.

Matejek et al. 2017 (MICCAI, "Compresso"), and the stream of the library of the same name, versions 0 and 1 (``cpso``).
The decoder is ours: the library writes beyond its memory when a stream is damaged. Voxels are counted x first. Numbers
that lead nowhere are found by numpy, where it looks them up: none has a sign.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.stored import Codec

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]
"""Any: unsigned, as wide as the header says."""

_HEADER: Final = struct.Struct("<4sBBHHHBBBQIQB")
_WINDOW_BITS: Final = (16, 32, 64)
_INDEX_WIDTHS: Final = (1, 2, 4, 8)
_LITERAL, _FIRST_LABEL = 6, 7
_FLAT, _SOLID = 4, 6
_SPACE_AXES: Final = 3


class _Stream(NamedTuple):
    """Parts of a stream.

    Attributes
    ----------
    shape : tuple of int
        z, y, x.
    step : tuple of int
        Voxels of a window, z, y, x.
    connectivity : int
        4: pieces are those of a slice; 6: of the volume.
    labels : ndarray
        Of each piece.
    values : ndarray
        Windows that occur: bits of voxels that are boundaries.
    locations : ndarray
        Where voxels inside of boundaries have their labels from.
    runs : ndarray
        Which value each window has, runs of the first one shortened.
    """

    shape: tuple[int, int, int]
    step: tuple[int, int, int]
    connectivity: int
    labels: Labels
    values: Labels
    locations: Labels
    runs: Labels


@dataclass(frozen=True, slots=True)
class Compresso:
    """Undoes the encoding."""

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        shape, dtype = form.of()
        if dtype.kind != "u" or prod(shape[:-_SPACE_AXES]) != 1:
            raise NoDecoderError("is for one channel of labels")
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        shape, dtype = form.of()
        stream = _parted(as_bytes(data), dtype)
        if stream.shape != shape[-_SPACE_AXES:]:
            raise ValueError(f"is a Compresso of {stream.shape} voxels, {shape[-_SPACE_AXES:]} were expected")
        if not len(stream.labels):  # all voxels are zero
            return np.zeros(shape, dtype)
        borders = _borders(stream)
        pieces = _pieces(~borders, solid=stream.connectivity == _SOLID)
        labels = np.concatenate([np.zeros(1, dtype), stream.labels])[pieces]
        _fill_borders(labels, borders, stream)
        return labels.reshape(shape)


def _parted(data: Bytes, dtype: np.dtype[Any]) -> _Stream:
    """Cut the stream up; nothing is taken that is not there."""
    magic, version, width, *sides, ids, values, locations, connectivity = _HEADER.unpack_from(data.data)
    sx, sy, sz, *steps = sides
    window_bits = prod(steps)
    if magic != b"cpso" or version > 1 or width != dtype.itemsize or not 0 < window_bits <= _WINDOW_BITS[-1]:
        raise ValueError(f"is no Compresso of labels of {dtype.itemsize} bytes")
    if connectivity not in (_FLAT, _SOLID):
        raise ValueError(f"has a connectivity of {connectivity}; 4 and 6 are known")
    window = np.dtype(f"<u{next(bits for bits in _WINDOW_BITS if bits >= window_bits) // 8}")
    index_bytes = 2 * sz * _index_width(sx * sy) if version else 0
    kinds = ((dtype, ids), (window, values), (dtype, locations))
    parts, at = list[Labels](), _HEADER.size
    for kind, count in kinds:
        parts.append(_taken(data, at, count, kind))
        at += count * kind.itemsize
    return _Stream(
        shape=(sz, sy, sx),
        step=(steps[2], steps[1], steps[0]),
        connectivity=connectivity,
        labels=parts[0],
        values=parts[1],
        locations=parts[2],
        runs=_taken(data, at, (len(data) - at - index_bytes) // window.itemsize, window),
    )


def _index_width(voxels: int) -> int:
    """Bytes of a number of the index of slices, which is not needed here."""
    return next(width for width in _INDEX_WIDTHS if 2 * voxels < (1 << 8 * width) - 1)


def _taken(data: Bytes, at: int, count: int, dtype: np.dtype[Any]) -> Labels:
    if count < 0 or at + count * dtype.itemsize > len(data):
        raise ValueError(f"ends early: {count} numbers of {dtype.itemsize} bytes were expected at byte {at}")
    return data[at : at + count * dtype.itemsize].view(dtype)


def _borders(stream: _Stream) -> Flags:
    """Which voxels are boundaries, from their windows."""
    grid = [-(-size // step) for size, step in zip(stream.shape, stream.step, strict=True)]
    if not len(stream.values):
        return np.zeros(stream.shape, bool)
    windows = np.zeros(prod(grid), np.int64)
    numbers = (stream.runs >> 1).astype(np.int64)
    skips = (stream.runs & 1).astype(bool)
    ends = np.cumsum(np.where(skips, numbers, 1))
    if len(ends) and (int(ends[-1]) > len(windows) or int(ends.min()) < 0):
        raise ValueError(f"has {int(ends[-1])} windows, {len(windows)} were expected")
    windows[ends[~skips] - 1] = numbers[~skips]
    flags = np.unpackbits(stream.values.view(np.uint8).reshape(len(stream.values), -1), axis=1, bitorder="little")
    blocks = flags[:, : prod(stream.step)].view(bool)[windows].reshape(*grid, *stream.step)
    full = blocks.transpose(0, 3, 1, 4, 2, 5).reshape([a * b for a, b in zip(grid, stream.step, strict=True)])
    return full[tuple(map(slice, stream.shape))]


def _pieces(free: Flags, *, solid: bool) -> Indices:
    """Number the pieces from 1, by their first voxels; 0 for voxels that are not free.

    Runs along x are numbered first; neighbours along the other axes make one piece of several.
    """
    begins = free.copy()
    begins[..., 1:] &= ~free[..., :-1]
    runs: Indices = np.cumsum(begins.ravel(), dtype=np.int64).reshape(free.shape)
    pairs = [(runs[:, :-1], runs[:, 1:], free[:, :-1] & free[:, 1:])]
    if solid:
        pairs.append((runs[:-1], runs[1:], free[:-1] & free[1:]))
    touching = [_touching(first[both], second[both]) for first, second, both in pairs]
    firsts = _joined(int(runs.flat[-1]) if runs.size else 0, *np.concatenate(touching, axis=1))
    first_runs, numbers = np.unique(firsts[1:], return_inverse=True)
    return np.where(free, np.concatenate([[0], numbers + 1])[runs], 0) if len(first_runs) else np.zeros_like(runs)


def _touching(first: Indices, second: Indices) -> Indices:
    """Pairs of runs, each once where they touch along a stretch."""
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return np.stack([first[new], second[new]])


def _joined(count: int, first: Indices, second: Indices) -> Indices:
    """The least run of each run's piece: neighbours take the lesser of both, until none has another."""
    least = np.arange(count + 1)
    while True:
        ours, theirs = least[first], least[second]
        if np.array_equal(ours, theirs):
            return least
        low = np.minimum(ours, theirs)
        np.minimum.at(least, ours, low)
        np.minimum.at(least, theirs, low)
        while not np.array_equal(shorter := least[least], least):
            least = shorter


def _fill_borders(labels: Labels, borders: Flags, stream: _Stream) -> None:
    """Give boundaries their labels: those of a neighbour before them that is none, or what a location says."""
    _, sy, sx = stream.shape
    flat, border = labels.reshape(-1), borders.reshape(-1)
    rest = np.flatnonzero(border)
    for axis, stride in ((2, 1), (1, sx), *(((0, sx * sy),) if stream.connectivity == _SOLID else ())):
        inner = rest // prod(stream.shape[axis + 1 :]) % stream.shape[axis] > 0
        known = inner & ~border[rest - stride * inner]
        flat[rest[known]] = flat[rest[known] - stride]
        rest = rest[~known]
    codes, literals = _coded(stream.locations, len(rest))
    flat[rest[codes >= _FIRST_LABEL]] = (codes[codes >= _FIRST_LABEL] - _FIRST_LABEL).astype(labels.dtype)
    flat[rest[codes == _LITERAL]] = literals
    for code, stride in enumerate((-1, 1, -sx, sx, -sx * sy, sx * sy)):
        chosen = rest[codes == code]
        beside = chosen + stride
        if len(chosen) and (beside.min() < 0 or beside.max() >= len(flat) or border[beside].any()):
            raise ValueError("takes the label of a boundary from where there is none")
        flat[chosen] = flat[beside]


def _coded(locations: Labels, count: int) -> tuple[Labels, Labels]:
    """Codes of as many voxels, and the labels that follow some: the highest ones, which no code can say."""
    literal = np.zeros(len(locations), bool)
    literal[np.flatnonzero(locations == _LITERAL) + 1] = True
    codes = locations[~literal]
    if len(codes) != count:
        raise ValueError(f"has locations of {len(codes)} boundaries, {count} were expected")
    return codes, locations[literal]


def compresso(_: Codec) -> Step:
    """Encoding ``compresso``; all that it needs stands in each chunk."""
    return Compresso()
