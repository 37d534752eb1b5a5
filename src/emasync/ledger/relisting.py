"""An object that is listed again: whether it is still the same, and what is known of it then. Pure."""

from __future__ import annotations

from emasync.ledger.standing import ON_DISK, Standing
from emasync.model.packing import unpack_digests, unpack_validator


def is_another(known: Standing, new: Standing) -> bool:
    """Whether two listings speak of different objects under one name."""
    if known.size is not None and new.size is not None and known.size != new.size:
        return True
    if known.hint and new.hint and not unpack_validator(known.hint).same_object(unpack_validator(new.hint)):
        return True
    before = {digest.kind: digest.value for digest in unpack_digests(known.published)}
    return any(before.get(digest.kind, digest.value) != digest.value for digest in unpack_digests(new.published))


def as_delivered(known: Standing, new: Standing, *, encoded: bool) -> Standing:
    """What is known of an object on disk that no listing described, so that it can be compared with `new`.

    Listings and answers speak of one object in different words (dates of ISO 8601 and of RFC 9110, tags of another
    API), so a delivered validator is held only against that of another answer: keys of `encoded` sets are URLs, which
    are asked and not listed, and answers have dates in GMT.
    """
    if known.hint is not None or not new.hint:
        return known
    date = unpack_validator(new.hint).last_modified or ""
    if not (encoded or date.endswith("GMT")):
        return known
    return known._replace(size=known.size_bytes, hint=known.validator or None)


def merged(known: Standing, new: Standing) -> Standing:
    """What is known of an object, under the plan and the listing that name it now."""
    size = known.size if new.size is None else new.size
    hint = known.hint if new.hint is None else new.hint
    again = known._replace(plan=new.plan, size=size, hint=hint, published=new.published or known.published)
    if known.state not in ON_DISK:
        return again
    delivered = known.delivered or None
    return again._replace(
        stored=None if known.size_bytes == size else known.size_bytes,
        validator=None if delivered == hint else delivered or b"",
    )
