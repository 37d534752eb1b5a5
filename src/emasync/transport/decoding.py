"""Bodies that came with Content-Encoding gzip, decoded piece by piece and bounded (law 10)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from emasync.errors import RefusedError, TransientError

PIECE_BYTES = 1 << 20
"""Most decoded bytes handed on at once."""

MAX_DECODED_BYTES = 4 << 30
"""Encoded bodies are chunks and documents; a larger one is taken for a bomb (deflate can grow 1,032 times)."""

SLICE_BYTES = 64 << 10
"""Most stored bytes taken at once: what follows a member is copied, and members may be 20 bytes each."""

PADDING_BYTES = 256 << 10
"""Stored bytes that may come beyond the decoded ones; real ones are some headers, and 5 for each block that did not
shrink (RFC 1951, section 3.2.4). Empty members and endless names in headers decode to nothing, for ever."""

_GZIP = 16 + zlib.MAX_WBITS


class GzipDecoder:
    """Decodes one body, members one after another (RFC 1952, section 2.2).

    Parameters
    ----------
    name : str
        Of the object, for messages.
    limit_bytes : int
        Most decoded bytes in all.
    """

    def __init__(self, name: str, limit_bytes: int = MAX_DECODED_BYTES) -> None:
        self._name = name
        self._left_bytes = limit_bytes
        self._padding_bytes = PADDING_BYTES
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces of the next stored bytes.

        Raises
        ------
        RefusedError
            Not gzip, more than the limit, or little more than padding.
        """
        for start in range(0, len(data), SLICE_BYTES):
            yield from self._feed(data[start : start + SLICE_BYTES])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        self._padding_bytes -= len(data)
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            piece = self._decode(data)
            self._begun = True
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                self._padding_bytes += len(piece) + len(piece) // 64
                yield piece
        if self._padding_bytes < 0:
            raise RefusedError(f"{self._name}: the encoded body is hardly more than padding; refused")

    def _decode(self, data: bytes) -> bytes:
        try:
            piece = self._member.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            message = f"{self._name}: Content-Encoding says gzip, the body is not ({error})"
            raise RefusedError(message, location=self._name) from error
        self._left_bytes -= len(piece)
        if self._left_bytes < 0:
            raise RefusedError(f"{self._name}: the decoded body is too large; refused", location=self._name)
        return piece

    def finish(self) -> Iterator[bytes]:
        """What was still held back when the stored bytes ended.

        Raises
        ------
        TransientError
            The body ended inside a member.
        """
        while not self._member.eof and (piece := self._decode(b"")):
            yield piece
        if self._begun and not self._member.eof:
            raise TransientError(f"{self._name}: the encoded body broke off", location=self._name)
