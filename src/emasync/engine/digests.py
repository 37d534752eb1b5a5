"""Checking bytes against what was promised, and recording what was found. Runs in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

from typing_extensions import Buffer

from emasync.disk.crc import crc32c_of
from emasync.disk.interface import Sink
from emasync.engine.digest_parts import Cut, SerialParts, dandi_part_bytes
from emasync.engine.digest_states import HASHES, HashState
from emasync.errors import ErrorKind, IntegrityError
from emasync.model.digest import Digest, DigestKind, Validator
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.model.task import Task

Checks = Literal["published", "sha256", "size"]
Verified = Literal["published", "computed", "size_only"]

READ_BYTES = 4 << 20
"""Piece in which files are read back: hops of 1 to 8 MiB are noise beside the hashing."""


_SERIAL = {*HASHES, "dandi-etag"}
"""Kinds of digests that bytes give as they come in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found about an object's bytes.

    Attributes
    ----------
    crc32c : int
    verified : {"published", "computed", "size_only"}
    digests : tuple of Digest
        Computed beyond the CRC.
    """

    crc32c: int
    verified: Verified
    digests: tuple[Digest, ...] = ()


def wanted_hashes(published: Iterable[Digest], checks: Checks) -> tuple[str, ...]:
    """Hash functions that the bytes must run through beside CRC32C (law 11: no more than asked for)."""
    if not published and checks != "sha256":
        return ()
    kinds = {digest.kind for digest in published if digest.kind in _SERIAL} if checks != "size" else set()
    if checks == "sha256":
        kinds.add("sha256")
    return tuple(sorted(kinds - {"crc32c"}))


def check_size(task: Task, total_bytes: int | None) -> None:
    """Compare the size a server states with the size that was planned.

    Raises
    ------
    IntegrityError
        ``size_mismatch``.
    """
    if total_bytes is not None and task.size_bytes is not None and total_bytes != task.size_bytes:
        raise IntegrityError(
            f"{task.location}: {task.size_bytes} bytes were listed or promised, the server now says {total_bytes}. "
            "If the source changed, run again with --refresh (or correct `size` in the manifest)",
            kind=ErrorKind.SIZE_MISMATCH,
            location=redact(task.location),
        )


def promised_digests(published: tuple[Digest, ...], validator: Validator, *, etag_is_md5: bool) -> tuple[Digest, ...]:
    """Published digests plus those the delivering answer carries (`etag_is_md5`: not for a decoded body).

    Notes
    -----
    An S3 ETag of 32 hexadecimal digits is the MD5 of a single-part upload only where the host's policy vouches for
    it (law 3).
    """
    found = list(published)
    if etag_is_md5 and (etag := _plain_md5(validator)):
        found.append(Digest("md5", etag))
    return tuple(dict.fromkeys(found))


def _plain_md5(validator: Validator) -> str | None:
    etag = (validator.etag or "").strip('"').lower()
    return etag if len(etag) == 32 and all(letter in "0123456789abcdef" for letter in etag) else None  # noqa: PLR2004 - MD5


def judge(
    published: tuple[Digest, ...],
    computed: dict[str, str],
    crc32c: int,
    validator: Validator,
    *,
    checks: Checks,
    location: Task | Location | str,
) -> Findings:
    """Compare what was promised with what came.

    Parameters
    ----------
    published : tuple of Digest
    computed : dict of str to str
        Hexadecimal digests by kind.
    crc32c : int
        CRC-32C of the bytes.
    validator : Validator
        Of the delivering answer; a published ``etag`` is compared with it.
    checks : {"published", "sha256", "size"}
    location : Task, Location or str
        For the message; made text only when there is one (law 11).

    Raises
    ------
    IntegrityError
        A published digest differs.
    """
    checked = False
    if published and checks != "size":
        checked = _compare(published, computed, crc32c, validator, location)
    digests = (
        tuple(Digest(cast("DigestKind", kind), value) for kind, value in sorted(computed.items())) if computed else ()
    )
    verified: Verified = "published" if checked else ("size_only" if checks == "size" else "computed")
    return Findings(crc32c=crc32c, verified=verified, digests=digests)


def _compare(
    published: tuple[Digest, ...],
    computed: dict[str, str],
    crc32c: int,
    validator: Validator,
    location: Task | Location | str,
) -> bool:
    """Whether a published digest could be checked; they all agree."""
    have = {**computed, "crc32c": f"{crc32c:08x}", "etag": (validator.etag or "").removeprefix("W/").strip('"')}
    checked = False
    for digest in published:
        if digest.kind not in have:
            continue
        if have[digest.kind].lower() != digest.value.lower():
            where = _named(location)
            raise IntegrityError(
                f"{where}: {digest.kind} is {have[digest.kind]}, published is {digest.value}; the bytes were "
                "dropped. Run again to fetch anew, or correct the digest in the manifest",
                location=where,
            )
        checked = True
    return checked


def hash_state(kind: str, size_bytes: int) -> HashState | SerialParts:
    """A new state of a hash function, for an object of `size_bytes`."""
    if kind == "dandi-etag":
        return SerialParts(Cut("dandi-etag", dandi_part_bytes(size_bytes)))
    return HASHES[kind]()


def hash_pieces(pieces: Iterable[Buffer], kinds: Iterable[str], size_bytes: int = 0) -> tuple[int, dict[str, str]]:
    """Run bytes through CRC32C and the hashes `kinds`.

    Parameters
    ----------
    pieces : iterable of buffer
    kinds : iterable of str
    size_bytes : int
        Of all pieces; asked for by digests of parts.

    Returns
    -------
    tuple of (int, dict of str to str)
        The CRC, and digests by kind.
    """
    crc = 0
    hashes = {kind: hash_state(kind, size_bytes) for kind in kinds}
    for piece in pieces:
        crc = crc32c_of(piece, crc)
        for state in hashes.values():
            state.update(piece)
    return crc, {kind: state.hexdigest() for kind, state in hashes.items()}


def read_pieces(read: Callable[[int, int], bytes], size_bytes: int) -> Iterator[bytes]:
    """Read a file in order through ``read(offset, size_bytes)``, `READ_BYTES` at a time; ends early if it is short."""
    offset = 0
    while offset < size_bytes:
        piece = read(offset, min(READ_BYTES, size_bytes - offset))
        if not piece:
            return
        yield piece
        offset += len(piece)


def confirm(found: Findings, hints: Iterable[Digest], try_out: Callable[[Digest], str | None]) -> Findings:
    """Look whether a hint agrees with bytes that nothing else vouches for; one that does not says nothing.

    Parameters
    ----------
    found : Findings
        Of the bytes.
    hints : iterable of Digest
    try_out : callable
        Gives the digest of the bytes, made as the hint's was, if that can be found out.
    """
    for hint in hints if found.verified == "computed" else ():
        if try_out(hint) == hint.value:
            return replace(found, verified="published", digests=(*found.digests, hint))
    return found


def holds(sink: Sink, destination: str, size_bytes: int | None, crc32c: int | None) -> bool:
    """Whether a final file has this size and CRC-32C (reads it whole)."""
    facts = sink.stat(destination)
    if facts is None or facts.size_bytes != size_bytes:
        return False

    def read(offset: int, count: int) -> bytes:
        return sink.read_final(destination, offset, count)

    return hash_pieces(read_pieces(read, facts.size_bytes), ())[0] == crc32c


def _named(location: Task | Location | str) -> str:
    """For messages."""
    if isinstance(location, str):
        return location
    return redact(location.location if isinstance(location, Task) else location)
