"""Operating-system errors → errors of this package: translated once, here, with what to do."""

from __future__ import annotations

import errno

from emasync.errors import DestinationError, EmasyncError, ErrorKind, MachineError

_REMEDIES = {
    ErrorKind.DISK_FULL: "free space (or raise the quota) and run again: what is there is kept",
    ErrorKind.NO_PERMISSION: "make the folder writable for this user or choose another root, then run again",
    ErrorKind.DISK: "check the disk and the system log, then run again",
}

_KINDS = {
    errno.ENOSPC: ErrorKind.DISK_FULL,
    errno.EDQUOT: ErrorKind.DISK_FULL,
    errno.EACCES: ErrorKind.NO_PERMISSION,
    errno.EPERM: ErrorKind.NO_PERMISSION,
    errno.EROFS: ErrorKind.NO_PERMISSION,
}

_SPECIAL_REMEDIES = {
    errno.EMFILE: "raise the limit on open files (ulimit -n) or lower max_connections, then run again",
    errno.ENFILE: "the whole system is out of file descriptors: close other programs, then run again",
    errno.EFBIG: "the filesystem (or ulimit -f) allows no file of this size: choose another root",
    errno.EXDEV: "the folder lies on another filesystem than the partial files: choose a root without mounts in it",
}

_BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})


def translate(error: OSError, action: str, path: str) -> EmasyncError:
    """Name an operating-system error.

    Parameters
    ----------
    error : OSError
    action : str
        What was tried, such as ``write``.
    path : str
        File or folder concerned.

    Returns
    -------
    EmasyncError
        :class:`MachineError` (the run stops), or :class:`DestinationError` for a name this filesystem cannot hold.
    """
    number = error.errno or 0
    reason = f"cannot {action} {path!r}: {error.strerror or error} ({errno.errorcode.get(number, number)})"
    if number in _BAD_NAME:
        return DestinationError(f"{reason}; this filesystem cannot hold that name", location=path)
    kind = _KINDS.get(number, ErrorKind.DISK)
    return MachineError(f"{reason}; {_SPECIAL_REMEDIES.get(number, _REMEDIES[kind])}", kind=kind, location=path)


def sync_failed(error: OSError, path: str) -> MachineError:
    """A failed fsync or fdatasync: the kernel may have dropped the pages, so a second try would lie (law 1)."""
    return MachineError(
        f"the disk did not confirm {path!r}: {error.strerror or error}; this batch counts as not written, "
        "check the disk and the system log, then run again",
        kind=ErrorKind.SYNC_FAILED,
        location=path,
    )
