"""What goes wrong below HTTP, in this package's words: one wording for both transports."""

from __future__ import annotations

import errno
import ssl

from emasync.errors import ErrorKind, RefusedError, TransientError


def certificate_refused(name: str, error: BaseException) -> RefusedError:
    """The server's certificate does not hold.

    Parameters
    ----------
    name : str
        Of what was asked, for messages.
    error : BaseException
    """
    reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else type(error).__name__
    return RefusedError(
        f"{name}: the server's certificate does not hold ({reason}); if your site has its own "
        "authority, point SSL_CERT_FILE to its certificates",
        location=name,
    )


def unresolved(name: str, error: BaseException) -> TransientError:
    """The host's name has no address."""
    return _unreachable(name, f"the name cannot be resolved ({reason_of(error)})", error)


def no_connection(name: str, error: BaseException) -> TransientError:
    """No connection came about."""
    return _unreachable(name, f"no connection ({reason_of(error)})", error)


def _unreachable(name: str, reason: str, error: BaseException) -> TransientError:
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return TransientError(f"{name}: too many open files; raise `ulimit -n` or lower max_connections", location=name)
    return TransientError(f"{name}: {reason}", kind=ErrorKind.UNREACHABLE, location=name)


def no_connection_in_time(name: str) -> TransientError:
    """The connect time-out passed."""
    return TransientError(f"{name}: no connection in time", kind=ErrorKind.UNREACHABLE, location=name)


def no_http(name: str, reason: str) -> TransientError:
    """What came cannot be read."""
    return TransientError(f"{name}: an answer that is no HTTP ({first_line(reason)})", location=name)


def broken(name: str, error: BaseException) -> TransientError:
    """The connection ended in the middle."""
    return TransientError(f"{name}: the connection broke ({reason_of(error)})", location=name)


def reason_of(error: BaseException) -> str:
    """Short reason without URLs in it: they may hold secrets."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else first_line(str(error))
    return text if text and "://" not in text else type(error).__name__


def first_line(text: str) -> str:
    """The beginning of what others say, fit for a message."""
    return text.strip().splitlines()[0][:200] if text.strip() else ""
