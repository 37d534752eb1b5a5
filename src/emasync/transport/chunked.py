"""Bodies in chunks (RFC 9112, section 7.1), read strictly. No I/O.

llhttp (through httptools) does the reading.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpResponseParser

FRAMING_BYTES = 256 << 10
FRAMING_RATIO = 16
"""Chunk sizes, extensions and trailers may take this much, and so much for each byte of the body: servers that send it
byte by byte need 5. Beyond, they are sent for their own sake, and need never end."""

_PREFACE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
"""The parser wants to see a header; with this one it refuses whatever follows the body."""


class MalformedChunksError(ValueError):
    """What came is no chunked body."""


class ChunkedBody:
    """Reads one body, piece by piece.

    Attributes
    ----------
    complete : bool
        The last chunk and the trailers came.
    surplus : bool
        Bytes came behind the end: they poison the connection (law 8).
    """

    __slots__ = ("_found", "_framing_bytes", "_parser", "complete", "surplus")

    def __init__(self) -> None:
        self.complete = False
        self.surplus = False
        self._found: list[bytes] = []
        self._framing_bytes = FRAMING_BYTES
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(_PREFACE)

    def on_body(self, data: bytes) -> None:
        """For llhttp."""
        self._found.append(data)

    def on_message_complete(self) -> None:
        """For llhttp."""
        self.complete = True

    def feed(self, data: bytes) -> bytes:
        """Decoded bytes of the next bytes of the body; trailers are dropped.

        Raises
        ------
        MalformedChunksError
            No chunks, or hardly anything but their framing.
        """
        self.surplus = self.surplus or (self.complete and bool(data))
        if not self.surplus:
            try:
                self._parser.feed_data(data)
            except HttpParserError as error:
                if not self.complete:
                    raise MalformedChunksError(f"no chunk ({error})") from error
                self.surplus = True
        found, self._found = b"".join(self._found), []
        self._framing_bytes += FRAMING_RATIO * len(found) - len(data)
        if self._framing_bytes < 0:
            raise MalformedChunksError("more framing of chunks than can be meant")
        return found
