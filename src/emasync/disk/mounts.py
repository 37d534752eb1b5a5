"""Which filesystem a folder lies on, as Linux tells in ``/proc/self/mountinfo`` (proc(5), section 3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")

MEMORY_TYPES = frozenset({"tmpfs", "ramfs"})
"""Files are pages of memory: nothing to make durable, and reserving blocks is taking the memory."""

NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "beegfs_nodev",
        "ceph",
        "glusterfs",
        "afs",
        "coda",
        "9p",
        "orangefs",
        "pvfs2",
        "panfs",
        "wekafs",
        "ocfs2",
        "gfs2",
        "ncpfs",
        "davfs",
    }
)
"""Shared by machines: other hosts may write there too, locks and memory maps are not to be relied on."""

LOCAL_FUSE = frozenset(
    {
        "fuse.bindfs",
        "fuse.encfs",
        "fuse.exfat",
        "fuse.fuse-overlayfs",
        "fuse.gocryptfs",
        "fuse.mergerfs",
        "fuse.ntfs-3g",
        "fuse.unionfs",
        "fuse.zfs",
    }
)
"""User-space filesystems over local disks; every other ``fuse.*`` (sshfs, rclone, s3fs, ...) counts as network."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo.

    Attributes
    ----------
    point : str
        Absolute path it is mounted at.
    type : str
        Filesystem type, such as ``ext4``, ``nfs4``, ``fuse.sshfs``.
    source : str
        Device or remote name.
    read_only : bool
    """

    point: str
    type: str
    source: str
    read_only: bool

    @property
    def network(self) -> bool:
        """Whether the type is one that machines share."""
        return self.type in NETWORK_TYPES or (self.type.startswith("fuse.") and self.type not in LOCAL_FUSE)


_UNKNOWN = Mount("/", "unknown", "", read_only=False)


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _parse_line(line: str) -> Mount | None:
    head, separator, tail = line.partition(" - ")
    first, last = head.split(" "), tail.split(" ")
    if not separator or len(first) < 6 or len(last) < 3:  # noqa: PLR2004  # the fixed fields of either side
        return None
    read_only = "ro" in first[5].split(",") or "ro" in last[2].split(",")
    return Mount(_unescape(first[4]), last[0], _unescape(last[1]), read_only)


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    r"""Read mountinfo: ``36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue``.

    Parameters
    ----------
    text : str
        Spaces, tabs, newlines and backslashes in paths are octal escapes (``\040``). Lines that do not follow the
        format are left out.

    Returns
    -------
    tuple of Mount
        In the kernel's order: what is mounted later at the same point hides what was there.
    """
    return tuple(mount for line in text.splitlines() if (mount := _parse_line(line)) is not None)


def _holds(mount: Mount, path: str) -> bool:
    point = mount.point.rstrip("/")
    return path == point or path.startswith(point + "/")


def mount_of(mounts: Iterable[Mount], path: str) -> Mount | None:
    """Mount that an absolute, resolved `path` lies on: the longest mount point above it, the last of equals."""
    best: Mount | None = None
    for mount in mounts:
        if _holds(mount, path) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def mounts_below(mounts: Iterable[Mount], path: str) -> tuple[str, ...]:
    """Mount points inside the folder `path` (absolute, resolved): files cannot be renamed across them."""
    inside = path.rstrip("/") + "/"
    return tuple(sorted({mount.point for mount in mounts if mount.point.startswith(inside)}))


def mount_for(path: Path, *, mountinfo: str | None = None) -> Mount:
    """Filesystem of `path`, or of the nearest folder above it that exists. Reads only.

    Parameters
    ----------
    path : Path
    mountinfo : str, optional
        Text of ``/proc/self/mountinfo``; read from there by default. Where there is none, the type is ``unknown``
        and counts as local.
    """
    text = read_mountinfo() if mountinfo is None else mountinfo
    return mount_of(parse_mountinfo(text), str(existing(path).resolve())) or _UNKNOWN


def read_mountinfo() -> str:
    """What the kernel says of mounts; empty where it does not."""
    try:
        return _MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return ""


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
