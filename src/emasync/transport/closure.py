"""Whether the end of a connection was meant: over TLS a FIN alone may be anybody's (RFC 9112, section 9.8)."""

from __future__ import annotations

import asyncio
import ssl


def was_announced(transport: asyncio.BaseTransport | None) -> bool:
    """Whether the other side said that nothing would follow (``close_notify``: RFC 8446, section 6.1).

    Loops of asyncio take a FIN without that word for an orderly end; a body whose end is that of its connection could
    be cut short by whoever is on the way.

    Parameters
    ----------
    transport : asyncio.BaseTransport or None
        Whose other side has ended it. Without TLS nothing can be announced: True.
    """
    return was_closed(spoken_over(transport))


def spoken_over(transport: asyncio.BaseTransport | None) -> ssl.SSLObject | None:
    """TLS of a connection; None where there is none."""
    found: ssl.SSLObject | None = None if transport is None else transport.get_extra_info("ssl_object")
    return found


def was_closed(tls: ssl.SSLObject | None) -> bool:
    """As :func:`was_announced`, of the TLS alone: it outlives its transport."""
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:  # it would wait for more
        return False
