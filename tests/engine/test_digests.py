from __future__ import annotations

import hashlib
import io
import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.disk.crc import crc32c_of
from emasync.engine.digest_parts import Cut, LandingParts, SerialParts, dandi_part_bytes
from emasync.engine.digest_prefix import PrefixHashes
from emasync.engine.digest_states import COMPOSITIONS
from emasync.engine.digests import (
    Checks,
    hash_pieces,
    judge,
    promised_digests,
    read_pieces,
    wanted_hashes,
)
from emasync.errors import ErrorKind, IntegrityError
from emasync.ledger.interface import Part
from emasync.model.digest import Digest, DigestKind, Span, Validator

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


@pytest.mark.parametrize(
    ("size_bytes", "parts", "part_bytes"),
    [
        (3_055_088_659, 46, 67_108_864),
        (671_021_531_136, 9_999, 67_108_864),
        (671_021_531_137, 10_000, 67_102_154),
        (671_088_640_000, 10_000, 67_108_864),
        (671_088_640_001, 10_000, 67_108_865),
        (5_497_558_138_880, 10_000, 549_755_814),
    ],
)
def test_parts_of_a_dandi_etag_grow_from_the_ten_thousandth_on(size_bytes: int, parts: int, part_bytes: int) -> None:
    assert dandi_part_bytes(size_bytes) == part_bytes
    assert -(-size_bytes // part_bytes) == parts


@pytest.mark.parametrize(
    ("data", "etag"),
    [
        (b"", "d41d8cd98f00b204e9800998ecf8427e-0"),
        (b"123", "d022646351048ac0ba397d12dfafa304-1"),
        (b"\0", "7e4696ef25d5faececd853ce5e2a233b-1"),
        (bytes(64 << 20), "a78211a9709e5a28de9e2fd6eda275f2-1"),
        (bytes((64 << 20) + 1), "d4b4f6056a5f5a23cda477d1895a2bbd-2"),
    ],
)
def test_dandi_etags_are_those_of_the_archive(data: bytes, etag: str) -> None:
    view = memoryview(data)
    pieces = [view[start : start + 5_000_001] for start in range(0, len(data), 5_000_001)]
    assert hash_pieces(pieces, ("dandi-etag",), len(data))[1] == {"dandi-etag": etag}


@given(
    kind=st.sampled_from(("dandi-etag", "md5-parts", "crc32c-parts", "crc32", "crc64nvme")),
    data=st.binary(max_size=200),
    part_bytes=st.integers(1, 60),
    cuts=st.sets(st.integers(1, 199), max_size=20),
    order=st.randoms(use_true_random=False),
    earlier=st.integers(0, 20),
)
def test_parts_that_land_in_any_order_compose(  # noqa: PLR0917 - hypothesis passes them by name
    kind: DigestKind, data: bytes, part_bytes: int, cuts: set[int], order: Random, earlier: int
) -> None:
    cut = Cut(kind, part_bytes)
    serial = SerialParts(cut)
    serial.update(data)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    landed = [Span(start, stop) for start, stop in itertools.pairwise(bounds) if start < stop]
    order.shuffle(landed)
    upload, read = LandingParts(len(data), cut), []

    def reader(offset: int, count: int) -> bytes:
        read.append(offset)
        return data[offset : offset + count]

    for number, span in enumerate(landed):
        for part in upload.add(span):
            if number >= earlier:
                upload.hash(part, reader)
    assert upload.hexdigest(reader) == serial.hexdigest()
    assert len(read) == len(set(read)) == -(-len(data) // part_bytes), "every part is read once"
    if kind in COMPOSITIONS:
        assert serial.hexdigest() == hash_pieces([data], (kind,))[1][kind], "however it is cut"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("crc32", "cbf43926"), ("crc64nvme", "ae8b14860a799888"), ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441")],
)
def test_check_values_of_the_catalogues(kind: str, value: str) -> None:
    # the catalogue of parametrised CRC algorithms gives the CRC of these nine digits for each
    assert hash_pieces([b"1234", bytearray(b"56789")], (kind,))[1] == {kind: value}


def test_a_prefix_goes_as_far_as_there_is_no_gap() -> None:
    data = bytes(range(256)) * 8
    reads: list[tuple[int, int]] = []

    def read(offset: int, size_bytes: int) -> bytes:
        reads.append((offset, size_bytes))
        return data[offset : offset + size_bytes]

    prefix = PrefixHashes(["md5", "sha256"], len(data))
    done = {start: Part(start=start, stop=start + 500, crc32c=0, epoch=0) for start in (0, 1000)}
    assert prefix.landed(done) == 500
    prefix.run(read, 500)
    done[500] = Part(start=500, stop=1000, crc32c=0, epoch=0)
    assert prefix.landed(done) == 1500
    prefix.run(read, 1500)
    assert prefix.reached == 1500
    expected = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}  # noqa: S324 - what is published
    assert prefix.hexdigests(read) == expected
    assert reads == [(0, 500), (500, 1000), (1500, 548)], "each byte once"
