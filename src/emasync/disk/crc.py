"""CRC32C (Castagnoli, RFC 3720, appendix B.4) of a buffer; the CRC of a file from those of its parts."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from crc32c import crc32c
from typing_extensions import Buffer


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


class Composition:
    """How CRCs of neighbouring pieces make up that of both, for one CRC whose bits are reflected.

    Parameters
    ----------
    bits : int
        Width.
    polynomial : int
        Reflected: the lowest bit is the coefficient of the highest power, the term of x^bits left out.

    Notes
    -----
    zlib 1.2.12, ``crc32_combine``: appending n bytes multiplies the first CRC by x^(8n) modulo the polynomial;
    initial value and final inversion cancel out where both are all ones, as they are for the CRCs below.
    """

    def __init__(self, bits: int, polynomial: int) -> None:
        self._one = 1 << (bits - 1)
        self._mask = (1 << bits) - 1
        self._polynomial = polynomial
        self._byte_powers = self._squares()
        self._shift = lru_cache(maxsize=256)(self._power)  # parts of a file are of one length, but for the last

    def __repr__(self) -> str:
        return f"<Composition modulo {self._polynomial:#x}>"

    def _multiply(self, a: int, b: int) -> int:
        """Product of two polynomials over GF(2), modulo the CRC's."""
        product = 0
        while a:
            if a & self._one:
                product ^= b
            a = (a << 1) & self._mask
            b = b >> 1 ^ self._polynomial if b & 1 else b >> 1
        return product

    def _squares(self) -> tuple[int, ...]:
        """x^(8 · 2^k) for k = 0 ... 63: one byte shifts a CRC by x^8."""
        powers = [self._one >> 8]
        while len(powers) < 64:  # noqa: PLR2004  # lengths are 64-bit
            powers.append(self._multiply(powers[-1], powers[-1]))
        return tuple(powers)

    def _power(self, length_bytes: int) -> int:
        power = self._one
        for bit in range(length_bytes.bit_length()):
            if length_bytes >> bit & 1:
                power = self._multiply(power, self._byte_powers[bit])
        return power

    def combine(self, crc_a: int, crc_b: int, length_b: int) -> int:
        """CRC of A followed by B, from both CRCs and B's length; O(log length), no byte is read.

        Parameters
        ----------
        crc_a, crc_b : int
        length_b : int
            Bytes in B; below 2^64.

        Raises
        ------
        ValueError
            Negative or absurd length.
        """
        if not 0 <= length_b < 1 << 64:
            raise ValueError(f"length of {length_b} bytes: expected 0 to 2^64 - 1")
        return self._multiply(crc_a, self._shift(length_b)) ^ crc_b


CRC32C: Final = Composition(32, 0x82F63B78)
"""x^32 + x^28 + x^27 + ... + 1."""
CRC32: Final = Composition(32, 0xEDB88320)
"""RFC 1952, section 8: that of gzip and zlib."""
CRC64NVME: Final = Composition(64, 0x9A6C9329AC4BC9B5)
"""NVM Express NVM Command Set Specification 1.0, section 5.2.1.3.4 (64b CRC)."""

combine: Final = CRC32C.combine
