"""The pure rules: ranges, patience, redaction, mirrors, redirects, addresses."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.errors import InputError, RefusedError
from emasync.model.location import Location
from emasync.model.redaction import is_presigned, redact
from emasync.transport.mirrors import Mirrors
from emasync.transport.patience import MAX_DELAY_S, backoff_s, rate_hold_s, retry_after_s
from emasync.transport.ranges import ContentRange, ask, parse_content_range, parse_length, parse_unsatisfied
from emasync.transport.redirects import MAX_REDIRECTS, Trail, is_private

NOW_S = 1_763_717_400.0


@given(st.integers(0, 2**62), st.integers(1, 2**61), st.integers(0, 2**61))
def test_content_range_is_read_as_written(start: int, size: int, more: int) -> None:
    text = f"bytes {start}-{start + size - 1}/{start + size + more}"
    assert parse_content_range(text) == ContentRange(start, start + size, start + size + more)
    assert ask(start, start + size) == f"bytes={start}-{start + size - 1}"


@pytest.mark.parametrize(
    "text",
    [None, "", "bytes 5-4/10", "bytes 0-10/10", "bytes */10", "0-5/10", "bytes 0-5", "bytes -5/10", "bytes 0-5/x",
     "items 0-5/10", "bytes 0-" + "9" * 30 + "/*"],
)  # fmt: skip
def test_senseless_content_ranges_are_none(text: str | None) -> None:
    assert parse_content_range(text) is None


def test_open_ends() -> None:
    assert ask(7, None) == "bytes=7-"
    assert parse_content_range("bytes 0-5/*") == ContentRange(0, 6, None)
    assert (parse_unsatisfied("bytes */123"), parse_unsatisfied("bytes 0-5/123"), parse_unsatisfied(None)) == (
        123,
        None,
        None,
    )
    assert [parse_length(text) for text in ("12", " 0 ", "-1", "1e3", "", None, "²")] == [12, 0] + [None] * 5


def test_back_off_grows_to_its_cap_with_full_jitter() -> None:
    rng = random.Random(1)
    for failures, ceiling_s in ((1, 0.5), (2, 1.0), (5, 8.0), (8, MAX_DELAY_S), (1000, MAX_DELAY_S)):
        delays = [backoff_s(failures, rng) for _ in range(500)]
        assert 0 <= min(delays) < 0.05 * ceiling_s
        assert 0.95 * ceiling_s < max(delays) <= ceiling_s


@pytest.mark.parametrize(
    ("text", "delay_s"),
    [("7", 7.0), ("0", 0.0), ("100000", 300.0), ("Fri, 21 Nov 2025 09:30:30 GMT", 30.0),
     ("Fri, 21 Nov 2025 09:00:00 GMT", 0.0), ("soon", None), ("", None), ("-5", None), ("1" * 400, None)],
)  # fmt: skip
def test_retry_after(text: str, delay_s: float | None) -> None:
    assert retry_after_s({"retry-after": text}, NOW_S) == delay_s


@pytest.mark.parametrize(
    ("headers", "hold_s"),
    [({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
     ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW_S + 40)}, 40.0),
     ({"ratelimit-remaining": "3", "ratelimit-reset": "12"}, None), ({"ratelimit-remaining": "0"}, None), ({}, None)],
)  # fmt: skip
def test_rate_headers(headers: dict[str, str], hold_s: float | None) -> None:
    assert rate_hold_s(headers, NOW_S) == hold_s


@pytest.mark.parametrize(
    "query",
    ["X-Amz-Signature=abc", "a=1&X-Amz-Credential=b", "Signature=x&Expires=1", "token=1", "access_token=1",
     "sig=a", "X-Goog-Signature=a"],
)  # fmt: skip
def test_queries_that_grant_access_are_never_shown(query: str) -> None:
    location = Location.parse(f"https://h.example/x?{query}")
    assert is_presigned(location.query)
    assert redact(location) == "https://h.example/x?(query left out)"


def test_other_queries_are_shown() -> None:
    location = Location.parse("https://h.example/x?page=2&format=json")
    assert redact(location) == str(location)


MIRRORS = {
    "s3://lab": "http://mirror.example/lab",
    "s3://lab/deep": "s3://other/copy",
    "gs://big": "file:///mnt/big",
    "https://ftp.ebi.ac.uk": "file:///mnt/ebi",
    "https://ftp.ebi.ac.uk/pub/databases": "https://m.example/db/",
}


@pytest.mark.parametrize(
    ("canonical", "asked"),
    [
        ("s3://lab/a b/c", "http://mirror.example/lab/a%20b/c"),
        ("https://lab.s3.us-west-2.amazonaws.com/a%20b/c", "http://mirror.example/lab/a%20b/c"),
        ("https://s3.amazonaws.com/lab/c", "http://mirror.example/lab/c"),
        ("s3://lab/deep/x", "s3://other/copy/x"),
        ("s3://lab/deeper/x", "http://mirror.example/lab/deeper/x"),
        ("s3://labs/x", "s3://labs/x"),
        ("gs://big/v1.2/info", "file:///mnt/big/v1.2/info"),
        ("https://storage.googleapis.com/big/info", "file:///mnt/big/info"),
        ("https://ftp.ebi.ac.uk/x%20y/z", "file:///mnt/ebi/x%20y/z"),
        ("https://ftp.ebi.ac.uk/pub/databases/e%2Fm?v=1", "https://m.example/db/e%2Fm?v=1"),
        ("https://ftp.ebi.ac.uk/pub/databases", "https://m.example/db/"),
        ("https://ftp.ebi.ac.uk.example.org/x", "https://ftp.ebi.ac.uk.example.org/x"),
        ("http://ftp.ebi.ac.uk/x", "http://ftp.ebi.ac.uk/x"),
    ],
)
def test_mirrors_by_longest_prefix(canonical: str, asked: str) -> None:
    route = Mirrors(MIRRORS).route(Location.parse(canonical))
    assert str(route.asked) == asked
    assert str(route) == (canonical if route.mirror is None else f"{canonical} (mirror {asked})")


@pytest.mark.parametrize("key", ["../etc/passwd", "a/../../b", "/etc/passwd", "a/./b", "a\0b"])
def test_keys_do_not_leave_a_mirrors_folder(key: str) -> None:
    with pytest.raises(RefusedError, match="leave the mirror's folder"):
        Mirrors(MIRRORS).route(Location("gs", "big", key))
    with pytest.raises(RefusedError, match="leave the mirror's folder"):
        Mirrors(MIRRORS).route(
            Location("https", "ftp.ebi.ac.uk", "/" + key.replace("..", "%2E%2E").replace(".", "%2E"))
        )


def test_mirrors_show_what_they_hold() -> None:
    assert repr(Mirrors({})) == "<Mirrors none>"
    assert "s3://lab/ -> http://mirror.example/lab" in repr(Mirrors(MIRRORS))
    with pytest.raises(InputError):
        Mirrors({"nowhere": "http://x"})


def test_redirects_are_followed_relative_to_the_last_place() -> None:
    trail = Trail("x", Location.parse("https://a.example/one?q=1"))
    assert str(trail.follow("two/three?s=%2F")) == "https://a.example/two/three?s=%2F"
    assert str(trail.follow("//b.example/four")) == "https://b.example/four"
    assert trail.start.authority == "a.example"


@pytest.mark.parametrize(
    ("target", "says"),
    [(None, "without a target"), ("", "without a target"), ("http://a.example/x", "give up encryption"),
     ("https://a.example/one", "circle"), ("ftp://a.example/x", "no http"), ("s3://bucket/key", "s3://"),
     ("https://u:p@a.example/", "no http"), ("https://[::1", "no http"), ("javascript:alert(1)", "no http")],
)  # fmt: skip
def test_redirects_that_are_refused(target: str | None, says: str) -> None:
    trail = Trail("the object", Location.parse("https://a.example/one"))
    with pytest.raises(RefusedError, match=says) as caught:
        trail.follow(target)
    assert caught.value.message.startswith("the object: ")


def test_redirects_come_to_an_end() -> None:
    trail = Trail("x", Location.parse("https://a.example/0"))
    for number in range(1, MAX_REDIRECTS + 1):
        trail.follow(f"/{number}")
    with pytest.raises(RefusedError, match="more than 10"):
        trail.follow("/11")


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True), ("169.254.169.254", True), ("::1", True),
     ("::ffff:10.0.0.1", True), ("fe80::1%eth0", True), ("localhost", True), ("x.localhost.", True), ("0.0.0.0", True),  # noqa: S104 - nothing is bound
     ("8.8.8.8", False), ("2600::", False), ("::ffff:8.8.8.8", False), ("example.org", None)],
)  # fmt: skip
def test_addresses_inside(host: str, inside: bool | None) -> None:
    assert is_private(host) is inside
