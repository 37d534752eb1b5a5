"""Connections: kept, retired, spread over addresses, secured, closed."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme

from emasync.errors import ErrorKind, RefusedError, TransientError
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.testing.clock import ManualClock
from emasync.testing.peers import free_port
from emasync.transport import failures
from emasync.transport.dialogue import KEEP_ALIVE_S
from emasync.transport.pool import WirePool
from emasync.transport.resolver import AddressInfo, DaemonResolver, system_lookup
from emasync.transport.response_head import MAX_HEAD_BYTES, ResponseHead
from emasync.transport.surroundings import Surroundings
from emasync.transport.wire import BrokenConnectionError, Phase, WireConnection

POLICY = HostPolicy()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Loop = Callable[[Coroutine[Any, Any, None]], None]


@dataclass
class Site:
    """Connections that came in, by the address they came to."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    open: int = 0


@asynccontextmanager
async def site(*addresses: str, tls: ssl.SSLContext | None = None, answer: bytes = ANSWER) -> AsyncIterator[Site]:
    """A server on several addresses of this machine that answers each request with the same bytes."""
    state = Site()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.asked.append(writer.get_extra_info("sockname")[0])
        state.open += 1
        writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        state.open -= 1
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        writers.discard(writer)

    servers = []
    for address in addresses or ("127.0.0.1",):
        servers.append(await asyncio.start_server(serve, address, state.port, ssl=tls))
        state.port = servers[0].sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        for server in servers:
            server.close()
        for writer in writers:
            writer.transport.abort()
        await until(lambda: not state.open)
        for server in servers:
            await server.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


class Keeper:
    """Takes one answer."""

    def __init__(self) -> None:
        self.body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.connection: WireConnection | None = None

    def on_head(self, head: ResponseHead) -> None:
        pass

    def on_filled(self) -> None:
        assert self.connection is not None
        self.body.set_result(bytes(self.connection.body))
        self.connection.release()

    def on_broken(self, error: BrokenConnectionError) -> None:
        self.body.set_exception(error)


async def ask(connection: WireConnection) -> bytes:
    keeper = Keeper()
    keeper.connection = connection
    connection.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", memoryview(bytearray(MAX_HEAD_BYTES)), keeper)
    return await keeper.body


@asynccontextmanager
async def pool(
    clock: ManualClock | None = None, *, tls: ssl.SSLContext | None = None, lookup: Any = system_lookup
) -> AsyncIterator[WirePool]:
    made = WirePool(Surroundings(tls=tls), DaemonResolver(lookup), clock or ManualClock())
    try:
        yield made
    finally:
        await made.aclose()
        assert repr(made) == "<WirePool 0 open, 0 idle>"


def at(port: int, host: str = "127.0.0.1", scheme: str = "http") -> Location:
    return Location.parse(f"{scheme}://{host}:{port}/x")


def named(*addresses: str) -> Callable[[str, int, int], list[AddressInfo]]:
    def lookup(host: str, port: int, family: int) -> list[AddressInfo]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return lookup


# --- keeping --------------------------------------------------------------------------------------------------------


def test_the_connection_used_last_is_taken_first(each_loop: Loop) -> None:
    async def main() -> None:
        async with site() as server, pool() as connections:
            one, two = [await connections.take(at(server.port), POLICY, "x") for _ in range(2)]
            assert (one.answers, two.answers) == (0, 0)
            for connection in (two, one):
                assert await ask(connection) == b"ok"
                connections.give(connection)
            assert connections.idle == 2
            assert await connections.take(at(server.port), POLICY, "x") is one
            assert connections.take_idle(at(server.port)) is two
            assert connections.take_idle(at(server.port)) is None
            assert (one.answers, len(server.asked)) == (1, 2)
            fresh = await connections.take(at(server.port), POLICY, "x", fresh=True)
            assert fresh not in (one, two)

    each_loop(main())


async def test_idle_connections_retire_before_servers_close_them() -> None:
    clock = ManualClock()
    async with site() as server, pool(clock) as connections:
        old, young = [await connections.take(at(server.port), POLICY, "x") for _ in range(2)]
        await ask(old)
        connections.give(old)
        clock.advance(KEEP_ALIVE_S - 0.1)
        await ask(young)
        connections.give(young)
        clock.advance(0.1)
        assert await connections.take(at(server.port), POLICY, "x") is young
        connections.give(young)
        connections._sweep()
        assert (old.phase, connections.idle) == (Phase.CLOSED, 1)
        clock.advance(KEEP_ALIVE_S)
        assert await connections.take(at(server.port), POLICY, "x") is not young
        assert young.phase is Phase.CLOSED
        await until(lambda: server.open == 1)


async def test_idle_connections_retire_when_nobody_asks() -> None:
    clock = ManualClock()
    async with site() as server, pool(clock) as connections:
        connection = await connections.take(at(server.port), POLICY, "x")
        connections.give(connection)
        connections._sweep()
        assert connections.idle == 1
        clock.advance(KEEP_ALIVE_S)
        connections._sweep()
        assert connections.idle == 0
        await until(lambda: not server.open)


async def test_what_cannot_carry_another_request_is_not_kept() -> None:
    async with (
        site(answer=ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as server,
        pool() as connections,
    ):
        connection = await connections.take(at(server.port), POLICY, "x")
        await ask(connection)
        connections.give(connection)
        assert connections.idle == 0
        asked = await connections.take(at(server.port), POLICY, "x")
        asked.ask(b"GET / HTTP/1.1\r\n\r\n", memoryview(bytearray(MAX_HEAD_BYTES)), Keeper())
        connections.give(asked)  # in the middle of an answer
        assert (connections.idle, asked.phase) == (0, Phase.CLOSED)


async def test_a_connection_that_may_hold_more_than_was_asked_for_is_not_kept() -> None:
    async with site() as server, pool() as connections:
        connection = await connections.take(at(server.port), POLICY, "x")
        await ask(connection)
        connection.blind = True
        connections.give(connection)
        assert (connections.idle, connection.phase) == (0, Phase.CLOSED)


async def test_a_connection_closed_or_spoken_to_while_idle_is_not_taken() -> None:
    async with site() as server, pool() as connections:
        connection = await connections.take(at(server.port), POLICY, "x")
        connections.give(connection)
        connection._transport.abort()  # type: ignore[union-attr]  # it is connected
        await until(lambda: connection.phase is Phase.CLOSED)
        assert await connections.take(at(server.port), POLICY, "x") is not connection
        assert len(server.asked) == 2


async def test_places_are_apart() -> None:
    async with site() as server, pool() as connections:
        connection = await connections.take(at(server.port), POLICY, "x")
        connections.give(connection)
        assert connections.take_idle(at(server.port, "localhost")) is None
        assert connections.take_idle(at(server.port, scheme="https")) is None
        assert connections.take_idle(at(server.port)) is connection


# --- addresses ------------------------------------------------------------------------------------------------------


def test_connections_spread_over_all_addresses(each_loop: Loop) -> None:
    addresses = ("127.0.0.1", "127.0.0.2", "127.0.0.3")

    async def main() -> None:
        async with site(*addresses) as server, pool(lookup=named(*addresses)) as connections:
            for _ in range(6):
                connection = await connections.take(at(server.port, "data.example"), POLICY, "x")
                assert await ask(connection) == b"ok"
            assert server.asked == [*addresses, *addresses]

    each_loop(main())


def test_dead_addresses_of_several_are_passed_over(each_loop: Loop) -> None:
    async def main() -> None:
        lookup = named("127.0.0.2", "127.0.0.1", "127.0.0.3")
        async with site("127.0.0.1") as server, pool(lookup=lookup) as connections:
            for _ in range(3):
                assert await ask(await connections.take(at(server.port, "data.example"), POLICY, "x")) == b"ok"
            assert server.asked == ["127.0.0.1"] * 3

    each_loop(main())


async def test_many_at_once_ask_for_a_name_once_and_then_not_for_a_while() -> None:
    clock = ManualClock()
    asked: list[str] = []

    def lookup(host: str, port: int, family: int) -> list[AddressInfo]:
        asked.append(host)
        return named("127.0.0.1")(host, port, family)

    async with site() as server, pool(clock, lookup=lookup) as connections:
        place = at(server.port, "data.example")

        async def take() -> None:
            await connections.take(place, POLICY, "x", fresh=True)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(take())
        assert len(asked) == 1
        clock.advance(9.9)
        await take()
        assert len(asked) == 1
        clock.advance(0.2)
        await take()
        assert len(asked) == 2
        connections.forget_addresses(place)
        await take()
        assert len(asked) == 3


async def test_a_failed_look_up_is_not_kept_and_a_cancelled_one_harms_nobody() -> None:
    release = asyncio.Event()
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    rounds = iter(range(9))

    def lookup(host: str, port: int, family: int) -> list[AddressInfo]:
        turn = next(rounds)
        loop.call_soon_threadsafe(asked.set)
        if turn == 0:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [] if turn == 1 else named("127.0.0.1")(host, port, family)

    async with site() as server, pool(lookup=lookup) as connections:
        place = at(server.port, "data.example")
        first, second = [asyncio.create_task(connections.take(place, POLICY, "x")) for _ in range(2)]
        await asked.wait()
        first.cancel()
        await asyncio.wait([first])
        release.set()
        with pytest.raises(TransientError, match=r"cannot be resolved.*Temporary failure") as caught:
            await second
        assert caught.value.kind == ErrorKind.UNREACHABLE
        with pytest.raises(TransientError, match="no address"):
            await connections.take(place, POLICY, "x")
        assert await ask(await connections.take(place, POLICY, "x")) == b"ok"


async def test_nobody_listens() -> None:
    async with pool() as connections:
        with pytest.raises(TransientError, match="the object: no connection") as caught:
            await connections.take(at(free_port()), POLICY, "the object")
    assert caught.value.kind == ErrorKind.UNREACHABLE


async def test_nobody_answers_the_telephone() -> None:
    """A full queue of connections drops what comes, as a firewall does."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
            waiting.append(one)
        async with pool() as connections:
            with pytest.raises(TransientError, match="no connection in time") as caught:
                await connections.take(at(deaf.getsockname()[1]), HostPolicy(connect_timeout_s=0.05), "x")
        for one in waiting:
            one.close()
    assert caught.value.kind == ErrorKind.UNREACHABLE


def test_too_many_open_files_is_said() -> None:
    error = failures.no_connection("x", OSError(errno.EMFILE, "Too many open files"))
    assert "ulimit" in error.message
    assert error.kind == ErrorKind.TRANSIENT


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, name: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(name).configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(each_loop: Loop, authority: trustme.CA, version: ssl.TLSVersion) -> None:
    served = server_side(authority, "data.example", version)

    async def main() -> None:
        async with (
            site(tls=served) as server,
            pool(tls=client_side(authority), lookup=named("127.0.0.2", "127.0.0.1")) as connections,
        ):
            connection = await connections.take(at(server.port, "data.example", "https"), POLICY, "x")
            for _ in range(3):
                assert await ask(connection) == b"ok"
            assert connection._transport is not None
            spoken = connection._transport.get_extra_info("ssl_object")
            assert (spoken.version(), spoken.selected_alpn_protocol()) == (
                version.name.replace("v1_", "v1."),
                "http/1.1",
            )

    each_loop(main())


def test_certificates_of_others(each_loop: Loop, authority: trustme.CA) -> None:
    served = server_side(authority, "other.example")

    async def main() -> None:
        async with site(tls=served) as server:
            async with pool(tls=client_side(authority), lookup=named("127.0.0.1")) as connections:
                with pytest.raises(RefusedError, match=r"certificate does not hold .*[Hh]ostname mismatch"):
                    await connections.take(at(server.port, "data.example", "https"), POLICY, "x")
            async with pool(lookup=named("127.0.0.1")) as strangers:
                with pytest.raises(RefusedError, match=r"certificate does not hold .*SSL_CERT_FILE"):
                    await strangers.take(at(server.port, "other.example", "https"), POLICY, "x")

    each_loop(main())


def test_no_tls_behind_https(each_loop: Loop, authority: trustme.CA) -> None:
    async def main() -> None:
        async with site() as server, pool(tls=client_side(authority)) as connections:
            # what goes for a handshake is no request line that ends: nobody answers
            with pytest.raises(TransientError) as caught:
                await connections.take(at(server.port, scheme="https"), HostPolicy(connect_timeout_s=0.05), "x")
            assert caught.value.kind == ErrorKind.UNREACHABLE

    each_loop(main())


# --- ending ---------------------------------------------------------------------------------------------------------


def test_closing_ends_what_is_kept_and_what_is_in_use(each_loop: Loop) -> None:
    async def main() -> None:
        async with site(answer=b"") as server:
            async with pool() as connections:
                kept = await connections.take(at(server.port), POLICY, "x")
                used = await connections.take(at(server.port), POLICY, "x")
                connections.give(kept)
                asking = asyncio.create_task(ask(used))
                await until(lambda: server.open == 2 and used.phase is Phase.HEAD)
            with pytest.raises(BrokenConnectionError, match="given up"):
                await asking
            connections.give(used)
            assert connections.idle == 0
            await until(lambda: not server.open)

    each_loop(main())


async def test_a_connection_that_comes_after_the_end_is_closed() -> None:
    async with site() as server, pool() as connections:
        taking = asyncio.create_task(connections.take(at(server.port), POLICY, "x"))
        await asyncio.sleep(0)
        connections._closed = True
        with pytest.raises(TransientError, match="closed"):
            await taking
