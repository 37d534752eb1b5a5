"""Each fault is what a client sees, as often as it was arranged, and nothing else changes."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import socket
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from emasync.errors import InputError
from emasync.testing import Archive, Fault, load_faults

Start = Callable[..., Archive]
DATA = bytes(range(256)) * 40
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'  # noqa: S324  # the tag S3 gives


class Client:
    """One connection at a time; gives status, headers, body, and what ended it."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._connection = http.client.HTTPConnection("127.0.0.1", archive.port, timeout=20)

    def __call__(self, target: str = "/b/k", method: str = "GET", **headers: str) -> tuple[int, Any, bytes, str]:
        self._connection.close()
        self._connection.request(method, target, headers={key.replace("_", "-"): text for key, text in headers.items()})
        answer = self._connection.getresponse()
        data = b""
        try:
            while part := answer.read1(1000):
                data += part
        except ConnectionResetError:
            return answer.status, answer.headers, data, "reset"
        except TimeoutError:
            return answer.status, answer.headers, data, "stall"
        return answer.status, answer.headers, data, "whole" if answer.length in (0, None) else "short"

    def set_timeout(self, timeout_s: float) -> None:
        self._connection.timeout = timeout_s

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def bad(archive: Start) -> Iterator[Callable[..., Client]]:
    clients = []

    def start(*faults: dict[str, Any] | Fault, **options: Any) -> Client:
        client = Client(archive({"b/k": DATA, "b/other": b"fine"}, faults={"b/k": list(faults)}, **options))
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()


Bad = Callable[..., Client]


@pytest.mark.parametrize("after", [0, 1, 5000, 10240])
def test_reset_after(bad: Bad, after: int) -> None:
    status, _, body, end = bad({"reset_after": after})()
    assert (status, body, end) == (200, DATA[:after], "reset" if after < len(DATA) else "whole")


@pytest.mark.parametrize("after", [0, 5000])
def test_close_after(bad: Bad, after: int) -> None:
    client = bad({"close_after": after, "times": 1})
    assert client()[2:] == (DATA[:after], "short")
    assert client()[2:] == (DATA, "whole")


def test_close_after_counts_from_the_range(bad: Bad) -> None:
    status, headers, body, end = bad({"close_after": 10})(Range="bytes=100-199")
    assert (status, headers["Content-Length"], body, end) == (206, "100", DATA[100:110], "short")


def test_stall_after(bad: Bad) -> None:
    client = bad({"stall_after": 5000})
    client.set_timeout(0.05)
    assert client()[2:] == (DATA[:5000], "stall")
    assert client.archive.load.in_flight <= 1


def test_drop_is_no_answer(bad: Bad) -> None:
    client = bad({"drop": True, "times": 1})
    with pytest.raises(ConnectionError):
        client()
    assert client()[2] == DATA


def test_drip_and_delay_keep_bytes(bad: Bad) -> None:
    client = bad({"drip": 100_000, "delay_s": 0.001})
    assert client(Range="bytes=0-999")[2:] == (DATA[:1000], "whole")


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry"),
    [
        ({"status": 500}, 500, "InternalError", None),
        ({"status": 503, "retry_after": 2}, 503, "SlowDown", "2"),
        ({"status": 429, "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 429, "TooManyRequests", "Wed, 21 Oct 2026"),
        ({"status": 418}, 418, "Error", None),
        ({"status": 403, "code": "ExpiredToken"}, 403, "ExpiredToken", None),
        ({"missing": True}, 404, "NoSuchKey", None),
        ({"forbidden": True}, 403, "AccessDenied", None),
    ],
)
def test_errors(bad: Bad, fault: dict[str, Any], status: int, code: str, retry: str | None) -> None:
    got, headers, body, _ = bad(fault)()
    assert got == status
    assert f"<Code>{code}</Code>".encode() in body
    assert (headers["Retry-After"] or "").startswith(retry or "")
    assert (headers["Retry-After"] is None) == (retry is None)


def test_retry_after_as_a_date_from_now(bad: Bad) -> None:
    told = bad({"status": 503, "retry_after_date_s": 3600})()[1]["Retry-After"]
    assert parsedate_to_datetime(told).tzinfo is not None


def test_headers_and_body(bad: Bad) -> None:
    client = bad({"headers": {"RateLimit-Remaining": "0"}}, {"body": "<half", "status": 200})
    status, headers, body, _ = client()
    assert (status, headers["RateLimit-Remaining"], body) == (200, "0", DATA)
    assert bad({"body": "<half"})()[2] == b"<half"


def test_html_error(bad: Bad) -> None:
    status, headers, body, _ = bad({"html_error": True})()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")


def test_redirects(bad: Bad) -> None:
    assert bad({"redirect": "loop"})()[1]["Location"] == "/b/k"
    status, headers, *_ = bad({"redirect": "https://example.org/x", "status": 307})()
    assert (status, headers["Location"]) == (307, "https://example.org/x")


def test_ignore_range(bad: Bad) -> None:
    assert bad({"ignore_range": True})(Range="bytes=5-9")[::2] == (200, DATA)
    assert bad({"ignore_range": True})()[::2] == (200, DATA)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"wrong_content_range": 3}, "bytes 8-12/10240"),
        ({"wrong_total": 5}, "bytes 5-9/10245"),
        ({"unknown_total": True}, "bytes 5-9/*"),
    ],
)
def test_wrong_content_range(bad: Bad, fault: dict[str, Any], told: str) -> None:
    status, headers, body, _ = bad(fault)(Range="bytes=5-9")
    assert (status, headers["Content-Range"], body) == (206, told, DATA[5:10])


def test_short_and_truncated_bodies(bad: Bad) -> None:
    assert bad({"short_body": 7})()[2:] == (DATA[:-7], "short")
    status, headers, body, end = bad({"truncate": 7})()
    assert (status, headers["Content-Length"], body, end) == (200, str(len(DATA) - 7), DATA[:-7], "whole")


def test_long_body(archive: Start) -> None:
    server = archive({"b/k": b"abc"}, faults={"b/k": [{"long_body": 5}]})
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Length: 3" in head
    assert body == b"abc!!!!!"


def test_other_framings(bad: Bad) -> None:
    for fault, header in (({"chunked": True}, "Transfer-Encoding"), ({"no_length": True}, "Connection")):
        _, headers, body, _ = bad(fault)()
        assert (headers["Content-Length"], body) == (None, DATA)
        assert headers[header] is not None


def test_hang_up_after_a_whole_answer(archive: Start) -> None:
    server = archive({"b/k": b"abc"}, faults={"b/k": [{"hang_up": True}]})
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.endswith(b"\r\n\r\nabc")
    assert b"Connection: close" not in received


def test_gzip(bad: Bad) -> None:
    client = bad({"gzip_range": True})
    status, headers, body, _ = client(Range="bytes=0-999")
    assert (status, headers["Content-Encoding"], gzip.decompress(body)) == (206, "gzip", DATA[:1000])
    assert client()[2] == DATA
    client = bad({"gzip_whole": True})
    assert gzip.decompress(client()[2]) == DATA
    assert client(Range="bytes=0-9")[2] == DATA[:10]


def test_garbage_headers(bad: Bad) -> None:
    _, headers, body, _ = bad({"garbage_headers": 50})()
    assert len([name for name in headers if name.startswith("X-Garbage")]) == 50
    assert body == DATA


def test_changed_content(bad: Bad) -> None:
    client = bad({"change_etag_after": 2, "change": "content"})
    assert [client(Range="bytes=0-9")[2] for _ in range(2)] == [DATA[:10]] * 2
    status, headers, body, _ = client()
    assert (status, len(body), body != DATA) == (200, len(DATA), True)
    assert headers["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324  # the tag S3 gives
    assert headers["Last-Modified"] == "Sun, 15 Jun 2025 16:06:40 GMT"
    assert client(If_Match=ETAG)[0] == 412


def test_changed_silently(bad: Bad) -> None:
    _, headers, body, _ = bad({"change_etag_after": 0, "change": "silent"})()
    assert (headers["ETag"], len(body), body != DATA) == (ETAG, len(DATA), True)


def test_changed_size(bad: Bad) -> None:
    client = bad({"change_etag_after": 0, "change": "size"})
    _, headers, body, _ = client()
    assert (body, headers["ETag"] != ETAG) == (DATA + b"more", True)
    assert client(Range="bytes=10238-10241")[2] == DATA[-2:] + b"mo"
    assert client(Range="bytes=-3")[2] == b"ore"


def test_changed_tag_only(bad: Bad) -> None:
    _, headers, body, _ = bad({"change_etag_after": 0, "change": "etag"})()
    assert (body, headers["ETag"] != ETAG, headers["Last-Modified"]) == (DATA, True, "Sun, 15 Jun 2025 15:06:40 GMT")


def test_what_changes_is_still_listed_or_missing(archive: Start) -> None:
    fault = {"change_etag_after": 0}
    client = Client(archive({"b/k": b"1"}, faults={"b/none": [fault], "list:b": [fault]}))
    assert client("/b/none")[0] == 404
    assert b"<Key>k</Key>" in client("/b?list-type=2")[2]
    client.close()


def test_large_objects_change_their_opaque_tag(bad: Bad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.testing.alteration.TAG_LIMIT_BYTES", 10)
    assert bad({"change_etag_after": 0})()[1]["ETag"].endswith('-2"')


def test_flapping_tags(bad: Bad) -> None:
    client = bad({"change_etag_after": 0, "change": "flapping"})
    assert [client()[1]["ETag"] == ETAG for _ in range(4)] == [False, True, False, True]


def test_a_list_is_a_queue(bad: Bad) -> None:
    client = bad({"status": 503, "times": 2}, {"status": 500, "times": 1, "skip": 1})
    assert [client()[0] for _ in range(6)] == [503, 503, 200, 500, 200, 200]


def test_keys_have_counts_of_their_own_and_globs_add_up(archive: Start) -> None:
    faults = {"b/*": [{"headers": {"x-slow": "1"}}], "b/d/*": [{"status": 503, "times": 1}]}
    client = Client(archive({"b/d/1": b"1", "b/d/2": b"2"}, faults=faults))
    assert [client(f"/b/d/{number}")[0] for number in (1, 2, 1, 2)] == [503, 503, 200, 200]
    assert client("/b/d/1")[1]["x-slow"] == "1"
    assert client("/b/e")[1]["x-slow"] == "1"
    client.close()


def test_methods_and_ranges(bad: Bad) -> None:
    client = bad({"status": 500, "method": "HEAD"}, {"status": 503, "ranged": True})
    assert [client()[0], client(method="HEAD")[0], client(Range="bytes=0-1")[0]] == [200, 500, 503]
    assert bad({"status": 500, "ranged": False})(Range="bytes=0-1")[0] == 206


def test_listings_have_a_key(archive: Start) -> None:
    client = Client(archive({"b/k": b"1"}, faults={"list:b": [{"status": 500}]}))
    for target in ("/b?list-type=2", "/storage/v1/b/b/o"):
        assert client(target)[0] == 500
    assert client("/storage/v1/b/b/o/k?alt=media")[2] == b"1"
    client.close()


def test_chance_is_repeatable(bad: Bad) -> None:
    fault = {"status": 503, "probability": 0.5, "seed": 11}
    first, second = ([client()[0] for _ in range(30)] for client in (bad(fault), bad(fault)))
    assert first == second
    assert {*first} == {200, 503}
    other = bad({**fault, "seed": 12})
    assert [other()[0] for _ in range(30)] != first


def test_faults_may_change_while_serving(bad: Bad) -> None:
    client = bad({"status": 503})
    assert client()[0] == 503
    client.archive.set_faults({})
    assert client()[0] == 200
    client.archive.set_faults({"b/k": [Fault(missing=True)]})
    assert client()[0] == 404


def test_faults_in_a_process_of_its_own(bad: Bad) -> None:
    client = bad({"status": 503, "times": 1}, where="process")
    assert [client()[0] for _ in range(2)] == [503, 200]
    client.archive.set_faults({"b/k": [{"status": 500}]})
    assert client()[0] == 500


def test_faults_from_a_file(tmp_path: Path, archive: Start) -> None:
    (tmp_path / "faults.json").write_text('{"b/*": [{"status": 429, "retry_after": 1.5, "times": 1}]}')
    client = Client(archive({"b/k": b"1"}, faults=tmp_path / "faults.json"))
    assert (client()[0], client()[0]) == (429, 200)
    client.close()


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([], "expected a mapping"),
        ({"b/*": {"status": 503}}, "expected a list"),
        ({"b/*": "x"}, "expected a list"),
        ({"b/*": [3]}, r"'b/\*'\[0\]: expected an object"),
        ({"b/*": [{"stauts": 503}]}, "unknown stauts"),
        ({"b/*": [{"status": "503"}]}, r"\.status"),
        ({"b/*": [{"reset_after": -1}]}, r"\.reset_after"),
        ({"b/*": [{"times": True}]}, r"\.times"),
        ({"b/*": [{"change": "colour"}]}, r"\.change"),
        ({"b/*": [{"headers": {"a": 1}}]}, r"\.headers"),
        ({"b/*": [{"drop": 1}]}, r"\.drop"),
        ({"b/*": [{"probability": "high"}]}, r"\.probability"),
    ],
)
def test_bad_tables_say_where(faults: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_faults(faults)
