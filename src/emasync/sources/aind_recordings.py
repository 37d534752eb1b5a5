"""Ephys recordings as SpikeInterface writes them (binary folders): what ``binary.json`` promises against what is there.

The traces are one long file of frames: all channels of one sample, then of the next. So the file's size tells whether
it is whole: ``num_samples * num_channels * itemsize + file_offset`` (``spikeinterface.core.binaryrecordingextractor``).
The number of samples is written nowhere else, so it must come out whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from emasync.errors import FormatError
from emasync.formats.binary.recording import DESCRIPTION, Recording
from emasync.model.globs import Selection
from emasync.model.task import escape_for_log
from emasync.sources.interface import Tree
from emasync.sources.walk import closing

MAX_RECORDINGS = 10_000
"""Recordings of one tree that are looked at; the benchmark has sixteen."""

MAX_NAMED = 10
"""Faults that one message names."""


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
        recording = Recording.parse(await tree.read(key) or b"")
    except ValueError as error:
        return [f"{escape_for_log(key)}: {error}"]
    folder = key.rpartition("/")[0]
    paths = [path for name in recording.files if selection.wants(path := f"{folder}/{name}" if folder else name)]
    sizes = await _sizes(tree, folder, frozenset(paths))
    found = []
    for path in paths:
        fault = "named in binary.json and not there" if (size := sizes.get(path)) is None else recording.fault(size)
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
