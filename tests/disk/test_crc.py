from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.disk.crc import combine, crc32c_of


def test_known_value() -> None:
    # RFC 3720, appendix B.4: 32 bytes of zeros; and the check value of the CRC catalogue
    assert crc32c_of(bytes(32)) == 0x8A9136AA
    assert crc32c_of(b"123456789") == 0xE3069283


def test_takes_writable_buffers_and_goes_on_from_a_value() -> None:
    data = bytearray(b"123456789")
    assert crc32c_of(memoryview(data)[4:], crc32c_of(data[:4])) == 0xE3069283


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_combined_is_what_the_whole_gives(a: bytes, b: bytes) -> None:
    assert combine(crc32c_of(a), crc32c_of(b), len(b)) == crc32c_of(a + b)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_any_cut_into_parts_combines(parts: list[bytes]) -> None:
    whole = 0
    for part in parts:
        whole = combine(whole, crc32c_of(part), len(part))
    assert whole == crc32c_of(b"".join(parts))


def test_lengths_beyond_memory_agree_with_themselves() -> None:
    # zeros: (2^40 bytes) + (2^40 bytes) must equal the same 2^41 put together in another order
    def zeros(power: int) -> int:
        crc = crc32c_of(b"\0")
        for bit in range(power):
            crc = combine(crc, crc, 1 << bit)
        return crc

    assert combine(zeros(41), zeros(39), 1 << 39) == combine(zeros(39), zeros(41), 1 << 41)
    assert zeros(14) == crc32c_of(bytes(1 << 14))


@pytest.mark.parametrize("length", [-1, 1 << 64])
def test_absurd_lengths_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="length of"):
        combine(1, 2, length)
