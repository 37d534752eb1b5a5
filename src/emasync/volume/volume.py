"""An array on disk, read block by block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, SupportsIndex, cast, final

import numpy as np
import numpy.typing as npt

from emasync.errors import InputError
from emasync.formats.stored import Measure
from emasync.model.geometry import Box
from emasync.model.units import NANOMETRES
from emasync.volume.absence import name_of
from emasync.volume.cache import Voxels
from emasync.volume.indexing import selection
from emasync.volume.interface import IndexedArray
from emasync.volume.orientation import CHANNELS, SPATIAL, Orientation
from emasync.volume.padding import Pad, Padding, padding_of
from emasync.volume.reading import BlockEngine, go_on
from emasync.volume.requests import Request, request
from emasync.volume.window import window_of
from emasync.volume.world import Place, level_for, sampled

Starts = Sequence[Sequence[int]] | npt.NDArray[np.integer[Any]]


class StoppedError(Exception):
    """Nobody waits for these blocks any more."""


@final
class Volume:
    """One array at one scale. Made by :func:`emasync.open_volume`.

    Axes are z, y, x, and channels last where there are several; coordinates are those of the source, in voxels, boxes
    half-open; voxels have the type they were published with, in the byte order of this machine. Threads and forked
    processes may read at the same time; pickling it takes along how it was opened, and nothing else.

    Parameters
    ----------
    array : IndexedArray
    engine : BlockEngine
    orientation : Orientation
    reopen : callable, optional
        Opens the same volume in another process; must be picklable itself.
    levels : callable, optional
        Opens all levels of the image, this one among them.

    Attributes
    ----------
    array : IndexedArray
        What the index says of it.
    dtype : numpy.dtype
    axes : tuple of str
        Of blocks.
    chunks : tuple of int
        Voxels of one whole chunk.
    bounds : Box
        What was asked for.
    chunk_bounds : Box
        What is on disk, and can be read: chunks are fetched whole.
    measures : tuple of Measure or None
        Voxel size of each axis as published, with its source; None where nobody said.
    """

    def __init__(
        self,
        array: IndexedArray,
        engine: BlockEngine,
        orientation: Orientation,
        *,
        reopen: Callable[[], Volume] | None = None,
        levels: Callable[[], Sequence[Volume]] | None = None,
    ) -> None:
        outward = orientation.outward
        self.array = array
        self.dtype: np.dtype[Any] = np.dtype(array.layout.dtype).newbyteorder("=")  # Any: of whatever type they are
        self.axes: tuple[str, ...] = tuple(array.axes[axis] for axis in orientation.order)
        self.chunks: tuple[int, ...] = outward(array.layout.chunks)
        self.bounds = Box(outward(array.bounds.start), outward(array.bounds.stop))
        self.chunk_bounds = Box.from_shape(outward(array.origin), outward(array.shape))
        self.measures: tuple[Measure | None, ...] = tuple(array.measures[axis] for axis in orientation.order)
        self._engine = engine
        self._orientation = orientation
        self._window = window_of(engine, orientation, self.chunk_bounds, self.dtype)
        self._reopen = reopen
        self._levels = levels or (lambda: (self,))
        self._name = name_of(array)

    def __repr__(self) -> str:
        return f"<Volume {self._name}: {self.dtype} {dict(zip(self.axes, self.shape, strict=True))}>"

    def __reduce__(self) -> tuple[Callable[[], Volume], tuple[()]]:
        if self._reopen is None:
            raise TypeError(f"{self!r} was not opened by open_volume, which pickling is about")
        return self._reopen, ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of :attr:`bounds` on each axis."""
        return self.bounds.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def voxel_size(self) -> tuple[float | None, ...]:
        """As published, one an axis; None where nobody said."""
        return tuple(None if measure is None else measure.value for measure in self.measures)

    @property
    def unit(self) -> str | None:
        """Of :attr:`voxel_size`, as published; None where none is known, or not one for all axes (see `measures`)."""
        units = {measure.unit for measure in self.measures if measure is not None and measure.unit}
        return units.pop() if len(units) == 1 else None

    @property
    def voxel_size_nm(self) -> tuple[float, ...] | None:
        """Nanometres along the spatial axes (all axes, where none is); None where one of them is not known."""
        sizes = [self._size_nm(axis) for axis in self._spatial()]
        return tuple(size for size in sizes if size is not None) if sizes and None not in sizes else None

    def _spatial(self) -> list[int]:
        named = [axis for axis, name in enumerate(self.axes) if name.lower() in SPATIAL]
        return named or list(range(self.ndim))

    def _size_nm(self, axis: int) -> float | None:
        measure = self.measures[axis]
        unit_nm = None if measure is None else NANOMETRES.get(measure.unit.lower())
        return None if measure is None or unit_nm is None else measure.value * unit_nm

    def read(
        self,
        start: Sequence[int],
        shape: Sequence[int],
        *,
        pad: Pad = "error",
        fill: float | None = None,
        out: Voxels | None = None,
    ) -> Voxels:
        """Read one block.

        Parameters
        ----------
        start : sequence of int
            First voxel, source coordinates. Channels may be left out of `start` and `shape`: all are read.
        shape : sequence of int
            Voxels on each axis.
        pad : {"error", "constant", "edge", "reflect", "symmetric", "wrap"}
            What is beyond :attr:`chunk_bounds`, by the rules of :func:`numpy.pad`.
        fill : number, optional
            For ``pad="constant"``; the array's fill value by default.
        out : ndarray, optional
            Where the block goes: of its shape and of :attr:`dtype`, writable, of any strides.

        Returns
        -------
        ndarray
            `out`, or a new array in C order.

        Raises
        ------
        EmasyncError
            ``out_of_bounds``: the block reaches beyond :attr:`chunk_bounds`, and `pad` does not say what is there.
        NotDownloaded
            The block needs a chunk that is not on this disk.
        FormatError, IntegrityError
            Bytes on disk are not what they were; names file and offset.
        InputError
            Wrong arguments.
        """
        if self._window is not None and pad == "error" and fill is None:
            seen = self._window.block(start, shape, out)
            if seen is not None:
                return seen
        box = self._box(start, shape)
        block = self._room(box.shape, out)
        padding = padding_of(pad, fill, self.array.layout)
        self._run([request(box, self.chunk_bounds, block, padding, self._name)])
        return block

    def read_many(
        self,
        starts: Starts,
        shape: Sequence[int],
        *,
        pad: Pad = "error",
        fill: float | None = None,
        out: Voxels | None = None,
    ) -> Voxels:
        """Read blocks of one shape: what they share is read and decoded once.

        Parameters
        ----------
        starts : sequence of sequence of int, or ndarray
            First voxel of each block.
        shape, pad, fill
            As in :meth:`read`.
        out : ndarray, optional
            Of shape ``(len(starts), *shape)``.

        Returns
        -------
        ndarray
            Of shape ``(len(starts), *shape)``.

        Raises
        ------
        EmasyncError
            As :meth:`read`.
        """
        return self._read_many(starts, shape, padding_of(pad, fill, self.array.layout), out, go_on)

    async def aread_many(
        self,
        starts: Starts,
        shape: Sequence[int],
        *,
        pad: Pad = "error",
        fill: float | None = None,
        out: Voxels | None = None,
    ) -> Voxels:
        """As :meth:`read_many`, in a thread. When cancelled it stops after a chunk, and `out` is not touched later."""
        stopped = threading.Event()

        def go_on_or_stop() -> None:
            if stopped.is_set():
                raise StoppedError

        def read() -> Voxels | None:
            try:
                return self._read_many(starts, shape, padding_of(pad, fill, self.array.layout), out, go_on_or_stop)
            except StoppedError:
                return None

        work = asyncio.ensure_future(asyncio.to_thread(read))
        try:
            blocks = await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.wait({work})
            raise
        return cast("Voxels", blocks)  # None only where it was stopped

    def read_world(
        self,
        center_nm: Sequence[float],
        shape: Sequence[int],
        voxel_size_nm: float | Sequence[float],
        *,
        pad: Pad = "error",
        fill: float | None = None,
    ) -> Voxels:
        """Read a block around a place in the world, at a voxel size of one's own.

        It is sampled from the coarsest level that is as fine along every axis, or from the finest where none is: images
        linearly, labels from the nearest voxel. Coarse blocks of a much finer level are sampled, not averaged.

        Parameters
        ----------
        center_nm : sequence of float
            Centre of the block, nanometres, spatial axes.
        shape : sequence of int
            Voxels, spatial axes; all channels come with them.
        voxel_size_nm : float or sequence of float
            Of the block.
        pad, fill
            As in :meth:`read`, for voxels of the level that are missing.

        Returns
        -------
        ndarray
            In C order, of :attr:`dtype`: integers are rounded.

        Raises
        ------
        InputError
            Nobody knows how large voxels are; wrong arguments.
        EmasyncError
            As :meth:`read`.
        """
        steps = [voxel_size_nm] * len(shape) if isinstance(voxel_size_nm, int | float) else voxel_size_nm
        place = Place(tuple(center_nm), tuple(shape), tuple(steps))
        return sampled(level_for(self._levels(), place, self._name), place, pad, fill)

    def __getitem__(self, key: object) -> Voxels:
        """``volume[z, y0:y1, ...]`` in source coordinates; negative ones do not count from the end.

        Slices without a start or stop reach to the end of :attr:`bounds`.
        """
        chosen = selection(key, self.bounds)
        return self.read(chosen.box.start, chosen.box.shape)[chosen.then]

    __iter__ = None  # a volume need not begin at 0

    def __array__(self, dtype: npt.DTypeLike | None = None, *, copy: bool | None = None) -> Voxels:
        """All of :attr:`bounds`."""
        if copy is False:
            raise ValueError("a volume is on disk: making an array of it copies")
        block = self.read(self.bounds.start, self.bounds.shape)
        return block if dtype is None else block.astype(dtype, copy=False)

    def _read_many(
        self,
        starts: Starts,
        shape: Sequence[int],
        padding: Padding,
        out: Voxels | None,
        gone_on: Callable[[], None],
    ) -> Voxels:
        boxes = [self._box(start, shape) for start in starts]
        inner = boxes[0].shape if boxes else self._box([0] * len(shape), shape).shape
        blocks = self._room((len(boxes), *inner), out)
        there, name = self.chunk_bounds, self._name
        requests = [request(box, there, block, padding, name) for box, block in zip(boxes, blocks, strict=True)]
        self._run(requests, gone_on)
        return blocks

    def _box(self, start: Iterable[SupportsIndex], shape: Iterable[SupportsIndex]) -> Box:
        """A block's box, with all channels where none were named."""
        try:
            low, size = [*map(index, start)], [*map(index, shape)]
        except TypeError as error:
            raise InputError(f"{self._name}: start {start}, shape {shape}: expected whole numbers") from error
        if len(low) != len(size) or min(size, default=0) < 0:
            raise InputError(f"{self._name}: start {low}, shape {size}: expected one number of 0 or more an axis")
        for axis in range(len(low), self.ndim):
            if self.axes[axis].lower() in CHANNELS:
                low.append(self.bounds.start[axis])
                size.append(self.bounds.shape[axis])
        if len(low) != self.ndim:
            raise InputError(f"{self._name}: start {low}: the volume has the axes {', '.join(self.axes)}")
        return Box.from_shape(low, size)

    def _room(self, shape: tuple[int, ...], out: Voxels | None) -> Voxels:
        if out is None:
            return np.empty(shape, self.dtype)
        if out.shape != shape or out.dtype != self.dtype or not out.flags.writeable:
            raise InputError(
                f"{self._name}: out is {out.dtype} {out.shape}{'' if out.flags.writeable else ', read-only'}; "
                f"expected {self.dtype} {shape}"
            )
        return out

    def _run(self, requests: Sequence[Request], gone_on: Callable[[], None] = go_on) -> None:
        inward, origin = self._orientation.inward, self.array.origin
        self._engine.fill(
            [inward(box, origin) for one in requests for box in one.boxes],
            [self._orientation.stored_view(target) for one in requests for target in one.targets],
            gone_on,
        )
        for one in requests:
            one.finish()
