"""Places of chunks inside of shards, as indexes tell them. Nothing an index says is trusted."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.errors import FormatError
from emasync.model.digest import Span
from emasync.model.task import escape_for_log

Numbers = npt.NDArray[np.uint64]

MAX_SHARD_BYTES: Final = 10**15
"""Offsets beyond are broken; the largest object of any store has 5 * 10^13 bytes."""


def require_places(key: str, starts: Numbers, sizes: Numbers, room: Span) -> None:
    """Chunks lie where there is room for them, and apart from each other.

    Parameters
    ----------
    key : str
        Of the shard, for messages.
    starts, sizes : ndarray of uint64
        Bytes from the beginning of the shard, and length; any order.
    room : Span
        Where chunks may lie: without the index, and ending with the shard where its size is known.

    Raises
    ------
    FormatError
        Outside of that, or over each other.
    """
    limit = np.uint64(max(0, room.stop))
    # sums may wrap: what begins or is long beyond the limit is looked for first
    beyond = (starts > limit) | (sizes > limit) | (starts + sizes > limit) | (starts < np.uint64(room.start))
    if beyond.any():
        at = int(np.flatnonzero(beyond)[0])
        place = f"{int(starts[at])} to {int(starts[at]) + int(sizes[at])}"
        raise broken_shard(key, f"a chunk lies at bytes {place}, and there is room from {room.start} to {room.stop}")
    order = np.argsort(starts)
    ends = (starts + sizes)[order]
    if (ends[:-1] > starts[order[1:]]).any():
        raise broken_shard(key, "chunks lie over each other")


def broken_shard(key: str, what: str) -> FormatError:
    """The error that says what is wrong with a shard."""
    return FormatError(
        f"{escape_for_log(key)}: {what}; the shard is damaged, or the metadata speaks of another", location=key
    )
