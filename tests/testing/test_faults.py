"""Each fault is what a client sees, as often as it was arranged, and nothing else changes."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import trustme

from emasync.errors import InputError
from emasync.testing import Archive, Fault, load_faults
from emasync.testing.messages import parse_head
from emasync.testing.misprints import Misprint, misprinted

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


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


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


def raw(client: Client, *requests: bytes, timeout_s: float = 0.3) -> bytes:
    """All that comes over one connection, until it ends or nothing comes for a while."""
    came = b""
    with socket.create_connection(("127.0.0.1", client.archive.port), timeout=timeout_s) as connection:
        for request in requests:
            connection.sendall(request)
            with suppress(TimeoutError):
                while part := connection.recv(1 << 16):
                    came += part
    return came


GET = b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_header_that_stops_half_way(bad: Bad) -> None:
    head = raw(bad({"stall_head": True}), GET)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in head


def test_a_header_that_drips(bad: Bad) -> None:
    client = bad({"drip_head": 2000.0})
    assert client()[2] == DATA
    assert b"\r\n\r\n" not in raw(bad({"drip_head": 1.0}), GET)


def test_interim_answers(bad: Bad) -> None:
    assert raw(bad({"interim": 3}), GET).count(b"HTTP/1.1 103 Early Hints\r\n") == 3


def test_fields_that_come_twice_and_lengths_that_lie(bad: Bad) -> None:
    head = raw(bad({"twice": True}), GET).partition(b"\r\n\r\n")[0]
    assert head.count(b"Content-Length: 10240") == 2
    assert head.count(b"HTTP/1.1") == 1
    head = raw(bad({"told_length": "-1"}), GET).partition(b"\r\n\r\n")[0]
    assert b"Content-Length: -1" in head


def test_a_kept_connection_that_vanishes(bad: Bad) -> None:
    client = bad({"vanish": True})
    assert len(raw(client, GET, GET)) < 2 * len(DATA)
    assert len(client.archive.requests) == 1


def test_bytes_from_further_on(bad: Bad) -> None:
    client = bad({"shift": 1000})
    status, headers, data, _ = client(Range="bytes=100-4199")
    assert (status, headers["Content-Range"]) == (206, "bytes 100-4199/10240")
    assert data == DATA[1100:4200] + DATA[100:1100]


def test_a_body_cut_below_tls(archive: Start, authority: trustme.CA) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    for fault in ("close_after", "cut_after"):
        port = archive({"b/k": DATA}, faults={"b/k": [{fault: 5000}]}, tls=server).port
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as below,
            client.wrap_socket(below, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as connection,
        ):
            connection.sendall(GET)
            came, ended = b"", "with a word"
            try:
                while part := connection.recv(1 << 16):
                    came += part
            except ssl.SSLEOFError:
                ended = "without"
        assert len(came.partition(b"\r\n\r\n")[2]) == 5000
        assert ended == ("without" if fault == "cut_after" else "with a word")


KEYS = {f"b/{number}": b"x" for number in range(5)}


@pytest.mark.parametrize(
    ("misprint", "said"),
    [
        ("doubled", "0 0 1 1"),
        ("backwards", "1 0"),
        ("same_page", "0 1"),
        ("endless", ""),
        ("mistyped", "0 1"),
    ],
)
def test_listings_that_cannot_be_right(misprint: str, said: str, archive: Start) -> None:
    client = Client(archive(KEYS, faults={"list:b": [{"misprint": misprint}]}, page_limit=2))
    pages = [client("/b?list-type=2")[2].decode()]
    for _ in range(3):
        found = re.search("<NextContinuationToken>(.*?)</", pages[-1])
        assert found is not None or misprint not in ("same_page", "endless")
        pages.append(
            "" if found is None else client(f"/b?list-type=2&continuation-token={quote(found[1])}")[2].decode()
        )
    client.close()
    assert " ".join(re.findall("<Key>(.*?)</Key>", pages[0])) == said
    assert ("large" in pages[0]) is (misprint == "mistyped")
    if misprint == "same_page":
        assert re.findall("<Key>(.*?)</Key>", pages[3]) == ["0", "1"]


ASKED = parse_head(b"GET /api/x/?page=1&size=9 HTTP/1.1\r\nHost: h:1")
PAGE = orjson.dumps({"results": [{"size": 1}, {"size": 2}], "next": None})


@pytest.mark.parametrize(
    ("misprint", "said"),
    [
        ("doubled", {"results": [{"size": 1}, {"size": 1}, {"size": 2}, {"size": 2}], "next": None}),
        ("backwards", {"results": [{"size": 2}, {"size": 1}], "next": None}),
        ("same_page", {"results": [{"size": 1}, {"size": 2}], "next": "http://h:1/api/x/?page=1&size=9"}),
        ("endless", {"results": [], "next": "http://h:1/api/x/?page=2&size=9"}),
        ("mistyped", {"results": {"0": {"size": [1]}, "1": {"size": [2]}}, "next": [None]}),
    ],
)
def test_answers_of_an_api_that_cannot_be_right(misprint: Misprint, said: object) -> None:
    assert orjson.loads(misprinted(PAGE, misprint, ASKED)) == said
    assert misprinted(b"plain", misprint, ASKED) == b"plain"


def test_depth() -> None:
    assert misprinted(PAGE, "deep", ASKED).startswith(b"[" * 1000)


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
