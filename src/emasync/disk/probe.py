"""What kind of disk a root lies on, asked once at the start of a run."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from emasync.disk.faults import translate
from emasync.disk.mounts import existing, mount_for, mounts_below, parse_mountinfo, read_mountinfo
from emasync.disk.sink import PARTIAL_FOLDER
from emasync.errors import InputError

_SAMPLE_BYTES = 16 << 10
_TRIAL = ".trial-"
"""What names of trial files begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemFacts:
    """What is known of the filesystem of a root.

    Attributes
    ----------
    type : str
        Such as ``ext4``, ``nfs4``; ``unknown`` where the system does not tell (macOS).
    network : bool
        Shared by machines: SQLite must not live there.
    read_only : bool
    free_bytes : int
        For this user.
    free_inodes : int or None
        None where the filesystem does not count them.
    partial_beside : bool
        Whether unfinished files lie on the root's filesystem, so that a rename can place them.
    mounts_below : tuple of str
        Other filesystems mounted inside the root: nothing can be placed there by a rename.
    case_sensitive : bool or None
        None when nothing was written.
    create_s : float or None
        Creating, writing and renaming one 16 KiB file, seconds, median; None when nothing was written.
    sync_s : float or None
        fdatasync of such a file, seconds, median; None when nothing was written.
    """

    type: str
    network: bool
    read_only: bool
    free_bytes: int
    free_inodes: int | None
    partial_beside: bool
    mounts_below: tuple[str, ...] = ()
    case_sensitive: bool | None = None
    create_s: float | None = None
    sync_s: float | None = None


def require_root(root: Path) -> None:
    """Make the root when it is missing and see that files can be made in it.

    Raises
    ------
    InputError
        `root` is a file.
    MachineError
        ``no_permission``, ``disk_full``, ``disk``: with what to do.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        trial = root / f".emasync-trial-{secrets.token_hex(4)}"
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        trial.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        what = "is a symbolic link to nowhere" if root.is_symlink() else "is a file, or lies below one"
        raise InputError(f"root {str(root)!r} {what}; name a folder", location=str(root)) from error
    except OSError as error:
        raise translate(error, "make files in the root", str(root)) from error


def probe(
    root: Path,
    *,
    partial_folder: str = PARTIAL_FOLDER,
    measure: bool = True,
    files: int = 5,
    clock: Callable[[], float] = time.perf_counter,
    mountinfo: str | None = None,
) -> FilesystemFacts:
    """Look at the filesystem of `root`, and try it with a few small files in the partial folder.

    Parameters
    ----------
    root : Path
        Need not exist when `measure` is False.
    partial_folder : str
        Relative to the root.
    measure : bool
        False: nothing is written, and what only writing tells is None.
    files : int
        How many files are made and removed again; at least 1.
    clock : callable
        Monotonic seconds.
    mountinfo : str, optional
        As for :func:`emasync.disk.mounts.mount_for`.

    Raises
    ------
    MachineError
        The trial files cannot be made.
    """
    text = read_mountinfo() if mountinfo is None else mountinfo
    mount = mount_for(root, mountinfo=text)
    base = existing(root)
    space = os.statvfs(base)
    partial = root / partial_folder
    sensitive, create_s, sync_s = _measure(partial, files, clock) if measure else (None, None, None)
    return FilesystemFacts(
        type=mount.type,
        network=mount.network,
        read_only=mount.read_only,
        free_bytes=space.f_bavail * space.f_frsize,
        free_inodes=space.f_favail if space.f_files else None,
        partial_beside=existing(partial).stat().st_dev == base.stat().st_dev,
        mounts_below=mounts_below(parse_mountinfo(text), str(base.resolve())) if base == root.absolute() else (),
        case_sensitive=sensitive,
        create_s=create_s,
        sync_s=sync_s,
    )


def _measure(folder: Path, files: int, clock: Callable[[], float]) -> tuple[bool, float, float]:
    """Case sensitivity, seconds to create, seconds to sync."""
    stem = f"{_TRIAL}{secrets.token_hex(4)}"
    create_s, sync_s = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(folder, _TRIAL)  # of a run that was killed in the middle of this: it had the lock, as we have now
        for number in range(max(files, 1)):
            created, synced = _try_one(folder, f"{stem}-{number}", clock)
            create_s.append(created)
            sync_s.append(synced)
        (folder / f"{stem}-case").touch()
        sensitive = not (folder / f"{stem}-CASE").exists()
    except OSError as error:
        raise translate(error, "make trial files in", str(folder)) from error
    finally:
        _remove(folder, stem)
    return sensitive, median(create_s), median(sync_s)


def _remove(folder: Path, stem: str) -> None:
    for left in folder.glob(f"{stem}*"):
        left.unlink(missing_ok=True)


def _try_one(folder: Path, name: str, clock: Callable[[], float]) -> tuple[float, float]:
    begin = clock()
    fd = os.open(folder / f"{name}-new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b"\0" * _SAMPLE_BYTES)
        written = clock()
        os.fsync(fd)
        synced = clock()
    finally:
        os.close(fd)
    closed = clock()
    (folder / f"{name}-new").rename(folder / name)
    return (written - begin) + (clock() - closed), synced - written


def allocated_bytes(folder: Path) -> int:
    """Space that the files right in `folder` hold on the disk, preallocation included; 0 when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sum(_allocated(entry) for entry in entries)
    except FileNotFoundError:
        return 0


def _allocated(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512  # POSIX <sys/stat.h>: the unit of st_blocks here
    except FileNotFoundError:  # placed meanwhile
        return 0
