"""Running a manifest, and what comes before: reading it, and importing what moves data."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emasync.api.blocking import blocking
from emasync.api.options import ManifestLike, RunOptions, load
from emasync.api.stopping import Stopper
from emasync.model.clock import Clock, SystemClock
from emasync.model.events import OnEvent, ignore_event
from emasync.plan.verdict import decisive

if TYPE_CHECKING:
    from emasync.api.moving import Move
    from emasync.api.recorder import Recorder
    from emasync.disk.interface import Sink
    from emasync.engine.heartbeat import Heartbeat
    from emasync.manifest.manifest import Manifest
    from emasync.model.receipt import Receipt
    from emasync.transport.surroundings import Surroundings


def run(
    manifest: ManifestLike,
    *,
    root: str | os.PathLike[str] | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
) -> Receipt:
    """Plan, transfer and verify; blocks. Works inside a running loop (Jupyter) too, in a thread of its own.

    Parameters
    ----------
    manifest : path, mapping or Manifest
    root : path, optional
        Relative to the working directory; wins over the manifest's.
    on_event : callable
        Called with each :class:`~emasync.model.events.Event`, in the run's thread.
    options : RunOptions, optional

    Returns
    -------
    Receipt
        ``receipt.ok`` tells whether everything is complete; failures are in it, not raised.

    Raises
    ------
    InputError
        The manifest or the options are wrong; nothing was contacted.
    MachineError
        The root cannot be opened: no permission, locked, ledger unreadable.
    """
    return blocking(lambda: arun(manifest, root=root, on_event=on_event, options=options))


async def arun(
    manifest: ManifestLike,
    *,
    root: str | os.PathLike[str] | None = None,
    on_event: OnEvent = ignore_event,
    options: RunOptions | None = None,
    stopper: Stopper | None = None,
    make_sink: Callable[[Path], Sink] | None = None,
    clock: Clock | None = None,
    surroundings: Surroundings | None = None,
) -> Receipt:
    """Plan, transfer and verify; cancellable (what is whole is committed first). Otherwise as :func:`run`.

    Parameters
    ----------
    stopper : Stopper, optional
        Stops the run from outside with a receipt.
    make_sink : callable, optional
        Opens the root for writing; another implementation of :class:`~emasync.disk.interface.Sink` than local files.
    clock : Clock, optional
        Of the heartbeat that says what a silent run waits for.
    surroundings : Surroundings, optional
        Certificates, proxies, credentials and names of hosts; this machine's by default.

    Raises
    ------
    InputError
        As :func:`run`; also a sink or surroundings of the caller's own with worker processes, which have none of them.
    """
    ready = await _ready(manifest)
    heartbeat = ready.heartbeat(on_event, clock if clock is not None else SystemClock())
    move = ready.move(
        manifest=ready.manifest,
        root=ready.manifest.root_for(None if root is None else Path(root)),
        heartbeat=heartbeat,
        recorder=ready.recorder(heartbeat, SystemClock()),
        options=options if options is not None else RunOptions(),
        stopper=stopper if stopper is not None else Stopper(),
        make_sink=make_sink,
        alone=make_sink is not None or surroundings is not None,
    )
    async with heartbeat.beating():
        return await move.run(surroundings or ready.surroundings)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a run begins with."""

    manifest: Manifest
    move: type[Move]
    recorder: type[Recorder]
    heartbeat: type[Heartbeat]
    surroundings: Surroundings


async def _ready(manifest: ManifestLike) -> _Ready:
    """Read certificates and proxies while the manifest is read and what moves data is imported.

    Certificates are read without the interpreter's lock. The others need it: side by side they would take longer.
    """
    try:
        async with asyncio.TaskGroup() as group:
            surroundings = group.create_task(asyncio.to_thread(_surroundings))
            loaded = group.create_task(asyncio.to_thread(_loaded, manifest))
    except ExceptionGroup as failures:
        raise decisive(failures) from failures
    return _Ready(*loaded.result(), surroundings.result())


def _surroundings() -> Surroundings:
    from emasync.transport.surroundings import Surroundings  # noqa: PLC0415 - ssl, urllib

    return Surroundings.read()


def _loaded(manifest: ManifestLike) -> tuple[Manifest, type[Move], type[Recorder], type[Heartbeat]]:
    loaded = load(manifest)
    from emasync.api.moving import Move  # noqa: PLC0415 - all of the engine, and not for a manifest that is wrong
    from emasync.api.recorder import Recorder  # noqa: PLC0415 - as above
    from emasync.engine.heartbeat import Heartbeat  # noqa: PLC0415 - as above

    return loaded, Move, Recorder, Heartbeat
