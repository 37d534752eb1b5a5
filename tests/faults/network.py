"""Networks that misbehave below HTTP: certificates, handshakes, addresses that nobody lives at, names that move."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal, Self

import trustme

from emasync.testing.archive import Archive
from emasync.testing.selftest.bad_days import BadDay
from emasync.testing.selftest.stage import Stage
from emasync.transport.resolver import AddressInfo

Manners = Literal["reset", "silence"]


class RudeServer(AbstractContextManager["RudeServer"]):
    """Takes connections at a port, reads what is said first, and resets them or says nothing.

    Parameters
    ----------
    port : int
    manners : {"reset", "silence"}
    """

    def __init__(self, port: int, manners: Manners) -> None:
        ended = self._ended = threading.Event()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(1)
                if manners == "reset":
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.request.close()
                else:
                    ended.wait()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


class BlackHole:
    """An address where connections neither come about nor are refused: its queue of new ones is full.

    Parameters
    ----------
    address : str
    port : int
    """

    def __init__(self, address: str, port: int) -> None:
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((address, port))
        self._listening.listen(0)
        self._queued = [self._knock(address, port) for _ in range(4)]

    @staticmethod
    def _knock(address: str, port: int) -> socket.socket:
        knocking = socket.socket()
        knocking.setblocking(False)
        knocking.connect_ex((address, port))
        return knocking

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._queued, self._listening):
            one.close()


class Names:
    """A name server whose names may move; a :data:`~emasync.transport.resolver.Lookup`.

    Attributes
    ----------
    addresses : dict of str to sequence of str
        By name; a name without any is not known.
    asked : Counter
        Look-ups by name.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, Sequence[str]] = {}
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int, _family: int) -> list[AddressInfo]:
        """Look a name up.

        Raises
        ------
        OSError
            It is not known.
        """
        self.asked[host] += 1
        found = self.addresses.get(host, ())
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, port)) for one in found]


# --- TLS ------------------------------------------------------------------------------------------------------------


class Certificates:
    """An authority that clients trust, and what servers may show instead of its certificates.

    Attributes
    ----------
    authority : trustme.CA
    """

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self._good = self.authority.issue_cert("127.0.0.1")
        yesterday = datetime.now(UTC) - timedelta(days=1)
        self._bad = {
            "expired": self.authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(9), not_after=yesterday),
            "of another host": self.authority.issue_cert("example.org"),
            "of an unknown authority": trustme.CA().issue_cert("127.0.0.1"),
        }

    @property
    def kinds(self) -> Sequence[str]:
        """What is wrong with the bad ones."""
        return tuple(self._bad)

    def serve(self, context: ssl.SSLContext, bad: str | None = None) -> None:
        """Show a certificate from the next handshake on."""
        (self._good if bad is None else self._bad[bad]).configure_cert(context)


class TlsStage(Stage):
    """A stage over https, with a certificate or a handshake that is bad while its day is.

    Parameters
    ----------
    number : int
    day : BadDay
        Its name may be that of a certificate, ``handshake: reset`` or ``handshake: silence``.
    certificates : Certificates
    """

    def __init__(self, number: int, day: BadDay, certificates: Certificates) -> None:
        self._certificates = certificates
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificates.serve(self._context)
        self._rude: RudeServer | None = None
        super().__init__(number, day)

    def _open(self, **options: object) -> Archive:
        return super()._open(tls=self._context, **options)

    def spoil(self, *, once: bool) -> None:
        """See :class:`Stage`."""
        if self.day.name in self._certificates.kinds:
            self._certificates.serve(self._context, self.day.name)
        elif self.day.name.startswith("handshake: "):
            self.archive.close()
            manners = self.day.name.removeprefix("handshake: ")
            self._rude = RudeServer(self.archive.port, "reset" if manners == "reset" else "silence")
        else:
            super().spoil(once=once)

    def clear(self) -> None:
        """See :class:`Stage`."""
        self._certificates.serve(self._context)
        if self._rude is not None:
            with self._rude:
                pass
            self._rude = None
            self.archive = self._open(port=self.archive.port)
        super().clear()

    def close(self) -> None:
        """Stop everything."""
        if self._rude is not None:
            with self._rude:
                pass
        super().close()


# --- names and addresses --------------------------------------------------------------------------------------------

HOME, OTHER, NOBODY = "127.0.0.2", "127.0.0.3", "127.0.0.9"


class NamedStage(Stage):
    """A stage whose archive is known by a name, which leads astray while its day is.

    Parameters
    ----------
    number : int
    day : BadDay
        Its name says where the name leads; see :meth:`spoil`.
    names : Names
    rate_bytes_per_s : float, optional
        Of the archive.
    """

    def __init__(self, number: int, day: BadDay, names: Names, *, rate_bytes_per_s: float | None = None) -> None:
        self._names = names
        self._rate_bytes_per_s = rate_bytes_per_s
        self._name = f"archive-{number}.test"
        self._hole: BlackHole | None = None
        self._at = HOME
        names.addresses[self._name] = (HOME,)
        super().__init__(number, day)

    def _open(self, **options: object) -> Archive:
        return super()._open(address=self._at, rate_bytes_per_s=self._rate_bytes_per_s, **options)

    @property
    def url(self) -> str:
        """By name."""
        return f"http://{self._name}:{self.archive.port}"

    def spoil(self, *, once: bool) -> None:
        """Let the name lead to nobody, to somebody and nobody, or nowhere; or move the archive."""
        if "black hole" in self.day.name:
            self._hole = BlackHole(NOBODY, self.archive.port)
        self._names.addresses[self._name] = {
            "no address is known": (),
            "the only address refuses": (NOBODY,),
            "the only address is a black hole": (NOBODY,),
            "one address of several refuses": (NOBODY, HOME),
            "one address of several is a black hole": (NOBODY, HOME),
        }.get(self.day.name, (HOME,))
        super().spoil(once=once)

    def move(self) -> None:
        """Close the archive here and open it at another address, which the name leads to from now on."""
        port, self._at = self.archive.port, OTHER
        self.archive.close()
        self.archive = self._open(port=port)
        self._names.addresses[self._name] = (OTHER,)

    def clear(self) -> None:
        """See :class:`Stage`."""
        self._names.addresses[self._name] = (self._at,)
        super().clear()

    def close(self) -> None:
        """Stop everything."""
        if self._hole is not None:
            with self._hole:
                pass
        super().close()
