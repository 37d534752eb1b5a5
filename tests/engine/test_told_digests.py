"""Digests that answers carry: which bind, which are hints, and how uploads in parts are recognised."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Mapping
from typing import cast

import pytest
from awscrt.checksums import crc64nvme
from tests.engine.desk import BASE, PART, Desk, Meddled

from emasync.engine.digest_parts import Cut, SerialParts
from emasync.engine.digest_told import Told, told_digests
from emasync.engine.digests import hash_pieces
from emasync.engine.upload_cuts import MIB, MOST_CUTS, possible_cuts
from emasync.errors import InputError, RefusedError, TransientError
from emasync.model.digest import Digest, DigestKind, Span, Validator
from emasync.model.location import Location
from emasync.model.task import ObjectEntry, State
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Head, Receiver

SHA = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
SHA_HEX = hashlib.sha256(b"x").hexdigest()
TAG = "9b2cf535f27731c974343645a3985328"


def head(
    headers: Mapping[str, str], *, status: int = 206, etag: str | None = None, encoding: str | None = None
) -> Head:
    return Head(
        status=status,
        start=0,
        stop=9,
        total_bytes=9,
        headers=headers,
        content_encoding=encoding,
        validator=Validator(etag=etag),
    )


@pytest.mark.parametrize(
    ("headers", "encoding", "expected"),
    [
        ({"x-goog-hash": "crc32c=n03x6A==, md5=Ojk9c3dhfxgoKVVHYwFbHQ=="}, None, (Digest("crc32c", "9f4df1e8"),)),
        ({"x-goog-hash": "md5=Ojk9c3dhfxgoKVVHYwFbHQ==,crc32c=AAAAAA=="}, None, (Digest("crc32c", "00000000"),)),
        ({"x-goog-hash": "crc32c=n03x6A==", "x-goog-stored-content-encoding": "gzip"}, None, ()),
        ({"x-goog-hash": "crc32c=n03x6A=="}, "gzip", ()),
        ({"x-goog-hash": "crc32c=n03x"}, None, ()),
        ({"x-goog-hash": "crc32c=?"}, None, ()),
        ({}, None, ()),
    ],
)
def test_google_tells_a_crc_of_what_it_stores(
    headers: dict[str, str], encoding: str | None, expected: tuple[Digest, ...]
) -> None:
    assert told_digests(head(headers, encoding=encoding), etag_is_md5=False) == Told(expected)


@pytest.mark.parametrize(
    ("status", "field", "value", "expected"),
    [
        (200, "crc64nvme", "rosUhgp5mIg=", Told((Digest("crc64nvme", "ae8b14860a799888"),))),
        (200, "crc32", "y/Q5Jg==", Told((Digest("crc32", "cbf43926"),))),
        (200, "sha256", SHA, Told((Digest("sha256", SHA_HEX),))),
        (200, "sha256", f"{SHA}-3", Told(hints=(Digest("sha256-parts", f"{SHA_HEX}-3"),))),
        (206, "sha256", f"{SHA}-3", Told(hints=(Digest("sha256-parts", f"{SHA_HEX}-3"),))),
        (206, "crc64nvme", "rosUhgp5mIg=", Told(hints=(Digest("crc64nvme", "ae8b14860a799888"),))),
        (206, "sha256", SHA, Told()),  # of a part: there is no telling
        (200, "crc32", "y/Q5", Told()),
        (200, "crc32", "y/Q5Jg==-0", Told()),
        (200, "sha512", SHA, Told()),
    ],
)
def test_amazon_binds_where_the_whole_object_came(status: int, field: str, value: str, expected: Told) -> None:
    assert told_digests(head({f"x-amz-checksum-{field}": value}, status=status), etag_is_md5=False) == expected


def test_of_several_the_strongest_counts() -> None:
    headers = {"x-amz-checksum-crc32": "y/Q5Jg==", "x-amz-checksum-sha256": SHA, "x-amz-checksum-crc32c": "AAAAAA=="}
    told = told_digests(head(headers, status=200), etag_is_md5=False)
    assert told.binding == (Digest("sha256", SHA_HEX),)


@pytest.mark.parametrize(
    ("etag", "vouched", "expected"),
    [
        (f'"{TAG}-12"', True, (Digest("md5-parts", f"{TAG}-12"),)),
        (f'"{TAG.upper()}-12"', True, (Digest("md5-parts", f"{TAG}-12"),)),
        (f'"{TAG}-12"', False, ()),
        (f'W/"{TAG}-12"', True, ()),
        (f'"{TAG}-0"', True, ()),
        (f'"{TAG}"', True, ()),
    ],
)
def test_tags_of_uploads_in_parts_are_hints_where_the_policy_says_md5(
    etag: str, vouched: bool, expected: tuple[Digest, ...]
) -> None:
    assert told_digests(head({}, etag=etag), etag_is_md5=vouched) == Told(hints=expected)


def test_without_the_library_that_crc_is_not_looked_at_and_asking_for_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    headers = {"x-amz-checksum-crc64nvme": "rosUhgp5mIg=", "x-amz-checksum-crc32": "y/Q5Jg=="}
    told = told_digests(head(headers, status=200), etag_is_md5=False)
    assert told.binding == (Digest("crc32", "cbf43926"),)
    with pytest.raises(InputError, match=r"emasync\[crc64\]"):
        SerialParts(Cut("crc64nvme", 5))


# --- cuts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size_bytes", "part_bytes"),
    [
        (3 * 8 * MIB + 1, 8 * MIB),
        (100 * 8 * MIB, 8 * MIB),
        (41 * 64 * MIB + 5, 64 * MIB),
        (9_999 * 17 * MIB + 1, 17 * MIB),  # unusual, and the only whole MiB that makes so many parts
        (1_200_000_000, 17_179_870),
        (300 * MIB + 7, 300 * MIB + 7),
        (1_000_003, 333_335),  # three equal parts
    ],
)
def test_a_cut_is_found_from_size_and_count(size_bytes: int, part_bytes: int) -> None:
    digest = Digest("md5-parts", f"{TAG}-{-(-size_bytes // part_bytes)}")
    cuts = possible_cuts(digest, size_bytes)
    assert Cut("md5-parts", part_bytes) in cuts
    assert len(cuts) <= MOST_CUTS
    assert all(-(-size_bytes // cut.part_bytes) == -(-size_bytes // part_bytes) for cut in cuts)


def test_what_the_same_uploader_did_before_comes_first() -> None:
    digest = Digest("md5-parts", f"{TAG}-3")
    size_bytes = 2 * 61 * MIB + 9
    assert possible_cuts(digest, size_bytes)[0].part_bytes == 50 * MIB
    assert possible_cuts(digest, size_bytes, 61 * MIB)[0].part_bytes == 61 * MIB
    assert possible_cuts(digest, size_bytes, 10 * MIB)[0].part_bytes == 50 * MIB, "it makes another number of parts"


@pytest.mark.parametrize(("size_bytes", "count"), [(0, 1), (5, 6)])
def test_numbers_that_cannot_be_give_no_cut(size_bytes: int, count: int) -> None:
    assert possible_cuts(Digest("md5-parts", f"{TAG}-{count}"), size_bytes) == ()


# --- through the engine -------------------------------------------------------------------------------------------


def uploaded_tag(data: bytes, part_bytes: int) -> str:
    serial = SerialParts(Cut("md5-parts", part_bytes))
    serial.update(data)
    return serial.hexdigest()


async def verdicts(desk: Desk) -> dict[str, tuple[str, tuple[Digest, ...]]]:
    async with desk.ledger() as ledger:
        placed = ledger.rows(dataset="d", state=State.PLACED)
        return {str(row.key): (str(row.verified), row.computed) async for row in placed}


@pytest.fixture
def data() -> bytes:
    return bytes(range(251)) * 41


async def test_an_upload_in_parts_is_checked_by_its_tag(desk: Desk, data: bytes) -> None:
    desk.policy(etag_is_md5=True)
    tag = uploaded_tag(data, -(-len(data) // 3))
    desk.fetcher.put(f"{BASE}/a", data, tag=tag)
    desk.fetcher.put(f"{BASE}/b", data, tag=tag.replace(tag[0], "0" if tag[0] != "0" else "1", 1))
    await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data)) for key in "ab"))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (2, 0)
    found = await verdicts(desk)
    assert found["a"] == ("published", (Digest("md5-parts", tag),))
    assert found["b"] == ("computed", ()), "nobody tells how it was cut: no proof of damage"
    assert len(desk.fetcher.log) == 2 * -(-len(data) // PART)


async def test_an_upload_that_was_parked_is_checked_without_fetching_again(desk: Desk, data: bytes) -> None:
    desk.policy(etag_is_md5=True, max_connections=1)
    tag = uploaded_tag(data, -(-len(data) // 3))

    async def fail_late(_receiver: Receiver, span: Span | None) -> Span | None:
        if span is not None and span.start == 2 * PART:
            raise TransientError("the line is cut", location=f"{BASE}/a")
        return span

    whole, desk.fetcher = desk.fetcher, Meddled({}, fail_late)
    for fetcher in (whole, desk.fetcher):
        fetcher.put(f"{BASE}/a", data, tag=tag)
    await desk.plan(ObjectEntry(key="a", size_bytes=len(data)))
    assert (await desk.run()).failed == 1
    desk.fetcher = whole
    assert (await desk.run()).placed == 1

    assert (await verdicts(desk))["a"] == ("published", (Digest("md5-parts", tag),))
    assert desk.asked() == [("a", 2 * PART)]


async def test_a_checksum_of_amazon_of_a_range_is_believed_when_it_agrees_only(desk: Desk, data: bytes) -> None:
    whole = base64.b64encode(crc64nvme(data).to_bytes(8, "big")).decode()
    of_first_part = base64.b64encode(crc64nvme(data[:PART]).to_bytes(8, "big")).decode()
    desk.fetcher.put(f"{BASE}/a", data, told={"x-amz-checksum-crc64nvme": whole})
    desk.fetcher.put(f"{BASE}/b", data, told={"x-amz-checksum-crc64nvme": of_first_part})
    await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data)) for key in "ab"))

    assert (await desk.run()).placed == 2

    found = await verdicts(desk)
    assert found["a"] == ("published", (Digest("crc64nvme", f"{crc64nvme(data):016x}"),))
    assert found["b"] == ("computed", ())


@pytest.mark.parametrize("kind", ["crc32", "crc64nvme", "sha1"])
async def test_a_published_digest_that_differs_refuses_the_bytes(desk: Desk, data: bytes, kind: DigestKind) -> None:
    right = hash_pieces([data], (kind,))[1][kind]
    desk.put({"a": data, "b": data})
    entries = [(key, Digest(kind, value)) for key, value in (("a", right), ("b", right[::-1]))]
    await desk.plan(*(ObjectEntry(key=key, size_bytes=len(data), digests=(digest,)) for key, digest in entries))

    outcome = await desk.run()

    assert (outcome.placed, outcome.failed) == (1, 1)
    assert await desk.kinds() == ["checksum_mismatch"]
    assert (await verdicts(desk))["a"] == ("published", (Digest(kind, right),))


@pytest.mark.parametrize("right", [True, False])
async def test_what_is_told_of_a_small_object_binds(desk: Desk, right: bool) -> None:
    told = base64.b64encode(hashlib.sha256(b"small" if right else b"other").digest()).decode()
    desk.fetcher.put(f"{BASE}/a", b"small", told={"x-amz-checksum-sha256": told})
    await desk.plan(ObjectEntry(key="a", size_bytes=5))

    await desk.run()

    assert await desk.kinds() == ([] if right else ["checksum_mismatch"])
    assert [verified for verified, _ in (await verdicts(desk)).values()] == (["published"] if right else [])


# --- what a store says of the whole, when it is asked -----------------------------------------------------------------


def stated(kind: str, data: bytes) -> dict[str, str]:
    value = base64.b64encode(bytes.fromhex(hash_pieces([data], (kind,))[1][kind])).decode()
    return {f"x-amz-checksum-{kind}": value, "x-amz-checksum-type": "FULL_OBJECT"}


def asked_for_checksums(desk: Desk) -> list[str]:
    return [call.location.removeprefix(f"{BASE}/") for call in desk.fetcher.log if call.verb == "checksums"]


@pytest.mark.parametrize("kind", ["crc32", "crc64nvme"])
async def test_a_store_is_asked_once_for_the_checksum_of_the_whole(desk: Desk, data: bytes, kind: str) -> None:
    desk.fetcher.put(f"{BASE}/a", data, stated=stated(kind, data))
    desk.fetcher.put(f"{BASE}/b", data, stated=stated(kind, data[::-1]))
    desk.fetcher.put(f"{BASE}/small", b"x", stated=stated(kind, b"x"))
    sizes = {"a": len(data), "b": len(data), "small": 1}
    await desk.plan(*(ObjectEntry(key=key, size_bytes=size) for key, size in sizes.items()))

    outcome = await desk.run()

    found = await verdicts(desk)
    assert found["a"] == ("published", (Digest(cast("DigestKind", kind), hash_pieces([data], (kind,))[1][kind]),))
    assert found["small"] == ("computed", ())
    assert (outcome.placed, outcome.failed) == (2, 1)
    assert await desk.kinds() == ["checksum_mismatch"]
    assert asked_for_checksums(desk).count("a") == 1
    assert "small" not in asked_for_checksums(desk)


async def test_a_crc_that_is_kept_of_each_part_needs_no_hashing(desk: Desk, data: bytes) -> None:
    crc32c = base64.b64encode(hash_pieces([data], ())[0].to_bytes(4, "big")).decode()
    desk.fetcher.put(f"{BASE}/a", data, stated={"x-amz-checksum-crc32c": crc32c})
    await desk.plan(ObjectEntry(key="a", size_bytes=len(data)))
    assert (await desk.run()).placed == 1
    assert (await verdicts(desk))["a"] == ("published", ())


async def test_nothing_is_asked_where_a_digest_is_published(desk: Desk, data: bytes) -> None:
    md5 = Digest("md5", hashlib.md5(data, usedforsecurity=False).hexdigest())
    desk.fetcher.put(f"{BASE}/a", data, stated=stated("crc32", data))
    await desk.plan(ObjectEntry(key="a", size_bytes=len(data), digests=(md5,)))
    assert (await desk.run()).placed == 1
    assert asked_for_checksums(desk) == []


async def test_a_store_that_does_not_answer_costs_no_object(desk: Desk, data: bytes) -> None:
    desk.fetcher = Speechless(block_bytes=1 << 10)
    desk.fetcher.put(f"{BASE}/a", data, stated=stated("crc32", data))
    await desk.plan(ObjectEntry(key="a", size_bytes=len(data)))
    assert (await desk.run()).placed == 1
    assert (await verdicts(desk))["a"] == ("computed", ())


class Speechless(MemoryFetcher):
    """Knows no HEAD."""

    async def checksums(self, location: Location, *, size_bytes: int, validator: Validator | None) -> Head | None:
        raise RefusedError(f"{location}: 405 for {size_bytes} bytes under {validator}")


def test_a_checksum_of_checksums_does_not_bind() -> None:
    headers = {"x-amz-checksum-crc32c": "y/Q5Jg==", "x-amz-checksum-type": "COMPOSITE"}
    assert told_digests(head(headers, status=200), etag_is_md5=False) == Told()
