"""Blocks of chunks as bytes: two-bit states, and nine bytes for each chunk on disk. Pure; numpy lives here only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.ledger.standing import PENDING, PLACED, SEALED

FACT: Final = np.dtype([("size", "<u4"), ("crc", "<u4"), ("verified", "u1")])
"""One chunk on disk: size in bytes, CRC32C, how it was verified. Packed: chunks that are not on disk take no room."""

HUGE: Final = 0xFFFF_FFFF
"""Stands for a size that does not fit; the real one lies in the exception table."""

_SHIFTS: Final = np.array([0, 2, 4, 6], dtype=np.uint8)

States = npt.NDArray[np.uint8]
Facts = npt.NDArray[np.void]


@dataclass(slots=True)
class Block:
    """One block, unpacked. Mutable: it lives inside one transaction.

    Attributes
    ----------
    states : ndarray of uint8, shape (chunks,)
    facts : ndarray of FACT, shape (chunks,)
        Meaningful where the state is sealed or placed.
    """

    states: States
    facts: Facts


def pack_states(states: States) -> bytes | None:
    """Two bits a chunk, the first in the lowest bits; None when all are pending."""
    if not states.any():
        return None
    padded = np.zeros(-(-len(states) // 4) * 4, dtype=np.uint8)
    padded[: len(states)] = states
    packed: bytes = np.bitwise_or.reduce(padded.reshape(-1, 4) << _SHIFTS, axis=1).astype(np.uint8).tobytes()
    return packed


def unpack_states(data: bytes | None, chunks: int) -> States:
    """States back from :func:`pack_states`, for `chunks` chunks.

    Raises
    ------
    ValueError
        Too few bytes.
    """
    if data is None:
        return np.zeros(chunks, dtype=np.uint8)
    if len(data) * 4 < chunks:
        raise ValueError(f"{len(data)} bytes of states for {chunks} chunks")
    packed = np.frombuffer(data, dtype=np.uint8)
    return ((packed[:, None] >> _SHIFTS) & 3).reshape(-1)[:chunks].astype(np.uint8)


def on_disk(states: States) -> npt.NDArray[np.bool_]:
    """Which chunks have facts."""
    chosen: npt.NDArray[np.bool_] = (states == SEALED) | (states == PLACED)
    return chosen


def pack_facts(block: Block) -> bytes | None:
    """Facts of the chunks on disk, in chunk order; None for none."""
    chosen = block.facts[on_disk(block.states)]
    return chosen.tobytes() if len(chosen) else None


def unpack_facts(data: bytes | None, states: States) -> Facts:
    """Facts back from :func:`pack_facts`.

    Raises
    ------
    ValueError
        Not as many as there are chunks on disk.
    """
    facts = np.zeros(len(states), dtype=FACT)
    chosen = on_disk(states)
    found = np.frombuffer(data or b"", dtype=FACT)
    if len(found) != int(chosen.sum()):
        raise ValueError(f"{len(found)} facts for {int(chosen.sum())} chunks on disk")
    facts[chosen] = found
    return facts


def first_pending(states: States, start: int) -> list[int]:
    """Positions of pending chunks from `start` on."""
    found: list[int] = (np.flatnonzero(states[start:] == PENDING) + start).tolist()
    return found


def with_state(states: States, wanted: int) -> list[int]:
    """Positions of chunks in one state."""
    found: list[int] = np.flatnonzero(states == wanted).tolist()
    return found


def count_pending(states: States) -> int:
    """How many chunks are pending (or failed, which only the exception table tells)."""
    return int((states == PENDING).sum())
