"""The error tree, grouped by what a handler would do about it.

::

    EmasyncError
    ├── InputError             fix the manifest or the command line          (exit 2)
    │   └── ManifestError      all problems of one manifest, with positions
    ├── SourceError            this dataset fails, the others go on          (exit 1)
    │   └── FormatError        bytes are not what their format promises
    ├── TransportError         one request did not do what it should
    │   ├── TransientError     try again, later or elsewhere
    │   │   ├── ThrottledError the origin asks for patience (retry_after_s)
    │   │   └── StalledError   no byte, or a crawl, for too long
    │   ├── NotFoundError      404, 410
    │   ├── AccessDeniedError  401, 403
    │   ├── RangeNotSatisfiedError  416
    │   ├── PreconditionFailedError 412: the object is another one now
    │   └── RefusedError       an answer that must not be trusted or used
    ├── IntegrityError         bytes are not what was promised: drop them, fetch again, then fail
    │   └── SourceChangedError the object changed while it was fetched
    ├── DestinationError       this object cannot be stored under its name
    ├── NotDownloaded          voxels that are not on this disk: fetch them, or read lazily
    ├── MachineError           stop the run, it can be resumed               (exit 4)
    └── InterruptedRunError    stopped from outside                          (exit 3)

Every error has a stable ``kind`` (an :class:`ErrorKind`; ledgers and receipts hold them, so the list only
grows) and names the file or URL, what was expected, what came, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """Stable names of failures. Append only: ledgers and receipts keep them."""

    INPUT = "input"
    MANIFEST = "manifest"
    SOURCE = "source"
    NOT_BUILT = "not_built"
    FORMAT = "format"
    TRANSPORT = "transport"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    STALLED = "stalled"
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    ACCESS_DENIED = "access_denied"
    RANGE_NOT_SATISFIED = "range_not_satisfied"
    PRECONDITION_FAILED = "precondition_failed"
    REFUSED = "refused"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    SIZE_MISMATCH = "size_mismatch"
    SOURCE_CHANGED = "source_changed"
    UNSAFE_NAME = "unsafe_name"
    NAME_CLASH = "name_clash"
    DESTINATION_EXISTS = "destination_exists"
    DISK_FULL = "disk_full"
    NO_PERMISSION = "no_permission"
    ROOT_LOCKED = "root_locked"
    GUARD = "guard"
    LEDGER = "ledger"
    SYNC_FAILED = "sync_failed"
    DISK = "disk"
    INTERRUPTED = "interrupted"
    NO_DATA = "no_data"
    DRIFT = "drift"
    NOT_DOWNLOADED = "not_downloaded"
    UNKNOWN_CHUNK = "unknown_chunk"
    OUT_OF_BOUNDS = "out_of_bounds"
    AMBIGUOUS = "ambiguous"
    STALE_INDEX = "stale_index"


class EmasyncError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What happened, to which file or URL, what was expected, what to do.
    kind : ErrorKind, optional
        Stable name; the class's own kind by default.
    location : str, optional
        Canonical URL or path concerned, without credentials.

    Attributes
    ----------
    kind : ErrorKind
    message : str
    location : str or None
    """

    default_kind: ClassVar[ErrorKind] = ErrorKind.SOURCE

    def __init__(self, message: str, *, kind: ErrorKind | None = None, location: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind if kind is not None else self.default_kind
        self.location = location


class InputError(EmasyncError):
    """The manifest or the command line is wrong; nothing was contacted or changed. Exit code 2."""

    default_kind = ErrorKind.INPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a manifest.

    Attributes
    ----------
    file : str
        The manifest as the user named it.
    line, column : int
        Position, counted from 1.
    path : str
        Key path, such as ``datasets[2].crop.shape``; empty for the document itself.
    message : str
        What is wrong and what would be right.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class ManifestError(InputError):
    """Everything that is wrong with one manifest, at once.

    Attributes
    ----------
    problems : tuple of Problem
        In order of position; never empty.
    """

    default_kind = ErrorKind.MANIFEST

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SourceError(EmasyncError):
    """A dataset cannot be resolved: unknown entry, crop beyond the array, not built yet. Other datasets go on."""


class FormatError(SourceError):
    """Bytes are not what their format promises; the message names file or key and the broken rule."""

    default_kind = ErrorKind.FORMAT


class TransportError(EmasyncError):
    """A request did not do what it should."""

    default_kind = ErrorKind.TRANSPORT


class TransientError(TransportError):
    """Worth another try: reset, time-out, 5xx, DNS trouble."""

    default_kind = ErrorKind.TRANSIENT


class ThrottledError(TransientError):
    """429, 503 or a rate header: the whole origin is asked to wait.

    Attributes
    ----------
    retry_after_s : float or None
        Seconds the server asked for; None when it did not say.
    """

    default_kind = ErrorKind.THROTTLED

    def __init__(self, message: str, *, location: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, location=location)
        self.retry_after_s = retry_after_s


class StalledError(TransientError):
    """No byte, or a crawl, for longer than the host's policy allows."""

    default_kind = ErrorKind.STALLED


class NotFoundError(TransportError):
    """404 or 410."""

    default_kind = ErrorKind.NOT_FOUND


class AccessDeniedError(TransportError):
    """401 or 403; the message says which credentials were tried."""

    default_kind = ErrorKind.ACCESS_DENIED


class RangeNotSatisfiedError(TransportError):
    """416: the object ends before the range; plan it again.

    Attributes
    ----------
    total_bytes : int or None
        Size the server named in ``Content-Range: bytes */N``.
    """

    default_kind = ErrorKind.RANGE_NOT_SATISFIED

    def __init__(self, message: str, *, location: str | None = None, total_bytes: int | None = None) -> None:
        super().__init__(message, location=location)
        self.total_bytes = total_bytes


class PreconditionFailedError(TransportError):
    """412: If-Match failed, the object is another one than the first answer's."""

    default_kind = ErrorKind.PRECONDITION_FAILED


class RefusedError(TransportError):
    """An answer that must not be used: wrong Content-Range, HTML for a binary, a redirect out of bounds."""

    default_kind = ErrorKind.REFUSED


class IntegrityError(EmasyncError):
    """Bytes are not what was promised (digest or size). They are dropped, never placed."""

    default_kind = ErrorKind.CHECKSUM_MISMATCH


class SourceChangedError(IntegrityError):
    """The object changed at the source more often than a restart can mend."""

    default_kind = ErrorKind.SOURCE_CHANGED


class DestinationError(EmasyncError):
    """The object cannot be stored under its name (unsafe, clashing, or taken by a file that is not ours)."""

    default_kind = ErrorKind.UNSAFE_NAME


class NotDownloaded(EmasyncError):  # noqa: N818 - the name is part of the contract
    """A block touches chunks that are not on this disk; nothing is made up in their place."""

    default_kind = ErrorKind.NOT_DOWNLOADED


class MachineError(EmasyncError):
    """The machine or a guard stopped the run; it can be resumed. Exit code 4."""

    default_kind = ErrorKind.DISK


class InterruptedRunError(EmasyncError):
    """Stopped from outside (signal or cancellation); run again to resume. Exit code 3."""

    default_kind = ErrorKind.INTERRUPTED
