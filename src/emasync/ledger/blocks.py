"""Blocks of chunks as bytes: two-bit states, and eight bytes for each chunk on disk. Pure; numpy lives here only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from emasync.ledger.standing import PENDING, PLACED, SEALED

FACT: Final = np.dtype([("size", "<u4"), ("crc", "<u4"), ("verified", "u1")])
"""One chunk on disk: size in bytes, CRC32C, how it was verified."""

_MIXED: Final = 0xFF
"""First byte of packed facts where not all chunks of a block were verified in one way."""

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
    """Facts of the chunks on disk, in chunk order; None for none.

    One byte says how all were verified, or that it differs; then come the sizes, the CRCs and, where it differs,
    one byte each: eight bytes a chunk, and nothing for chunks that are not on disk.
    """
    chosen = block.facts[on_disk(block.states)]
    if not len(chosen):
        return None
    verified = chosen["verified"]
    mixed = bool((verified != verified[0]).any())
    head = bytes([_MIXED if mixed else int(verified[0])])
    return head + chosen["size"].tobytes() + chosen["crc"].tobytes() + (verified.tobytes() if mixed else b"")


def unpack_facts(data: bytes | None, states: States) -> Facts:
    """Facts back from :func:`pack_facts`.

    Raises
    ------
    ValueError
        Not as many as there are chunks on disk.
    """
    facts = np.zeros(len(states), dtype=FACT)
    chosen = on_disk(states)
    count = int(chosen.sum())
    mixed = bool(data) and (data or b"")[0] == _MIXED
    expected = (1 + count * (9 if mixed else 8)) if count else 0
    if len(data or b"") != expected:
        raise ValueError(f"{len(data or b'')} bytes of facts for {count} chunks on disk, expected {expected}")
    if data:
        facts["size"][chosen] = np.frombuffer(data, "<u4", count, 1)
        facts["crc"][chosen] = np.frombuffer(data, "<u4", count, 1 + 4 * count)
        facts["verified"][chosen] = np.frombuffer(data, "u1", count, 1 + 8 * count) if mixed else data[0]
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
