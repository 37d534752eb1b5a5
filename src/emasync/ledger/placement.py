"""Where the ledger of a root lives.

SQLite needs working locks and shared memory, which network filesystems do not promise (law 13). So the ledger of a
root on such a filesystem lives in a local folder, and the root keeps a pointer to it, a snapshot and a copy
(``backup.py``). Two notes tie both together, by an identity that travels with the root:

- ``<root>/.emasync/ledger.json`` names the identity, the host and the folder;
- ``<state_dir>/root.json`` names the identity and the root's path and inode.

A root that was moved is found again by its identity. A root that was copied (the first one is still there) gets an
identity and a ledger of its own, from the copy in it. A root whose pointer names another machine is taken over
from the copy in it, unless a run goes on there.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emasync.disk.mounts import mount_for
from emasync.errors import ErrorKind, MachineError
from emasync.ledger.machine import host_name
from emasync.ledger.notes import read_note, write_note
from emasync.ledger.opening import FILE_NAME as LEDGER

ROOT_FOLDER: Final = ".emasync"
POINTER: Final = "ledger.json"
BACK_POINTER: Final = "root.json"
BACKUP: Final = "state-backup.sqlite"
"""Copy of a ledger that lives elsewhere, inside the root's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the ledger of one root lives.

    Attributes
    ----------
    state_dir : Path
    root_folder : Path
        ``<root>/.emasync``.
    filesystem : str
        Type of the root's filesystem.
    network : bool
        Whether that is shared by machines.
    """

    state_dir: Path
    root_folder: Path
    filesystem: str
    network: bool

    @property
    def elsewhere(self) -> bool:
        """Whether the ledger lives outside the root: a snapshot and copies go into the root then."""
        return self.state_dir != self.root_folder


def place_ledger(root: Path, state_dir: Path | None = None, *, break_lock: bool = False) -> Path:
    """Find, or make, the folder of the ledger of `root`; see :func:`find_place`."""
    place = find_place(
        root,
        state_dir,
        mountinfo=None,
        environ=os.environ,
        host=host_name(),
        break_lock=break_lock,
    )
    return place.state_dir


def find_place(
    root: Path,
    state_dir: Path | None,
    *,
    mountinfo: str | None,
    environ: Mapping[str, str],
    host: str,
    break_lock: bool = False,
) -> Place:
    """Decide where the ledger of `root` lives, and tie both together.

    Parameters
    ----------
    root : Path
        Must exist.
    state_dir : Path or None
        The user's choice.
    mountinfo : str or None
        Text of ``/proc/self/mountinfo``; None reads it.
    environ : mapping of str to str
        ``XDG_STATE_HOME`` and ``HOME`` decide about the default (XDG Base Directory Specification 0.8).
    host : str
        Name of this machine.
    break_lock : bool
        Take a root over from another machine although a run seems to go on there.

    Raises
    ------
    MachineError
        ``root_locked``: a run goes on on another machine. ``ledger``: `state_dir` holds another root's ledger.
        ``no_permission``: a note cannot be written.
    """
    root = root.absolute()
    mount = mount_for(root, mountinfo=mountinfo)
    folder = root / ROOT_FOLDER
    pointer = _Pointer.read(folder / POINTER)
    try:
        chosen = _choose(root, state_dir, pointer, network=mount.network, environ=environ, host=host)
        if chosen is None:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            _require_free(folder, pointer, host, break_lock=break_lock)
            _tie(root, chosen, host)
    except OSError as error:
        raise MachineError(
            f"{error.filename or folder}: cannot prepare the ledger's folder ({error}); check its permissions",
            kind=ErrorKind.NO_PERMISSION,
        ) from error
    return Place(
        state_dir=folder if chosen is None else chosen.state_dir,
        root_folder=folder,
        filesystem=mount.type,
        network=mount.network,
    )


@dataclass(frozen=True, slots=True)
class _Pointer:
    """Identity and place, as one note says."""

    identity: str
    host: str
    state_dir: Path

    @classmethod
    def read(cls, path: Path) -> _Pointer | None:
        note = read_note(path)
        if note is None or not all(isinstance(note.get(name), str) for name in ("id", "host", "state_dir")):
            return None
        return cls(note["id"], note["host"], Path(note["state_dir"]))


def _choose(
    root: Path,
    state_dir: Path | None,
    pointer: _Pointer | None,
    *,
    network: bool,
    environ: Mapping[str, str],
    host: str,
) -> _Pointer | None:
    """Identity and folder of a ledger outside the root; None for the one inside."""
    identity = pointer.identity if pointer is not None else uuid.uuid4().hex
    if state_dir is not None:
        chosen = state_dir.absolute()
        if chosen == root / ROOT_FOLDER:
            return None
        if not _is_of(chosen, root, identity):
            raise MachineError(
                f"{chosen}: holds the ledger of another root ({root_of_state(chosen)}); choose another state_dir",
                kind=ErrorKind.LEDGER,
            )
        return _Pointer(identity, host, chosen)
    if pointer is not None and pointer.host == host and (pointer.state_dir / LEDGER).exists():
        if _is_of(pointer.state_dir, root, identity):
            return pointer
        identity = uuid.uuid4().hex  # this root is a copy
    return _Pointer(identity, host, default_state_dir(identity, environ)) if network else None


def default_state_dir(identity: str, environ: Mapping[str, str]) -> Path:
    """Local folder for the ledger of a root, by the root's identity."""
    home = environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return base / "emasync" / identity


def _is_of(state_dir: Path, root: Path, identity: str) -> bool:
    """Whether a folder is free, or holds the ledger of this root, which may have been moved."""
    note = read_note(state_dir / BACK_POINTER)
    if note is None:
        return True
    if note.get("id") != identity:
        return False
    known = Path(str(note.get("root", "")))
    return not known.is_dir() or known.samefile(root) or not _names(known, identity)


def _names(root: Path, identity: str) -> bool:
    """Whether the root at this path has that identity."""
    pointer = _Pointer.read(root / ROOT_FOLDER / POINTER)
    return pointer is not None and pointer.identity == identity


def _require_free(folder: Path, pointer: _Pointer | None, host: str, *, break_lock: bool) -> None:
    """Refuse a root that a run on another machine works on: its lock cannot be seen from here."""
    if pointer is None or pointer.host == host or break_lock:
        return
    snapshot = read_note(folder / "snapshot.json")
    if snapshot is not None and snapshot.get("running") is True:
        raise MachineError(
            f"{folder.parent}: a run goes on on {pointer.host} (its ledger is {pointer.state_dir} there, last seen"
            f" {snapshot.get('time')}); wait for it or stop it. If it surely runs no more, use --break-lock",
            kind=ErrorKind.ROOT_LOCKED,
        )


def _tie(root: Path, chosen: _Pointer, host: str) -> None:
    """Bring the ledger there if it is not, then write both notes."""
    folder, state_dir = root / ROOT_FOLDER, chosen.state_dir
    state_dir.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (state_dir / LEDGER).exists():
        _bring(folder, state_dir)
    write_note(state_dir / BACK_POINTER, {"version": 1, "id": chosen.identity, "root": str(root)}, durable=True)
    fields: dict[str, Any] = {"version": 1, "id": chosen.identity, "host": host, "state_dir": str(state_dir)}
    write_note(folder / POINTER, fields, durable=True)  # Any: JSON values


def _bring(folder: Path, state_dir: Path) -> None:
    """Take over a ledger that was made inside the root, with its log, or else the copy kept there."""
    inside = folder / LEDGER
    source = inside if inside.exists() else folder / BACKUP
    if not source.exists():
        return
    temporary = state_dir / f".{LEDGER}"
    shutil.copyfile(source, temporary)
    log = source.with_name(f"{source.name}-wal")
    if log.exists():
        shutil.copyfile(log, state_dir / f"{LEDGER}-wal")
    temporary.replace(state_dir / LEDGER)
    if source is inside:
        for name in (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm"):
            (folder / name).unlink(missing_ok=True)


def root_of_state(state_dir: Path) -> Path | None:
    """The root whose ledger lives in `state_dir`; None when that is inside the root, or nobody's."""
    note = read_note(state_dir / BACK_POINTER)
    return Path(note["root"]) if note is not None and isinstance(note.get("root"), str) else None
