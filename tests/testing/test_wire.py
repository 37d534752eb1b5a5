"""Requests that are no requests, and clients that misbehave."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import pytest

from emasync.testing import Archive

Start = Callable[..., Archive]


def talk(archive: Archive, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", archive.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def drain(connection: socket.socket, received: bytearray) -> None:
    while part := connection.recv(1 << 20):
        received += part


@pytest.fixture
def small(archive: Start) -> Archive:
    return archive({"b/k": b"abc"})


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET\r\n\r\n", b"400"),
        (b"GET /b/k HTTP/2.0\r\n\r\n", b"505"),
        (b"GET /b/k HTTP/1.1\r\nbroken\r\n\r\n", b"400"),
        (b"GET /b/k HTTP/1.1\r\nName : x\r\n\r\n", b"400"),
        (b"GET b/k HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /b/k HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET /b/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET /b/k HTTP/1.1\r\nLong: " + b"x" * 70_000, b"431"),
        (b"GET /b/k HTTP/1.1\r\nLong: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET /b/k HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
        (b"GET /b/k HTTP/1.0\r\n\r\n", b"200"),
        (b"GET http://example.org/b/k HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
    ],
)
def test_request_heads(small: Archive, request_bytes: bytes, status: bytes) -> None:
    answer = talk(small, request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status)
    if status == b"200":
        assert answer.endswith(b"abc")


def test_pieces_and_pipelines(small: Archive) -> None:
    request = b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /b/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = talk(small, request[:10], request[10:] + request + request[:5], request[5:] + last)
    assert answer.count(b"\r\n\r\nabc") == 4


def test_http_1_0_may_keep_alive(small: Archive) -> None:
    keep = b"GET /b/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert talk(small, keep + b"GET /b/k HTTP/1.0\r\n\r\n").count(b"abc") == 2


def test_pipelined_large_answers_keep_their_order(archive: Start) -> None:
    bodies = [bytes([number]) * 300_000 for number in range(4)]
    server = archive({f"b/{number}": body for number, body in enumerate(bodies)})
    requests = b"".join(b"GET /b/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3))
    answer = talk(server, requests + b"GET /b/3 HTTP/1.1\r\nConnection: close\r\n\r\n")
    places = [answer.find(body) for body in bodies]
    assert -1 not in places
    assert places == sorted(places)


def test_a_client_that_leaves_ends_its_answer(archive: Start) -> None:
    server = archive({"b/k": bytes(20_000_000)})
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000)
    server.wait_until(lambda load: load.connections == load.in_flight == 0)
    assert server.bytes_sent < 20_000_000


def test_closing_cuts_what_is_under_way(archive: Start) -> None:
    server = Archive.start({"b/k": bytes(10)}, faults={"b/k": [{"stall_after": 5}]})
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000)
        server.close()
        try:
            rest = b"".join(iter(lambda: connection.recv(1000), b""))
        except ConnectionResetError:  # as good as FIN
            rest = b""
    assert len(rest) < 10


def test_a_flood_of_requests_waits(archive: Start) -> None:
    request = b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n"
    number = 4_000
    server = archive({"b/k": b"abc"})
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        with server.held():
            connection.sendall(request * number)
            server.wait_until(lambda load: load.in_flight == 1)
        connection.sendall(b"GET /b/k HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert answer.count(b"\r\n\r\nabc") == number + 1


def test_a_slow_reader_gets_everything(archive: Start) -> None:
    body = bytes(range(256)) * 80_000
    server = archive({"b/k": body})
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # 20 MB fit into no system's buffers
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET /b/k HTTP/1.1\r\nConnection: close\r\n\r\n")
        server.wait_until(lambda load: load.bytes_sent > 0)
        received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert received.endswith(b"\r\n\r\n" + body)


def test_a_reset_takes_nothing_back(archive: Start) -> None:
    body = bytes(range(256)) * 40_000
    server = archive({"b/k": body}, faults={"b/k": [{"reset_after": 9_000_000}]})
    received = bytearray()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            drain(connection, received)
    assert received.endswith(b"\r\n\r\n" + body[:9_000_000])


def test_what_is_not_answered_is_not_read_for_ever(archive: Start) -> None:
    server = archive({"b/k": b"abc"})
    sent_bytes, request = 0, b"GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with socket.create_connection(("127.0.0.1", server.port)) as connection, server.held():
        connection.setblocking(False)
        while sent_bytes < 64 << 20 and select.select([], [connection], [], 0.2)[1]:
            sent_bytes += connection.send(request)
    assert sent_bytes < 64 << 20
