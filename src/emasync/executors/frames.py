"""Frames on a stream: four bytes of length (big-endian), then the body. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

HEADER_BYTES = 4

FRAME_BYTES = 16 << 20
"""Longest body. A lease of 256 tasks and a batch of facts are two orders below; more is no message of ours (law 14)."""


class FrameError(Exception):
    """What comes is no sequence of frames."""


def frame(body: bytes) -> bytes:
    """`body` as a frame.

    Raises
    ------
    FrameError
        It is longer than :data:`FRAME_BYTES`.
    """
    if len(body) > FRAME_BYTES:
        raise FrameError(f"a message of {len(body)} bytes, at most {FRAME_BYTES} are sent")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class FrameReader:
    """Cuts a stream into frames; holds one unfinished frame at most."""

    def __init__(self) -> None:
        self._held = bytearray()

    def __repr__(self) -> str:
        return f"<FrameReader holds {len(self._held)} bytes>"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; gives the bodies that are whole now.

        Raises
        ------
        FrameError
            A length beyond :data:`FRAME_BYTES`.
        """
        held = self._held
        held += data
        position = 0
        while len(held) - position >= HEADER_BYTES:
            start = position + HEADER_BYTES
            size_bytes = int.from_bytes(held[position:start], "big")
            if size_bytes > FRAME_BYTES:
                raise FrameError(f"a frame of {size_bytes} bytes is announced, at most {FRAME_BYTES} are taken")
            if len(held) < start + size_bytes:
                break
            position = start + size_bytes
            yield bytes(held[start:position])
        del held[:position]
