"""Digests, validators, byte spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DigestKind = Literal[
    "md5", "sha1", "sha256", "crc32", "crc32c", "crc64nvme", "etag", "dandi-etag",
    "md5-parts", "sha1-parts", "sha256-parts", "crc32-parts", "crc32c-parts",
]  # fmt: skip

PARTS_SUFFIX: Final = "-parts"
"""Ends the kind of a digest that is that of the digests of an upload's parts."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A published or computed digest.

    Attributes
    ----------
    kind : DigestKind
    value : str
        Lower-case hexadecimal; for ``etag`` the opaque text without quotes, for ``dandi-etag`` and the kinds that end
        in :data:`PARTS_SUFFIX` hexadecimal digits, a dash and the number of parts.
    """

    kind: DigestKind
    value: str


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open byte span of an object: ``start`` inclusive, ``stop`` exclusive."""

    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """Length in bytes."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Tail:
    """The last bytes of an object whose size nobody knows yet; all of a shorter object."""

    size_bytes: int

    def of(self, total_bytes: int) -> Span:
        """Where they lie in an object of so many bytes."""
        return Span(max(0, total_bytes - self.size_bytes), total_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """What a server said that tells one version of an object from another.

    Attributes
    ----------
    etag : str or None
        As sent, with quotes and ``W/`` (RFC 9110, section 8.8.3).
    last_modified : str or None
        As sent (RFC 9110, section 8.8.2).
    generation : str or None
        Google Cloud Storage object generation.
    """

    etag: str | None = None
    last_modified: str | None = None
    generation: str | None = None

    @property
    def strong(self) -> bool:
        """Whether If-Match can guard a range (a strong entity tag, or a generation)."""
        return self.generation is not None or (self.etag is not None and not self.etag.startswith("W/"))

    def same_object(self, other: Validator) -> bool:
        """Whether two answers may speak of the same bytes: the strongest field both have decides."""
        if self.generation is not None and other.generation is not None:
            return self.generation == other.generation
        if self.strong and other.strong:
            return self.etag == other.etag
        if self.last_modified is not None and other.last_modified is not None:
            return self.last_modified == other.last_modified
        return self.etag == other.etag
