"""Ephys recordings as SpikeInterface writes them (binary folders): what ``binary.json`` promises against what is there.

The traces are one long file of frames: all channels of one sample, then of the next. So the file's size tells whether
it is whole: ``num_samples * num_channels * itemsize + file_offset`` (``spikeinterface.core.binaryrecordingextractor``).
The number of samples is written nowhere else, so it must come out whole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from emasync.errors import FormatError
from emasync.model.globs import Selection
from emasync.model.task import escape_for_log
from emasync.sources.interface import Tree
from emasync.sources.walk import closing

DESCRIPTION = "binary.json"
MAX_RECORDINGS = 10_000
"""Recordings of one tree that are looked at; the benchmark has sixteen."""

MAX_NAMED = 10
"""Faults that one message names."""

_DTYPE = re.compile(r"[<>=|]?[iuf](?P<bytes>[1248])|(?:u?int|float)(?P<bits>8|16|32|64)")
"""What SpikeInterface writes: ``numpy.dtype.str``, or a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Layout of the traces of one recording.

    Attributes
    ----------
    files : tuple of str
        Relative to the folder of the recording.
    frame_bytes : int
        All channels of one sample.
    offset_bytes : int
        Before the first frame.
    """

    files: tuple[str, ...]
    frame_bytes: int
    offset_bytes: int

    @classmethod
    def parse(cls, data: bytes) -> Frames:
        """Read a ``binary.json``.

        Raises
        ------
        ValueError
            It is none; says what is missing.
        """
        value: Any = orjson.loads(data)  # Any: JSON, checked below; JSONDecodeError is a ValueError
        kwargs = value.get("kwargs") if isinstance(value, dict) else None
        if not isinstance(kwargs, dict):
            raise ValueError("no kwargs in it")  # noqa: TRY004 - a document is wrong, not a call
        files = kwargs.get("file_paths")
        if not isinstance(files, list) or not files or not all(_is_below(name) for name in files):
            raise ValueError("file_paths is no list of names below the folder")
        channels = _natural(kwargs, "num_channels", "num_chan")  # the name until SpikeInterface 0.98
        offset = _natural(kwargs, "file_offset") if kwargs.get("file_offset") is not None else 0
        if channels is None or channels == 0 or offset is None:
            raise ValueError("num_channels or file_offset is no number")
        return cls(files=tuple(files), frame_bytes=channels * _itemsize_bytes(kwargs.get("dtype")), offset_bytes=offset)

    def fault(self, size_bytes: int) -> str | None:
        """What is wrong with a file of this size; None when it holds whole frames."""
        over = (size_bytes - self.offset_bytes) % self.frame_bytes
        if size_bytes > self.offset_bytes and not over:
            return None
        return (
            f"{size_bytes:,} bytes are no whole number of frames of {self.frame_bytes:,} bytes"
            f" behind an offset of {self.offset_bytes:,}"
        )


def _is_below(name: object) -> bool:
    """Whether a name lies in the folder; others are paths on the machine that recorded."""
    return isinstance(name, str) and not name.startswith("/") and not {"", ".", ".."} & set(name.split("/"))


def _natural(kwargs: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        value = kwargs.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62:
            return value
    return None


def _itemsize_bytes(dtype: object) -> int:
    match = _DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    if match is None:
        raise ValueError(f"dtype {str(dtype)[:40]!r} is no number type")
    return int(match["bytes"]) if match["bytes"] else int(match["bits"]) // 8


async def check_recordings(tree: Tree, selection: Selection) -> None:
    """Hold the size law against all recordings of a tree that are wanted.

    One pass over the listing, and two requests a recording.

    Parameters
    ----------
    tree : Tree
    selection : Selection
        Globs over paths below it; files they leave out are not looked at.

    Raises
    ------
    FormatError
        Files that are missing or not whole, or a ``binary.json`` that is none: all of them are named, up to
        :data:`MAX_NAMED`.
    TransportError
        As :meth:`Tree.list` and :meth:`Tree.read`.
    """
    faults: list[str] = []
    count = 0
    async for key in descriptions(tree, selection):
        count += 1
        if count > MAX_RECORDINGS:
            raise FormatError(f"{tree.base}: more than {MAX_RECORDINGS:,} recordings; split the dataset")
        faults += await _faults(tree, key, selection)
    if faults:
        more = f"; and {len(faults) - MAX_NAMED:,} more" if len(faults) > MAX_NAMED else ""
        raise FormatError(
            "recordings are not whole at the source: " + "; ".join(faults[:MAX_NAMED]) + more,
            location=str(tree.base),
        )


async def descriptions(tree: Tree, selection: Selection) -> AsyncIterator[str]:
    """Keys of all ``binary.json``."""
    for folder in selection.folders:
        async with closing(tree.list(folder.removesuffix("/"))) as pages:
            async for page in pages:
                for item in page.objects:
                    if item.key.rpartition("/")[2] == DESCRIPTION and selection.wants(item.key):
                        yield item.key


async def _faults(tree: Tree, key: str, selection: Selection) -> list[str]:
    """What is wrong with one recording; its files are named by their keys."""
    try:
        frames = Frames.parse(await tree.read(key) or b"")
    except ValueError as error:
        return [f"{escape_for_log(key)}: {error}"]
    folder = key.rpartition("/")[0]
    paths = [path for name in frames.files if selection.wants(path := f"{folder}/{name}" if folder else name)]
    sizes = await _sizes(tree, folder, frozenset(paths))
    found = []
    for path in paths:
        fault = "named in binary.json and not there" if (size := sizes.get(path)) is None else frames.fault(size)
        if fault is not None:
            found.append(f"{escape_for_log(path)}: {fault}")
    return found


async def _sizes(tree: Tree, folder: str, paths: frozenset[str]) -> dict[str, int]:
    """Sizes of these objects, all below the folder, as far as they are listed."""
    sizes: dict[str, int] = {}
    async with closing(tree.list(folder)) as pages:
        async for page in pages:
            sizes.update((item.key, item.size_bytes) for item in page.objects if item.key in paths)
    return sizes
