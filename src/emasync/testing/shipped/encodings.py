"""Chunks of Neuroglancer volumes without an imaging library: coarse JPEG pictures and compressed segmentation."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
"""Codes of each length for categories 0 to 11 (ITU-T T.81, table K.3)."""

_QUANTUM = 8
"""All coefficients; the DC coefficient is eight times the mean, so that one step is one grey value."""


def jpeg_scan(greys: NDArray[np.uint8]) -> bytes:
    """Entropy-coded data of a baseline JPEG picture whose blocks of 8 x 8 pixels have one grey value each.

    Parameters
    ----------
    greys : ndarray of uint8, shape (rows, columns)
        One value a block.
    """
    steps = np.diff(greys.astype(int).ravel(), prepend=128)  # ITU-T T.81, F.1.2.1: differences, the first from 128
    bits = "".join(map(_coded, steps.tolist()))
    bits += "1" * (-len(bits) % 8)  # F.1.2.3: padded with ones
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def jpeg_file(scan: bytes, *, rows: int, columns: int, comment: str) -> bytes:
    """A whole picture (ITU-T T.81, annex B).

    Parameters
    ----------
    scan : bytes
        See :func:`jpeg_scan`.
    rows, columns : int
        Pixels; multiples of eight.
    comment : str
        Makes it another file than one of the same pixels.
    """
    frame = struct.pack(">BHHB3B", 8, rows, columns, 1, 1, 0x11, 0)
    segments = (
        (0xFE, comment.encode()),
        (0xDB, bytes([0, *[_QUANTUM] * 64])),
        (0xC0, frame),
        (0xC4, b"\x00" + _DC_COUNTS + bytes(range(12))),
        (0xC4, b"\x10" + bytes([1, *[0] * 15]) + b"\x00"),  # one code: the end of a block
        (0xDA, bytes([1, 1, 0, 0, 63, 0])),
    )
    heads = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + heads + scan + b"\xff\xd9"


def _coded(step: int) -> str:
    """A DC difference and the end of the block, as bits (ITU-T T.81, F.1.2.1.1)."""
    category = abs(step).bit_length()
    value = step if step >= 0 else step + (1 << category) - 1
    return _DC_CODES[category] + (f"{value:0{category}b}" if category else "") + "0"


def _codes(counts: Iterable[int]) -> tuple[str, ...]:
    """Huffman codes in order (ITU-T T.81, C.2)."""
    codes, code = [], 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            codes.append(f"{code:0{length}b}")
            code += 1
        code <<= 1
    return tuple(codes)


_DC_CODES = _codes(_DC_COUNTS)


def compressed_segmentation(labels: Sequence[int], blocks: int) -> bytes:
    """One channel of 64-bit labels, each block of one label (Neuroglancer, "Compressed segmentation format").

    Parameters
    ----------
    labels : sequence of int
        Block `n` holds ``labels[n % len(labels)]``.
    blocks : int
        Number of blocks.
    """
    headers = np.zeros((blocks, 2), "<u4")  # 0 encoded bits: the first entry of the table is all there is
    headers[:, 0] = 2 * blocks + 2 * (np.arange(blocks) % len(labels))
    headers[:, 1] = 2 * blocks + 2 * len(labels)
    return struct.pack("<I", 1) + headers.tobytes() + np.array(labels, "<u8").tobytes()
