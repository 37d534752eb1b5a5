"""States of the hash functions that digests are made with, all with the interface of hashlib. Run in threads."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from typing_extensions import Buffer

from emasync.disk.crc import CRC32, CRC32C, CRC64NVME, Composition, crc32c_of
from emasync.errors import InputError


class HashState(Protocol):
    """What hashlib's objects can do, as far as it is asked for here."""

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """Digest of what came."""
        ...

    def hexdigest(self) -> str:
        """The same, in lower-case hexadecimal."""
        ...


class _Crc:
    """A cyclic redundancy check; its digest is big-endian, as object stores write it."""

    def __init__(self, advance: Callable[[Buffer, int], int], size_bytes: int) -> None:
        self._advance = advance
        self._size_bytes = size_bytes
        self._value = 0

    def __repr__(self) -> str:
        return f"<_Crc {self.hexdigest()}>"

    def update(self, data: Buffer, /) -> None:
        self._value = self._advance(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")

    def hexdigest(self) -> str:
        return self.digest().hex()


def _crc64nvme() -> HashState:
    """By AWS's own library, which is where this CRC is used; there is no other of its speed that is kept up."""
    try:
        from awscrt.checksums import crc64nvme  # noqa: PLC0415 - 12 MB that hardly anybody needs
    except ImportError:
        raise InputError("CRC64NVME digests need awscrt: pip install 'emasync[crc64]'") from None
    return _Crc(crc64nvme, 8)


def _md5() -> HashState:
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> HashState:
    return hashlib.sha1(usedforsecurity=False)


HASHES: Final[dict[str, Callable[[], HashState]]] = {
    "md5": _md5,
    "sha1": _sha1,
    "sha256": hashlib.sha256,
    "crc32": lambda: _Crc(zlib.crc32, 4),
    "crc32c": lambda: _Crc(crc32c_of, 4),
    "crc64nvme": _crc64nvme,
}
"""New states by name."""

COMPOSITIONS: Final[dict[str, Composition]] = {"crc32": CRC32, "crc32c": CRC32C, "crc64nvme": CRC64NVME}
"""Of the digests that are those of their parts put together."""


def can_hash(name: str) -> bool:
    """Whether the library behind a hash function is there."""
    try:
        HASHES[name]()
    except InputError:
        return False
    return True
