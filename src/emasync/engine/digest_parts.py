"""Digests that are made of those of parts, which come in any order, so that no second read is needed (law 4).

Two sorts: digests of uploads in parts (the hash of the parts' digests, a dash, and their number), and CRCs, which
compose whatever the parts are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from typing_extensions import Buffer

from emasync.engine.digest_states import COMPOSITIONS, HASHES
from emasync.model.digest import PARTS_SUFFIX, DigestKind, Span

DANDI_PART_BYTES = 64 << 20
DANDI_MOST_PARTS = 10_000
READ_BYTES = 4 << 20
CRC_PART_BYTES = 8 << 20
"""Parts that CRCs are taken of: so much is read back while it is still in the system's memory."""


def dandi_part_bytes(size_bytes: int) -> int:
    """Size of the parts of a ``dandi-etag`` (dandischema, ``digests/dandietag.py``, ``PartGenerator.for_file_size``).

    64 MiB, or as much as brings the file into 10,000 parts; the change is at 10,000 already, not behind it.
    """
    if -(-size_bytes // DANDI_PART_BYTES) < DANDI_MOST_PARTS:
        return DANDI_PART_BYTES
    return -(-size_bytes // DANDI_MOST_PARTS)


@dataclass(frozen=True, slots=True)
class Cut:
    """How an object is cut for its digest.

    Attributes
    ----------
    kind : DigestKind
        Of the object's digest.
    part_bytes : int
        Size of each part but the last.
    """

    kind: DigestKind
    part_bytes: int

    @property
    def hash_name(self) -> str:
        """Hash function of the parts."""
        return "md5" if self.kind == "dandi-etag" else self.kind.removesuffix(PARTS_SUFFIX)

    def spans(self, size_bytes: int) -> Iterator[Span]:
        """The parts of an object of `size_bytes`."""
        for start in range(0, size_bytes, self.part_bytes):
            yield Span(start, min(start + self.part_bytes, size_bytes))

    def composed(self, digests: list[bytes], size_bytes: int) -> str:
        """Digest of the object from those of its parts, in order.

        An upload of no byte has the digest of nothing and ``-0``.
        """
        if self.kind in COMPOSITIONS:
            return self._combined(digests, size_bytes)
        state = HASHES[self.hash_name]()
        state.update(b"".join(digests))
        return f"{state.hexdigest()}-{len(digests)}"

    def _combined(self, digests: list[bytes], size_bytes: int) -> str:
        composition, state = COMPOSITIONS[self.kind], HASHES[self.kind]()
        crc = 0
        for digest, part in zip(digests, self.spans(size_bytes), strict=True):
            crc = composition.combine(crc, int.from_bytes(digest, "big"), part.size_bytes)
        return crc.to_bytes(len(state.digest()), "big").hex()


class SerialParts:
    """The digest of bytes that come in order; a :class:`~emasync.engine.digest_states.HashState` without ``digest``.

    Parameters
    ----------
    cut : Cut
        Of an upload.
    """

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._digests: list[bytes] = []
        self._part = HASHES[cut.hash_name]()
        self._filled = 0
        self._size_bytes = 0

    def __repr__(self) -> str:
        return f"<SerialParts of {self._cut}, {self._size_bytes} bytes>"

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""
        view = memoryview(data).cast("B")
        self._size_bytes += len(view)
        while view:
            room = self._cut.part_bytes - self._filled
            piece, view = view[:room], view[room:]
            self._part.update(piece)
            self._filled += len(piece)
            if self._filled == self._cut.part_bytes:
                self._close()

    def _close(self) -> None:
        self._digests.append(self._part.digest())
        self._part, self._filled = HASHES[self._cut.hash_name](), 0

    def hexdigest(self) -> str:
        """The digest of what came."""
        last = [self._part.digest()] if self._filled else []
        return self._cut.composed([*self._digests, *last], self._size_bytes)


class LandingParts:
    """The parts of one object, hashed as they become whole on disk (mutable; belongs to one object in flight).

    Parameters
    ----------
    size_bytes : int
        Of the object.
    cut : Cut
    """

    def __init__(self, size_bytes: int, cut: Cut) -> None:
        self.cut = cut
        self._size_bytes = size_bytes
        self._missing = {span.start // cut.part_bytes: span.size_bytes for span in cut.spans(size_bytes)}
        self._digests: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"<LandingParts {self.cut.kind}: {len(self._digests)} hashed, {len(self._missing)} not whole>"

    def add(self, landed: Span) -> list[Span]:
        """Bytes lie on disk that did not before; gives the parts that are whole with them."""
        whole = []
        part_bytes = self.cut.part_bytes
        for number in range(landed.start // part_bytes, -(-landed.stop // part_bytes)):
            part = Span(number * part_bytes, min((number + 1) * part_bytes, self._size_bytes))
            if number not in self._missing:
                continue  # it was whole before
            self._missing[number] -= min(part.stop, landed.stop) - max(part.start, landed.start)
            if not self._missing[number]:
                del self._missing[number]
                whole.append(part)
        return whole

    def hash(self, part: Span, read: Callable[[int, int], bytes]) -> None:
        """In a thread: hash one part through ``read(offset, size_bytes)``."""
        state = HASHES[self.cut.hash_name]()
        for offset in range(part.start, part.stop, READ_BYTES):
            state.update(read(offset, min(READ_BYTES, part.stop - offset)))
        self._digests[part.start // self.cut.part_bytes] = state.digest()

    def hexdigest(self, read: Callable[[int, int], bytes]) -> str:
        """In a thread: the digest; parts that an earlier run brought are read now."""
        for part in self.cut.spans(self._size_bytes):
            if part.start // self.cut.part_bytes not in self._digests:
                self.hash(part, read)
        return self.cut.composed([digest for _, digest in sorted(self._digests.items())], self._size_bytes)
