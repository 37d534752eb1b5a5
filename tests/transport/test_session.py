"""What goes wrong below HTTP, and hand-written answers: names, connections, certificates, raw bytes."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Any, cast
from unittest.mock import MagicMock

import aiohttp
import pytest
from aioresponses import aioresponses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from emasync.errors import AccessDeniedError, ErrorKind, InputError, NotFoundError, RefusedError, TransientError
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.clock import ManualClock
from emasync.testing.conformance import Recorder
from emasync.testing.peers import Nginx, free_port
from emasync.transport.governed import GovernedFetcher
from emasync.transport.neighbourhood import Neighbourhood
from emasync.transport.resolver import AddressInfo, DaemonResolver
from emasync.transport.session import joined, translated
from emasync.transport.surroundings import Surroundings, read_logins

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server on this loop; ends when its connections have ended."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends these bytes, one answer a connection, whatever is asked."""
    left, asked = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0) if left else b"")
        await writer.drain()
        await reader.read()  # until the client goes

    async with serving(serve) as url:
        yield url, asked


both = pytest.mark.parametrize("wire", [True, False], ids=["wire", "aiohttp"])
"""For what is asked as data: over either transport. Documents always go over aiohttp."""


async def fetched(fetcher: GovernedFetcher, url: str) -> bytes:
    """An object, asked for as data."""
    recorder = Recorder()
    await fetcher.transfer(Location.parse(url), recorder)
    return bytes(recorder.data)


async def answering_early(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers before it was asked, in plain text."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


@both
async def test_refused_connections_are_tried_until_the_origin_is_given_up(
    opened: Any, clock: ManualClock, wire: bool
) -> None:
    url = f"http://127.0.0.1:{free_port()}/x"
    began_s = clock.monotonic_s()
    async with opened() as fetcher:
        with pytest.raises(TransientError, match=r"given up for this run.*no connection") as caught:
            await fetched(fetcher, url)
        waited_s = clock.monotonic_s() - began_s
        assert 120 <= waited_s < 200
        assert caught.value.kind == ErrorKind.UNREACHABLE
        requests = fetcher.statistics()[url.removesuffix("/x")].requests
        with pytest.raises(TransientError, match="given up"):
            await fetcher.transfer(Location.parse(f"{url}2"), Recorder())
        assert fetcher.statistics()[url.removesuffix("/x")].requests == requests
    assert 6 < requests < 40


@both
async def test_names_that_cannot_be_resolved(opened: Any, wire: bool) -> None:
    def fail(host: str, port: int, family: int) -> list[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    settings = Settings(hosts={"nowhere.example": {"give_up_after_s": 5.0}})
    async with opened(settings, resolver=DaemonResolver(fail)) as fetcher:
        with pytest.raises(TransientError, match="cannot be resolved") as caught:
            await fetched(fetcher, "http://nowhere.example/x")
    assert caught.value.kind == ErrorKind.UNREACHABLE


@both
async def test_names_come_back_when_the_resolver_does(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"b/x": b"1"})
    calls = iter(range(10))

    def flaky(host: str, port: int, family: int) -> list[AddressInfo]:
        if next(calls) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with opened(resolver=DaemonResolver(flaky)) as fetcher:
        assert await fetched(fetcher, f"http://data.example:{server.port}/b/x") == b"1"


@both
async def test_one_dead_address_of_two(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    server = archive({"b/x": b"1"})

    def both(host: str, port: int, family: int) -> list[AddressInfo]:
        # 127.0.0.2 is this machine too, but nothing listens there
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.2", "127.0.0.1")]

    async with opened(resolver=DaemonResolver(both)) as fetcher:
        assert await fetched(fetcher, f"http://data.example:{server.port}/b/x") == b"1"


@both
async def test_a_stuck_name_look_up_does_not_hold_the_exit(opened: Any, clock: ManualClock, wire: bool) -> None:
    release = ThreadEvent()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(host: str, port: int, family: int) -> list[AddressInfo]:
        loop.call_soon_threadsafe(started.set)
        release.wait()
        return []

    try:
        async with opened(resolver=DaemonResolver(stuck)) as fetcher:
            reading = asyncio.create_task(fetched(fetcher, "http://stuck.example/x"))
            await started.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
    finally:
        release.set()


@both
async def test_a_stuck_name_look_up_is_a_stall(opened: Any, clock: ManualClock, events: list[Any], wire: bool) -> None:
    release = ThreadEvent()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(host: str, port: int, family: int) -> list[AddressInfo]:
        loop.call_soon_threadsafe(started.set)
        release.wait()
        raise OSError("at last")

    settings = Settings(hosts={"stuck.example": {"max_attempts": 1}})
    try:
        async with opened(settings, resolver=DaemonResolver(stuck)) as fetcher:
            reading = asyncio.create_task(fetched(fetcher, "http://stuck.example/x"))
            await started.wait()
            clock.advance(41)
            with pytest.raises(TransientError, match="no answer within 40 s"):
                await reading
    finally:
        release.set()


async def test_names_that_are_none() -> None:
    with pytest.raises(OSError, match="no host name"):
        await DaemonResolver().look_up("a" * 70 + ".example", 80, socket.AF_INET)
    ((*_, address), *_) = await DaemonResolver().look_up("127.0.0.1", 80, socket.AF_INET)
    assert address == ("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("answer", "says", "handed_on"),
    [
        (b"nonsense\r\n\r\n", "no HTTP", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "no HTTP", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "no HTTP", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", "no HTTP", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP", True),
    ],
)
@both
async def test_answers_that_are_no_http(answer: bytes, says: str, handed_on: bool, opened: Any, wire: bool) -> None:
    settings = Settings(hosts={"127.0.0.1": {"max_attempts": 2}})
    async with answering(answer, answer, answer) as (url, asked), opened(settings) as fetcher:
        with pytest.raises(TransientError, match=says):
            await fetched(fetcher, url)
        assert len(asked) == 2 + (wire and handed_on)


@both
async def test_bytes_beyond_the_end_poison_the_connection(opened: Any, wire: bool) -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ndef"
    async with answering(one, two) as (url, asked), opened() as fetcher:
        assert await fetched(fetcher, url) == b"abc"
        assert await fetched(fetcher, url) == b"def"
        assert len(asked) == 2


async def test_what_is_asked_for(opened: Any) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nSet-Cookie: a=b; Path=/\r\nConnection: close\r\n\r\nx"
    async with answering(answer, answer) as (url, asked), opened() as fetcher:
        await fetcher.read(Location.parse(url.replace("/x", "/a%20b/../c//d%2Fe?q=%2F&r=a+b")))
        await fetcher.transfer(Location.parse(url), Recorder())
    first, second = (request.decode().lower() for request in asked)
    assert first.startswith("get /a%20b/../c//d%2fe?q=%2f&r=a+b http/1.1\r\n")
    assert "user-agent: emasync" in first
    assert "accept-encoding: gzip\r\n" in first
    assert "accept-encoding: identity\r\n" in second
    assert "cookie" not in second


async def test_which_hosts_lie_inside() -> None:
    asked: list[str] = []

    def lookup(host: str, port: int, family: int) -> list[AddressInfo]:
        asked.append(host)
        if host == "gone.example":
            raise OSError("no such name")
        address = "10.0.0.1" if host == "intranet.example" else "93.184.216.34"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    around = Neighbourhood(DaemonResolver(lookup), Surroundings())
    found = [
        await around.lies_inside(Location.parse(f"http://{host}/"))
        for host in ("127.0.0.1", "intranet.example", "public.example", "gone.example")
    ]
    assert found == [True, True, False, False]
    assert asked == ["intranet.example", "public.example", "gone.example"]
    proxied = Neighbourhood(DaemonResolver(lookup), Surroundings(proxies={"http": "http://proxy.example:3128"}))
    assert not await proxied.lies_inside(Location.parse("http://intranet.example/"))


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@both
async def test_certificates_are_checked(
    archive: Callable[..., Archive], opened: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch, wire: bool
) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    server = archive({"b/x": b"1"}, tls=served)
    place = Location.parse(f"{server.url}/b/x")
    async with opened(surroundings=None) as fetcher:
        with pytest.raises(RefusedError, match=r"certificate does not hold \(self.signed certificate.*SSL_CERT_FILE"):
            await fetched(fetcher, str(place))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with opened(surroundings=None) as fetcher:
        assert await fetched(fetcher, str(place)) == b"1"


@both
async def test_plain_http_behind_https(opened: Any, wire: bool) -> None:
    settings = Settings(hosts={"127.0.0.1": {"give_up_after_s": 1.0}})
    async with serving(answering_early) as url, opened(settings) as fetcher:
        with pytest.raises(TransientError) as caught:
            await fetched(fetcher, url.replace("http:", "https:"))
    assert caught.value.kind == ErrorKind.UNREACHABLE


# --- surroundings ---------------------------------------------------------------------------------------------------


@both
async def test_netrc_goes_to_its_own_host_only(
    archive: Callable[..., Archive], opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: bool
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\ndefault login any password any\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "*")
    server = archive({"b/x": b"1"})
    async with opened(surroundings=None) as fetcher:
        await fetched(fetcher, f"{server.url}/b/x")
        await fetched(fetcher, f"http://localhost:{server.port}/b/x")
    assert server.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert "authorization" not in server.requests[1].headers


def test_logins() -> None:
    around = Surroundings(logins={"h.example": "Basic x"})
    assert around.login_for(Location.parse("https://h.example/x")) == "Basic x"
    assert around.login_for(Location.parse("http://h.example/x")) is None
    assert around.login_for(Location.parse("https://other.example/x")) is None


def test_a_netrc_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_logins(tmp_path / "none") == {}
    (tmp_path / "bad").write_text("machine\n")
    assert read_logins(tmp_path / "bad") == {}


def test_proxies() -> None:
    around = Surroundings(proxies={"http": "proxy.example:3128", "https": "http://p.example:1", "no": "inside.example"})
    assert around.proxy_for(Location.parse("http://x.example/")) == "http://proxy.example:3128"
    assert around.proxy_for(Location.parse("https://x.example/")) == "http://p.example:1"
    assert around.proxy_for(Location.parse("https://inside.example/")) is None
    assert Surroundings().proxy_for(Location.parse("https://x.example/")) is None
    with pytest.raises(InputError, match="socks5 proxy"):
        Surroundings(proxies={"all": "socks5://p.example:1080"}).proxy_for(Location.parse("https://x.example/"))


@both
async def test_requests_go_through_the_proxy(archive: Callable[..., Archive], opened: Any, wire: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with answering(answer) as (url, asked):
        proxied = Surroundings(proxies={"http": url.removesuffix("/x")})
        async with opened(surroundings=proxied) as fetcher:
            assert await fetched(fetcher, "http://data.example/a%20b") == b"ok"
    assert asked[0].startswith(b"GET http://data.example/a%20b HTTP/1.1\r\n")


@both
async def test_a_dead_proxy_is_unreachable(opened: Any, wire: bool) -> None:
    settings = Settings(hosts={"data.example": {"give_up_after_s": 1.0}})
    proxied = Surroundings(proxies={"http": f"http://127.0.0.1:{free_port()}"})
    async with opened(settings, surroundings=proxied) as fetcher:
        with pytest.raises(TransientError, match="no connection"):
            await fetched(fetcher, "http://data.example/x")


# --- the seam -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (aiohttp.ConnectionTimeoutError(), ErrorKind.UNREACHABLE, "no connection in time"),
        (aiohttp.InvalidURL("http://u:secret@x"), ErrorKind.REFUSED, "cannot be asked"),
        (aiohttp.ServerDisconnectedError(), ErrorKind.TRANSIENT, "broke"),
        (aiohttp.ClientPayloadError("see http://u:secret@x"), ErrorKind.TRANSIENT, "ClientPayloadError"),
        (OSError(5, "Input/output error"), ErrorKind.TRANSIENT, "Input/output error"),
    ],
)
def test_foreign_errors_are_translated(raised: Exception, kind: ErrorKind, says: str) -> None:
    with pytest.raises((TransientError, RefusedError)) as caught, translated("the object"):
        raise raised
    assert caught.value.kind == kind
    assert says in caught.value.message
    assert "secret" not in caught.value.message


def test_too_many_open_files_is_said() -> None:
    key = aiohttp.client_reqrep.ConnectionKey("h", 80, False, True, None, None, None)
    with pytest.raises(TransientError, match="ulimit") as caught, translated("x"):
        raise aiohttp.ClientConnectorError(key, OSError(24, "Too many open files"))
    assert caught.value.kind == ErrorKind.TRANSIENT


def test_repeated_fields_become_one() -> None:
    fields = [("X-Goog-Hash", "crc32c=a"), ("x-goog-hash", "md5=b"), ("ETag", '"e"')]
    assert joined(fields) == {"x-goog-hash": "crc32c=a, md5=b", "etag": '"e"'}


class Mocked(aiohttp.ClientResponse):
    """aioresponses makes responses as aiohttp did before 3.14, without a writer of the request."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, stream_writer=MagicMock(), **options)


async def test_api_documents(opened: Any) -> None:
    """An API's page as a source reads it, from the general client."""
    with aioresponses() as api:
        length = {"Content-Length": "9"}
        api.get("https://api.example.org/entry/1", body=b'{"id": 1}', headers=length, response_class=Mocked)
        api.get("https://api.example.org/entry/2", status=404, response_class=Mocked)
        async with opened(wire=False) as fetcher:
            document = await fetcher.read(Location.parse("https://api.example.org/entry/1"))
            assert document.data == b'{"id": 1}'
            with pytest.raises(NotFoundError):
                await fetcher.read(Location.parse("https://api.example.org/entry/2"))


@pytest.mark.nginx
async def test_nginx(nginx: Nginx, opened: Any) -> None:
    """A real server: whole, resumed under its entity tag, and changed."""
    folder = nginx.root / "transport"
    folder.mkdir()
    body = random.Random(3).randbytes(3_000_000)
    (folder / "a b.tif").write_bytes(body)
    place = Location.parse(f"{nginx.url}/transport/a b.tif")
    async with opened() as fetcher:
        recorder = Recorder()
        head = await fetcher.transfer(place, recorder)
        assert recorder.data == body
        assert head.validator.strong
        with pytest.raises(AccessDeniedError, match="listing of"):
            await fetcher.bucket_of(Location.parse(f"{nginx.url}/transport/"))


async def test_a_closed_fetcher_says_so(opened: Any) -> None:
    fetcher = opened()
    assert "closed" in repr(fetcher)
    with pytest.raises(TransientError, match="async with"):
        await fetcher.read(Location.parse("http://127.0.0.1/x"))
    async with fetcher:
        assert "open" in repr(fetcher)
    await fetcher.aclose()
