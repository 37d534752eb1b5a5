"""Digests that answers carry in their header fields, and how far each can be believed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from emasync.engine.digest_states import COMPOSITIONS, can_hash
from emasync.model.digest import PARTS_SUFFIX, Digest, DigestKind
from emasync.transport.interface import Head

_AMAZON: Final = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
"""``x-amz-checksum-*`` fields, the strongest last, and the bytes of each (S3 API reference, GetObject, "Response
Elements")."""

_COMPOSITE: Final = re.compile(r"([A-Za-z0-9+/]+=*)(?:-([1-9][0-9]{0,4}))?")
_UPLOAD_TAG: Final = re.compile(r'"?([0-9a-fA-F]{32})-([1-9][0-9]{0,4})"?')


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of the object's bytes.

    Attributes
    ----------
    binding : tuple of Digest
        Of the whole object as stored: bytes with another digest are wrong.
    hints : tuple of Digest
        May be of the whole object, or of a part of it, or cut in a way nobody tells: bytes that agree are right,
        others may be so.
    """

    binding: tuple[Digest, ...] = ()
    hints: tuple[Digest, ...] = ()


def told_digests(head: Head, *, etag_is_md5: bool) -> Told:
    """Digests that a first answer carries.

    Parameters
    ----------
    head : Head
    etag_is_md5 : bool
        What the host's policy says (law 3).

    Notes
    -----
    ``x-goog-hash`` comes with every answer and is of the whole object as it is stored (Cloud Storage XML API
    reference). ``x-amz-checksum-*`` of a 200 is of the whole object; of a range S3 tells a part's, or that of the
    parts' without their number (botocore issue 3346): never binding. A body that was decoded on its way is another
    one.
    """
    stored = head.headers.get("x-goog-stored-content-encoding", "identity")
    if head.content_encoding is not None or stored != "identity":
        return Told()
    upload = _upload_tag(head.validator.etag or "") if etag_is_md5 else ()
    google = _google(head.headers.get("x-goog-hash", ""))
    amazon = _amazon(head.headers)
    if head.status != 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1: the whole object
        return Told(google, (*(digest for digest in amazon if _composes(digest)), *upload))
    cut = tuple(digest for digest in amazon if digest.kind.endswith(PARTS_SUFFIX))
    return Told((*google, *(digest for digest in amazon if digest not in cut)), (*cut, *upload))


def _composes(digest: Digest) -> bool:
    return digest.kind in COMPOSITIONS or digest.kind.endswith(PARTS_SUFFIX)


def _google(text: str) -> tuple[Digest, ...]:
    """The CRC of ``x-goog-hash``: it composes, so that it costs nothing."""
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        if name == "crc32c":
            data = _decoded(value, 4)
            return () if data is None else (Digest("crc32c", data.hex()),)
    return ()


def _amazon(headers: Mapping[str, str]) -> tuple[Digest, ...]:
    """The strongest checksum; with ``-N`` behind it, that of the checksums of N parts."""
    for name, size_bytes in reversed(_AMAZON.items()):
        match = _COMPOSITE.fullmatch(headers.get(f"x-amz-checksum-{name}", ""))
        data = _decoded(match[1], size_bytes) if match else None
        if match is None or data is None or not can_hash(name):
            continue
        if match[2] is None and headers.get("x-amz-checksum-type") != "COMPOSITE":
            return (Digest(cast("DigestKind", name), data.hex()),)
        if match[2] is None:  # of the checksums of parts, and it does not say of how many
            continue
        return (Digest(cast("DigestKind", name + PARTS_SUFFIX), f"{data.hex()}-{match[2]}"),)
    return ()


def _upload_tag(etag: str) -> tuple[Digest, ...]:
    """The entity tag of an upload in parts: MD5 of the parts' MD5s, a dash, their number."""
    match = _UPLOAD_TAG.fullmatch(etag)
    return (Digest("md5-parts", f"{match[1].lower()}-{match[2]}"),) if match else ()


def _decoded(text: str, size_bytes: int) -> bytes | None:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return data if len(data) == size_bytes else None
