"""The loopback archive as a client sees it: files, validators, ranges, errors, the log."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from emasync.testing import Archive, BucketRules, FolderStore, MemoryStore, StoredObject

Start = Callable[..., Archive]
DATA = bytes(range(256)) * 4
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'  # noqa: S324  # the tag S3 gives
DATE = "Sun, 15 Jun 2025 15:06:40 GMT"
BEFORE, AFTER = "Sun, 15 Jun 2025 15:06:39 GMT", "Sun, 15 Jun 2025 15:06:41 GMT"


@dataclass(frozen=True)
class Got:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def fetch(archive: Archive, target: str, method: str = "GET", **headers: str) -> Got:
    connection = http.client.HTTPConnection("127.0.0.1", archive.port, timeout=20)
    try:
        connection.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Got(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.fixture
def small(archive: Start) -> Archive:
    return archive({"b/k.bin": DATA, "b/empty": b"", "top.txt": b"top", "b/a b/é+.json": b"{}"})


def test_whole_object(small: Archive) -> None:
    got = fetch(small, "/b/k.bin")
    assert (got.status, got.body) == (200, DATA)
    assert got.headers["ETag"] == ETAG
    assert got.headers["Last-Modified"] == DATE
    assert got.headers["Accept-Ranges"] == "bytes"
    assert got.headers["Content-Length"] == "1024"


def test_head_tells_all_and_sends_nothing(small: Archive) -> None:
    got = fetch(small, "/b/k.bin", "HEAD")
    assert (got.status, got.body, got.headers["Content-Length"]) == (200, b"", "1024")


def test_escaped_keys(small: Archive) -> None:
    got = fetch(small, "/b/a%20b/%C3%A9+.json")
    assert (got.status, got.body, got.headers["Content-Type"]) == (200, b"{}", "application/json")


def test_file_beside_buckets(small: Archive) -> None:
    assert fetch(small, "/top.txt").body == b"top"


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-9999", 1000, 1024),
        ("bytes=-5000", 0, 1024),
    ],
)
def test_ranges(small: Archive, text: str, start: int, stop: int) -> None:
    got = fetch(small, "/b/k.bin", Range=text)
    assert (got.status, got.body) == (206, DATA[start:stop])
    assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"


@pytest.mark.parametrize("text", ["bytes=1024-", "bytes=-0", "bytes=5000-6000"])
def test_ranges_beyond_the_object(small: Archive, text: str) -> None:
    got = fetch(small, "/b/k.bin", Range=text)
    assert (got.status, got.headers["Content-Range"]) == (416, "bytes */1024")
    assert b"<Code>InvalidRange</Code>" in got.body


@pytest.mark.parametrize("text", ["bytes=9-3", "bytes=-", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b"])
def test_ranges_that_are_ignored(small: Archive, text: str) -> None:
    assert fetch(small, "/b/k.bin", Range=text).status == 200


def test_range_of_an_empty_object(small: Archive) -> None:
    assert fetch(small, "/b/empty", Range="bytes=0-0").status == 416


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_Match": ETAG}, 200),
        ({"If_Match": f'"other", {ETAG}'}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": '"other"'}, 412),
        ({"If_Match": f"W/{ETAG}"}, 412),
        ({"If_None_Match": ETAG}, 304),
        ({"If_None_Match": f"W/{ETAG}"}, 304),
        ({"If_None_Match": '"other"'}, 200),
        ({"If_None_Match": '"other"', "If_Modified_Since": AFTER}, 200),
        ({"If_Modified_Since": DATE}, 304),
        ({"If_Modified_Since": BEFORE}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_Unmodified_Since": BEFORE}, 412),
        ({"If_Unmodified_Since": DATE}, 200),
        ({"If_Match": ETAG, "If_Unmodified_Since": BEFORE}, 200),
        ({"Range": "bytes=0-3", "If_Range": ETAG}, 206),
        ({"Range": "bytes=0-3", "If_Range": '"other"'}, 200),
        ({"Range": "bytes=0-3", "If_Range": DATE}, 206),
        ({"Range": "bytes=0-3", "If_Range": AFTER}, 200),
        ({"Range": "bytes=0-3", "If_Match": '"other"'}, 412),
        ({"x_goog_if_generation_match": "1"}, 412),
    ],
)
def test_preconditions(small: Archive, headers: dict[str, str], status: int) -> None:
    got = fetch(small, "/b/k.bin", **headers)
    assert got.status == status
    if status == 304:
        assert (got.body, got.headers["ETag"]) == (b"", ETAG)


def test_weak_tags_guard_nothing(archive: Start) -> None:
    server = archive({"b/k": DATA}, buckets={"b": BucketRules(etags="weak")})
    assert fetch(server, "/b/k").headers["ETag"] == f"W/{ETAG}"
    assert fetch(server, "/b/k", If_Match=f"W/{ETAG}").status == 412
    assert fetch(server, "/b/k", If_Match=ETAG).status == 412
    assert fetch(server, "/b/k", Range="bytes=0-3", If_Range=f"W/{ETAG}").status == 200


def test_no_validators_and_no_ranges(archive: Start) -> None:
    server = archive({"b/k": DATA}, buckets={"*": BucketRules(etags="none", last_modified=False, ranges=False)})
    got = fetch(server, "/b/k", Range="bytes=0-3", If_Modified_Since=AFTER)
    assert (got.status, got.headers["ETag"], got.headers["Last-Modified"]) == (200, None, None)
    assert got.headers["Accept-Ranges"] == "none"


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/b/none", 404, "NoSuchKey"),
        ("/c/k", 404, "NoSuchBucket"),
        ("/c?list-type=2", 404, "NoSuchBucket"),
        ("/b?list-type=2&continuation-token=%3F", 400, "InvalidArgument"),
        ("/b?list-type=2&max-keys=x", 400, "InvalidArgument"),
    ],
)
def test_errors_speak_s3(small: Archive, target: str, status: int, code: str) -> None:
    got = fetch(small, target)
    assert (got.status, got.headers["Content-Type"]) == (status, "application/xml")
    assert f"<Code>{code}</Code>".encode() in got.body


def test_writing_is_refused(small: Archive) -> None:
    got = fetch(small, "/b/k.bin", "PUT", Content_Length="0")
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")


def test_guarded_buckets(archive: Start) -> None:
    server = archive(
        {"private/k": b"1", "quiet/k": b"2", "west/k": b"3"},
        buckets={
            "private": BucketRules(private=True),
            "quiet": BucketRules(list_denied=True, missing_is_403=True),
            "west": BucketRules(elsewhere=True, region="us-west-2"),
        },
    )
    assert fetch(server, "/private/k").status == 403
    assert fetch(server, "/private/k", Authorization="x").body == b"1"
    assert fetch(server, "/storage/v1/b/private/o").status == 401
    assert fetch(server, "/quiet/k").body == b"2"
    assert fetch(server, "/quiet/none").status == 403
    assert fetch(server, "/quiet?list-type=2").status == 403
    assert fetch(server, "/storage/v1/b/quiet/o").status == 403
    got = fetch(server, "/west/k")
    assert (got.status, got.headers["x-amz-bucket-region"]) == (301, "us-west-2")
    assert b"<Code>PermanentRedirect</Code>" in got.body


def test_bucket_head_and_location_tell_the_region(archive: Start) -> None:
    server = archive({"b/k": b"1"}, buckets={"b": BucketRules(region="eu-west-1")})
    assert fetch(server, "/b", "HEAD").headers["x-amz-bucket-region"] == "eu-west-1"
    assert b">eu-west-1<" in fetch(server, "/b?location").body


def test_google_objects(archive: Start) -> None:
    server = archive({"b/k": b"123456789"}, buckets={"b": BucketRules(kind="google")})
    got = fetch(server, "/b/k")
    hashes = got.headers.get_all("x-goog-hash")
    assert hashes == ["crc32c=4waSgw==", "md5=JfnnlDI7RTiF9RgfG2JNCw=="]  # CRC32C("123456789") = e3069283
    generation = got.headers["x-goog-generation"]
    assert generation.isdecimal()
    assert fetch(server, "/b/k", x_goog_if_generation_match=generation).status == 200
    assert fetch(server, "/b/k?ifGenerationMatch=1").status == 412
    assert isinstance(server.store, MemoryStore)
    server.store.put("b/k", b"987654321")
    assert fetch(server, "/b/k", x_goog_if_generation_match=generation).status == 412


def test_store_may_change_while_serving(small: Archive) -> None:
    assert isinstance(small.store, MemoryStore)
    small.store.put("b/k.bin", b"new")
    assert fetch(small, "/b/k.bin").body == b"new"
    small.store.delete("b/k.bin")
    assert fetch(small, "/b/k.bin").status == 404


def test_folder_store(archive: Start, tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "b" / "deep" / "k").write_bytes(DATA)
    os.utime(tmp_path / "b" / "deep" / "k", (1_750_000_000, 1_750_000_000))
    (tmp_path.parent / f"{tmp_path.name}-outside").write_bytes(b"secret")
    server = archive(FolderStore(tmp_path))
    got = fetch(server, "/b/deep/k", Range="bytes=100-103")
    assert (got.status, got.body, got.headers["ETag"], got.headers["Last-Modified"]) == (206, DATA[100:104], ETAG, DATE)
    for hostile in (f"/../{tmp_path.name}-outside", f"/b/../../{tmp_path.name}-outside", "/b/%00", "/b//deep/k"):
        assert fetch(server, hostile).status == 404
    assert fetch(server, "/b/deep").status == 404
    assert fetch(server, "/..?list-type=2").status == 404


def test_large_bodies(archive: Start, tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "large").write_bytes(data)
    for server in (archive(FolderStore(tmp_path)), archive({"b/large": data})):
        assert fetch(server, "/b/large").body == data
        assert fetch(server, "/b/large", Range="bytes=1000000-2999999").body == data[1_000_000:3_000_000]
        assert server.bytes_sent == 5_000_001


def test_one_connection_carries_many_requests(small: Archive) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=20)
    for _ in range(3):
        connection.request("GET", "/b/k.bin")
        assert connection.getresponse().read() == DATA
    connection.request("POST", "/b/k.bin", body=b"ignored body")
    assert connection.getresponse().read().startswith(b"<?xml")
    connection.request("GET", "/b/empty")
    assert connection.getresponse().read() == b""
    connection.close()
    assert small.load.peak_connections == 1


def test_log_and_counts(small: Archive) -> None:
    fetch(small, "/b/k.bin?x=1", Range="bytes=0-3", If_Match="*")
    fetch(small, "/b/none", "HEAD")
    fetch(small, "/b?list-type=2")
    fetch(small, "/storage/v1/b/b/o")
    first, second, *_ = small.requests
    assert (first.method, first.path, first.query, first.range, first.status) == (
        "GET",
        "b/k.bin",
        "x=1",
        "bytes=0-3",
        206,
    )
    assert first.headers["if-match"] == "*"
    assert (second.method, second.status) == ("HEAD", 404)
    assert small.counts() == {
        ("GET", "object"): 1,
        ("HEAD", "object"): 1,
        ("GET", "list"): 1,
        ("GET", "api"): 1,
    }
    small.reset()
    assert (small.requests, small.counts(), small.bytes_sent) == ([], {}, 0)


def test_log_is_bounded(archive: Start) -> None:
    server = archive({"b/k": b"1"}, log_limit=2)
    for number in range(4):
        fetch(server, f"/b/k?{number}")
    assert [seen.query for seen in server.requests] == ["2", "3"]
    assert server.counts() == {("GET", "object"): 4}


def test_held_requests_are_in_flight_together(small: Archive) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", small.port, timeout=20) for _ in range(5)]
    with small.held():
        for connection in connections:
            connection.request("GET", "/b/k.bin")
        small.wait_until(lambda load: load.in_flight == 5)
    for connection in connections:
        assert connection.getresponse().read() == DATA
        connection.close()
    assert small.peak_in_flight == 5


def test_latency_and_rate_keep_bytes_whole(archive: Start) -> None:
    server = archive({"b/k": DATA * 8}, latency_s=0.001, rate_bytes_per_s=1e6)
    assert fetch(server, "/b/k").body == DATA * 8


def test_a_store_that_raises_is_told_at_close() -> None:
    class Broken(MemoryStore):
        def get(self, path: str) -> None:
            raise OSError(path)

    server = Archive.start(Broken())
    assert fetch(server, "/b/k").status == 500
    with pytest.raises(ExceptionGroup, match="failed"):
        server.close()


async def test_async_with() -> None:
    async with Archive.start({"b/k": b"1"}) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert repr(server) == f"<Archive {server.url} of <MemoryStore of 1 objects>>"


def test_process_of_its_own() -> None:
    with Archive.start({"b/k": DATA}, where="process") as server:
        with server.held():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("GET", "/b/k")
            server.wait_until(lambda load: load.in_flight == 1)
        assert connection.getresponse().read() == DATA
        connection.close()
        assert server.requests[0].path == "b/k"
        assert server.counts() == {("GET", "object"): 1}
        server.reset()
        assert server.requests == []
    server.close()


async def test_waiting_for_a_load(small: Archive) -> None:
    assert (await small.until(lambda load: load.in_flight == 0)).connections == 0
    with pytest.raises(TimeoutError, match="in_flight=0"):
        await small.until(lambda load: load.in_flight == 1, timeout_s=0)
    with pytest.raises(TimeoutError, match="in_flight=0"):
        small.wait_until(lambda load: load.in_flight == 1, timeout_s=0)


def test_a_body_that_cannot_be_read_is_cut_and_told() -> None:
    def read(start: int, stop: int) -> bytes:
        raise OSError(f"{start} to {stop}")

    class Torn(MemoryStore):
        def get(self, path: str) -> StoredObject | None:
            return StoredObject(size_bytes=1_000_000, modified_s=0, tag=path, read=read)

    server = Archive.start(Torn(buckets=("b",)))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        fetch(server, "/b/k")
    with pytest.raises(ExceptionGroup) as caught:
        server.close()
    assert "0 to " in str(caught.value.exceptions[0])
    server = Archive.start(MemoryStore({"b/k": b"1"}))
    server.close()
    server.close()


def test_a_process_that_ends_early_is_told() -> None:
    with pytest.raises(RuntimeError, match="__main__"):
        Archive.start(Unpicklable({"b/k": b"1"}), where="process")


class Unpicklable(MemoryStore):
    def __setstate__(self, state: dict[str, object]) -> None:
        raise SystemExit(3)


def test_a_process_that_died_is_told() -> None:
    server = Archive.start(Suicidal({"b/k": b"1"}), where="process")
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(server, "/b/k")
    with pytest.raises(ExceptionGroup, match="failed"):
        server.close()


class Suicidal(MemoryStore):
    def get(self, path: str) -> StoredObject | None:
        os._exit(3)


def test_tls(tmp_path: Path, archive: Start) -> None:
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    subprocess.run(["openssl", *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server = archive({"b/k": DATA * 500}, tls=context)
    assert server.url == f"https://127.0.0.1:{server.port}"
    trusted = ssl.create_default_context(cafile=tmp_path / "cert")
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=trusted)
    connection.request("GET", "/b/k")
    assert connection.getresponse().read() == DATA * 500
    connection.close()
