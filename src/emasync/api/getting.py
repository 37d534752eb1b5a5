"""Fetching what a link names: a run of a manifest that is made from it, and kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emasync.api.blocking import blocking
from emasync.api.links import LinkedManifest, compose, guard, link_mark, settle
from emasync.api.options import RunOptions
from emasync.api.running import arun
from emasync.api.stopping import Stopper
from emasync.model.events import Event, OnEvent, ignore_event

if TYPE_CHECKING:
    from emasync.api.asking import Linked
    from emasync.model.receipt import Receipt
    from emasync.sources.links.narrowing import Narrowing

RECORDED: Final = "emasync-get.yaml"
"""In ``<root>/<dataset id>.source-metadata/``."""

DEFAULT_ROOT: Final = "data"
"""Below the working directory."""

_MARK_LINES: Final = 3
"""Lines at the top of a recorded manifest that may say which link it was made from."""

_LINE_CHARACTERS: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of a link.

    Attributes
    ----------
    include, exclude, arrays : tuple of str
    scales : tuple of int
    crop : str or None
        ``Z0:Z1,Y0:Y1,X0:X1[@LEVEL]``, ``center:Z,Y,X[@LEVEL]`` or ``random:Z,Y,X[@LEVEL]``.
    path : str or None
        Where the one file of a link goes below the dataset's folder.
    dataset : str or None
        Id of the only dataset, and name of its folder; made from the link by default.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    scales: tuple[int, ...] = ()
    crop: str | None = None
    path: str | None = None
    dataset: str | None = None

    def narrowing(self) -> Narrowing:
        """The part of it that a manifest says."""
        from emasync.sources.links.narrowing import Narrowing  # noqa: PLC0415 - pydantic, by way of the manifest

        return Narrowing(
            include=self.include,
            exclude=self.exclude,
            arrays=self.arrays,
            scales=self.scales,
            crop=self.crop,
            path=self.path,
        )


def get(
    location: str,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    wish: Wish | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
) -> Receipt:
    """Fetch what a link, a path or a name stands for; blocks. Call it again to resume.

    The manifest that is made of it is kept as ``<root>/<dataset id>.source-metadata/emasync-get.yaml``, and
    :func:`emasync.run` of that file does the same again.

    Parameters
    ----------
    location : str
        Anything that ``docs/links.md`` lists.
    root : path
        Where the data goes.
    wish : Wish, optional
        What is wanted of it; all by default.
    on_event : callable
    options : RunOptions, optional

    Returns
    -------
    Receipt

    Raises
    ------
    InputError
        Nothing that is understood, or wishes that do not fit it.
    SourceError
        It takes the network to know what the link names, and it is not there or does not answer.
    MachineError
        The root cannot be written.
    """
    return blocking(lambda: aget(location, root=root, wish=wish, on_event=on_event, options=options))


async def aget(
    location: str,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    wish: Wish | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
    stopper: Stopper | None = None,
) -> Receipt:
    """As :func:`get`; cancellable (what is whole is committed first)."""
    options = options if options is not None else RunOptions()
    manifest = await record(location, Path(root), wish or Wish(), options=options, on_event=on_event)
    return await arun(manifest, on_event=on_event, options=options, stopper=stopper)


async def record(location: str, root: Path, wish: Wish, *, options: RunOptions, on_event: OnEvent) -> Path:
    """Make the manifest of a link and keep it below `root`.

    Returns
    -------
    Path
        Of the manifest; its ``root`` is the one it lies in, wherever that is moved.

    Raises
    ------
    InputError, SourceError, MachineError
        As :func:`get`.
    """
    mirrors = options.mirrors or {}
    linked = await settle(location, mirrors=mirrors, on_event=on_event, allow_private=options.allow_private)
    folder = await asyncio.to_thread(root.expanduser)
    made = await asyncio.to_thread(_made, location, linked, wish, mirrors, folder)
    for note in made.notes:
        on_event(Event("warning", {"message": note}))
    return await _keep(made.text, folder, made.ids)


def _made(location: str, linked: Linked, wish: Wish, mirrors: Mapping[str, str], root: Path) -> LinkedManifest:
    from emasync.sources.links.interface import Ready  # noqa: PLC0415 - pydantic, by way of the manifest

    mark = "" if isinstance(linked.settled, Ready) else link_mark(linked.settled)
    return compose(
        linked.settled,
        comments=(f"emasync get {location}", mark),
        dataset=wish.dataset,
        narrowing=wish.narrowing(),
        head={"root": "..", **guard(linked), **({"mirrors": dict(mirrors)} if mirrors else {})},
        taken=lambda name: _is_anothers(root, name, mark),
    )


def _is_anothers(root: Path, name: str, mark: str) -> bool:
    """Whether a dataset of this id is there, and is not of this place."""
    kept, ours = root / f"{name}.source-metadata", f"# {mark.partition(',')[0]}"
    try:
        with (kept / RECORDED).open(encoding="utf-8") as file:
            return ours not in [file.readline(_LINE_CHARACTERS).partition(",")[0] for _ in range(_MARK_LINES)]
    except (OSError, UnicodeDecodeError):
        return kept.exists() or (root / name).exists()


async def _keep(text: str, root: Path, ids: Sequence[str]) -> Path:
    """Write the manifest beside each of its datasets."""
    write = await asyncio.to_thread(_writer)
    paths = [root / f"{name}.source-metadata" / RECORDED for name in ids]
    for path in paths:
        await asyncio.to_thread(_make_folder, path.parent)
        await write(path, text)
    return paths[0]


def _writer() -> Callable[[Path, str], Awaitable[None]]:
    from emasync.disk.documents import write_document  # noqa: PLC0415 - where it is used; imports read files

    return write_document


def _make_folder(path: Path) -> None:
    from emasync.disk.faults import translate  # noqa: PLC0415 - as above

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise translate(error, "create", str(path)) from error
