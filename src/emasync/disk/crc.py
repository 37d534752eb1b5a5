"""CRC32C (Castagnoli, RFC 3720, appendix B.4): of a buffer, and of a file from the CRCs of its parts."""

from __future__ import annotations

from functools import lru_cache

from crc32c import crc32c
from typing_extensions import Buffer

_POLYNOMIAL = 0x82F63B78
"""x^32 + x^28 + x^27 + ... + 1, reflected: bit 31 is the coefficient of x^0."""
_ONE = 0x80000000


def crc32c_of(data: Buffer, value: int = 0) -> int:
    """CRC32C of `data`, continued from `value`; gives way to other threads on large buffers.

    Parameters
    ----------
    data : buffer
        Contiguous; may be writable.
    value : int
        CRC of what comes before.
    """
    result: int = crc32c(data, value)
    return result


def _multiply(a: int, b: int) -> int:
    """Product of two polynomials over GF(2), modulo the CRC's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _squares() -> tuple[int, ...]:
    """x^(8 · 2^k) for k = 0 ... 63: one byte shifts a CRC by x^8."""
    powers = [_ONE >> 8]
    while len(powers) < 64:  # noqa: PLR2004  # lengths are 64-bit
        powers.append(_multiply(powers[-1], powers[-1]))
    return tuple(powers)


_BYTE_POWERS = _squares()


@lru_cache(maxsize=256)  # parts of a file are of one length, but for the last
def _shift(length_bytes: int) -> int:
    power = _ONE
    for bit in range(length_bytes.bit_length()):
        if length_bytes >> bit & 1:
            power = _multiply(power, _BYTE_POWERS[bit])
    return power


def combine(crc_a: int, crc_b: int, length_b: int) -> int:
    """CRC32C of A followed by B, from both CRCs and B's length; O(log length), no byte is read.

    Parameters
    ----------
    crc_a, crc_b : int
    length_b : int
        Bytes in B; below 2^64.

    Raises
    ------
    ValueError
        Negative or absurd length.

    References
    ----------
    zlib 1.2.12, ``crc32_combine``: appending n bytes multiplies the first CRC by x^(8n) modulo the polynomial;
    initial value and final inversion cancel out.
    """
    if not 0 <= length_b < 1 << 64:
        raise ValueError(f"length of {length_b} bytes: expected 0 to 2^64 - 1")
    return _multiply(crc_a, _shift(length_b)) ^ crc_b
