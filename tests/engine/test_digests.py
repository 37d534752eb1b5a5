from __future__ import annotations

import hashlib
import io

import pytest

from emasync.disk.crc import crc32c_of
from emasync.engine.digests import (
    Checks,
    hash_pieces,
    judge,
    promised_digests,
    read_pieces,
    wanted_hashes,
)
from emasync.errors import ErrorKind, IntegrityError
from emasync.model.digest import Digest, Validator

BODY = b"emasync" * 1000
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
URL = "https://example.org/x"


@pytest.mark.parametrize(
    ("published", "checks", "expected"),
    [
        ((), "published", ()),
        ((Digest("md5", "0"), Digest("crc32c", "0"), Digest("etag", "x")), "published", ("md5",)),
        ((Digest("md5", "0"),), "sha256", ("md5", "sha256")),
        ((Digest("md5", "0"),), "size", ()),
    ],
)
def test_only_what_is_asked_for_is_hashed(
    published: tuple[Digest, ...], checks: Checks, expected: tuple[str, ...]
) -> None:
    assert wanted_hashes(published, checks) == expected


def test_pieces_hash_as_the_whole() -> None:
    crc, computed = hash_pieces([BODY[:10], memoryview(BODY)[10:]], ("md5", "sha1", "sha256"))

    assert crc == crc32c_of(BODY)
    assert computed == {
        "md5": MD5,
        "sha1": hashlib.sha1(BODY, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(BODY).hexdigest(),
    }


def test_a_published_digest_that_fits_counts_as_published() -> None:
    findings = judge((Digest("md5", MD5.upper()),), {"md5": MD5}, 7, Validator(), checks="published", location=URL)

    assert findings.verified == "published"
    assert findings.digests == (Digest("md5", MD5),)


@pytest.mark.parametrize(
    "published", [Digest("md5", "0" * 32), Digest("crc32c", "00000000"), Digest("etag", "another")]
)
def test_a_published_digest_that_differs_is_an_error_that_names_both(published: Digest) -> None:
    with pytest.raises(IntegrityError, match="published is") as caught:
        judge((published,), {"md5": MD5}, 7, Validator(etag='"one"'), checks="published", location=URL)

    assert caught.value.kind is ErrorKind.CHECKSUM_MISMATCH
    assert published.value in caught.value.message
    assert URL in caught.value.message


def test_without_digests_the_crc_is_what_was_computed() -> None:
    assert judge((), {}, 7, Validator(), checks="published", location=URL).verified == "computed"
    assert judge((Digest("md5", "0"),), {}, 7, Validator(), checks="size", location=URL).verified == "size_only"


@pytest.mark.parametrize(
    ("etag", "trusted", "expected"),
    [
        (f'"{MD5}"', True, (Digest("md5", MD5),)),
        (f'"{MD5}"', False, ()),
        (f'"{MD5}-3"', True, ()),
        ('"' + "g" * 32 + '"', True, ()),
        (None, True, ()),
    ],
)
def test_an_etag_is_an_md5_only_where_the_policy_says_so(
    etag: str | None, trusted: bool, expected: tuple[Digest, ...]
) -> None:
    assert promised_digests((), Validator(etag=etag), etag_is_md5=trusted) == expected


def test_files_are_read_in_order_and_a_short_one_ends_early() -> None:
    file = io.BytesIO(BODY)

    def read(offset: int, size: int) -> bytes:
        file.seek(offset)
        return file.read(size)

    assert b"".join(read_pieces(read, len(BODY))) == BODY
    assert b"".join(read_pieces(read, len(BODY) + 5)) == BODY
