"""Folders outside a root that its files are laid into: declared in the root, opened with it, and linked for readers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import orjson

from emasync.disk.faults import translate
from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.disk.spread import Outlying, SpreadSink, each
from emasync.errors import InputError, MachineError

_TOKEN: Final = re.compile(r"[0-9a-f]{8}")

DECLARATION: Final = "layout.json"
"""Document of the root whose ``folders`` and ``token`` declare them."""


def declared(root: Path) -> Outlying | None:
    """What a root declares; None where it declares nothing, not even that there are none.

    Raises
    ------
    InputError
        The declaration cannot be read.
    """
    try:
        document: Any = orjson.loads((root / DECLARATION).read_bytes())  # Any: JSON, taken apart here
        folders = {str(place): str(path) for place, path in document.get("folders", {}).items()}
        token = str(document.get("token", ""))
        if folders and not _TOKEN.fullmatch(token):
            raise ValueError(f"token {token[:40]!r}")  # noqa: TRY301 - told as everything else that is wrong with it
        return Outlying(folders=folders, token=token)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{root / DECLARATION} cannot be read ({error!r}); put it back from a copy") from error


def open_root(root: Path, folders: Mapping[str, str] | None = None) -> Sink:
    """Open a root for writing, with the folders outside it.

    One that was moved is known again by its folder of unfinished files, where who calls names its new place; the new
    declaration is theirs to write.

    Parameters
    ----------
    root : Path
        Made when missing.
    folders : mapping of str to str, optional
        Folders that the root is to declare, or declares already: absolute, by path in the root. None: as declared.

    Raises
    ------
    InputError
        It declares others; a folder is not there, or inside another one.
    MachineError
        It cannot be opened; a folder that was used before is another one now.
    """
    there = declared(root)
    wanted = (there or Outlying()) if folders is None else _wanted(root, there, _apart(root, folders))
    opened = LocalSink(root)
    if not wanted.folders:
        return opened
    sinks: dict[str, Sink] = {}
    try:
        for place, path in wanted.folders.items():
            sinks[place] = _open_folder(Path(path), wanted.unfinished, known=there is not None)
            if there is not None:
                _unlink(root / place, there.folders[place], path)
            _link(root / place, path)
    except BaseException:
        each((opened, *sinks.values()), lambda sink: sink.close())
        raise
    for sink in (opened, *sinks.values()):
        # looks what filesystem it is on: later the first batch of one may come where nothing may take its time
        sink.write_whole([]).close()
    return SpreadSink(opened, sinks, wanted)


def _wanted(root: Path, there: Outlying | None, outside: dict[str, str]) -> Outlying:
    """What a root is to declare.

    Raises
    ------
    InputError
        It declares others, and they were not moved to where they are asked for.
    """
    if there is None:
        return Outlying(folders=outside, token=token_hex(4) if outside else "")
    if not _are_moved(there, outside):
        raise InputError(
            f"{root} is laid into {_words(there.folders)}, and the manifest asks for {_words(outside)}: nothing is "
            "moved. Name the folders that the root has, move them there yourself with all that is in them, or use "
            "another root (--root)"
        )
    return replace(there, folders=outside)


def _are_moved(there: Outlying, outside: Mapping[str, str]) -> bool:
    """Whether folders are the same ones, wherever they are now: a copy beside the old one is none."""
    return there.folders.keys() == outside.keys() and all(
        path == there.folders[place]
        or ((Path(path) / there.unfinished).is_dir() and not (Path(there.folders[place]) / there.unfinished).is_dir())
        for place, path in outside.items()
    )


def _words(folders: Mapping[str, str]) -> str:
    return ", ".join(folders.values()) or "no folder outside it"


def _apart(root: Path, folders: Mapping[str, str]) -> dict[str, str]:
    """Those that are not where they would be without being named.

    Raises
    ------
    InputError
        One lies in another one, or in the root, or the root in it.
    """
    home = root.resolve()
    outside = {place: path for place, path in folders.items() if Path(path) != home / place}
    known = [home]
    for path in map(Path, outside.values()):
        for other in known:
            if path.is_relative_to(other) or other.is_relative_to(path):
                raise InputError(f"folder {path} and folder {other} lie inside each other; name folders that do not")
        known.append(path)
    return outside


def _open_folder(path: Path, unfinished: str, *, known: bool) -> LocalSink:
    """Open one; the folder of unfinished files in it tells later that it is still the same.

    Raises
    ------
    InputError, MachineError
        As :func:`open_root`.
    """
    if not path.is_dir():
        kind = MachineError if known else InputError
        moved = ", or run a manifest that names its new place" if known else ""
        raise kind(f"{path} is no folder: make it, or mount its filesystem{moved}", location=str(path))
    mark = path / unfinished
    if known and not mark.is_dir():
        raise MachineError(
            f"{path} is not the folder that this root was laid into ({mark} is missing): mount its filesystem, put the "
            "folder back, or run a manifest that names its new place; if it is right, make that folder",
            location=str(path),
        )
    sink = LocalSink(path, partial_folder=unfinished)
    sink.reserve("mark", 0).close()
    sink.discard("mark")
    return sink


def _unlink(link: Path, former: str, path: str) -> None:
    """Remove the link to where a folder was."""
    if former != path and link.is_symlink() and str(link.readlink()) == former:
        link.unlink()


def _link(link: Path, path: str) -> None:
    """Let readers find the folder at its place in the root; nothing is written through the link.

    Raises
    ------
    InputError
        Something else is there.
    MachineError
        It cannot be made.
    """
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path, target_is_directory=True)
    except FileExistsError as error:
        raise InputError(f"{link} is there, and should be a link to {path}; move it away") from error
    except OSError as error:
        raise translate(error, "link", str(link)) from error
    if str(link.readlink()) != path:
        raise InputError(f"{link} leads to {link.readlink()}, expected {path}; remove the link")
