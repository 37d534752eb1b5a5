"""Names, validators and digests as bytes: compact, in UTF-8 binary order. So they lie in the ledger and in tasks.

Everything is a BLOB: SQLite sorts BLOBs by ``memcmp``, which is the order object stores list keys in, and names
with NUL or lone surrogates (undecodable file names) need no second form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from urllib.parse import unquote

from emasync.model.digest import Digest, DigestKind, Validator

NO_VALIDATOR = Validator()


def pack_name(text: str) -> bytes:
    """Bytes of a key or destination."""
    return text.encode("utf-8", "surrogatepass")


def unpack_name(data: bytes) -> str:
    """Key or destination back from its bytes."""
    return data.decode("utf-8", "surrogatepass")


def _escape(text: str) -> str:
    if "%" in text or "\n" in text:
        return text.replace("%", "%25").replace("\n", "%0A")
    return text


def _unescape(text: str) -> str:
    return unquote(text, errors="surrogatepass") if "%" in text else text


def pack_validator(validator: Validator) -> bytes | None:
    """One line a field that is there: ``e`` entity tag, ``m`` last modified, ``g`` generation; None for no field."""
    if validator.generation is None:
        return pack_listed(validator.etag, validator.last_modified)
    fields = (("e", validator.etag), ("m", validator.last_modified), ("g", validator.generation))
    return pack_name("\n".join(mark + _escape(text) for mark, text in fields if text is not None))


def pack_listed(etag: str | None, last_modified: str | None) -> bytes | None:
    """What a listing says of an object, as :func:`pack_validator` packs it."""
    if etag is None:
        return None if last_modified is None else pack_name("m" + _escape(last_modified))
    if last_modified is None:
        return pack_name("e" + _escape(etag))
    text = f"e{etag}\nm{last_modified}"
    if "%" in text or text.count("\n") > 1:
        text = f"e{_escape(etag)}\nm{_escape(last_modified)}"
    return text.encode("utf-8", "surrogatepass")


def unpack_validator(data: bytes | None) -> Validator:
    """Validator back from :func:`pack_validator`."""
    if not data:
        return NO_VALIDATOR
    found = {line[0]: _unescape(line[1:]) for line in unpack_name(data).split("\n")}
    return Validator(etag=found.get("e"), last_modified=found.get("m"), generation=found.get("g"))


def pack_digests(digests: Sequence[Digest]) -> bytes | None:
    """One line ``kind:value`` a digest; None for none."""
    if not digests:
        return None
    return pack_name("\n".join(f"{digest.kind}:{_escape(digest.value)}" for digest in digests))


def unpack_digests(data: bytes | None) -> tuple[Digest, ...]:
    """Digests back from :func:`pack_digests`."""
    if not data:
        return ()
    pairs = (line.partition(":") for line in unpack_name(data).split("\n"))
    return tuple(Digest(cast("DigestKind", kind), _unescape(value)) for kind, _, value in pairs)
