"""What tells one boot, machine and filesystem from another."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYSCTL = Path("/usr/sbin/sysctl")


def boot_id() -> str:
    """Name of this boot of this machine: changes with every start, also after a power cut.

    References
    ----------
    Linux ``random(4)``: ``/proc/sys/kernel/random/boot_id``. Darwin ``sysctl(3)``: ``kern.bootsessionuuid``.
    """
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return _darwin_boot_id()


def _darwin_boot_id() -> str:
    if not _SYSCTL.exists():
        return "unknown"
    command = [str(_SYSCTL), "-n", "kern.bootsessionuuid"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=10)  # noqa: S603  # fixed command
    return done.stdout.decode("ascii", "replace").strip() or "unknown"


def host_name() -> str:
    """Name of this machine, for people and for comparing with what a lock says."""
    return socket.gethostname()


def filesystem_id(path: Path) -> str:
    """Identity of the filesystem that holds `path`; survives a reboot (device numbers do not).

    Raises
    ------
    FileNotFoundError
        `path` does not exist.
    """
    return f"{os.statvfs(path).f_fsid & 0xFFFF_FFFF_FFFF_FFFF:x}"


def process_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine (it may be another one by now)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
