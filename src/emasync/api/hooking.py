"""The hooks of a root: what they are told of its datasets, and how they are run."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from emasync.api.blocking import blocking
from emasync.api.look import status
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.errors import EmasyncError, InputError, InterruptedRunError, MachineError, SourceError
from emasync.hooks.interface import FACTS, FACTS_VERSION, DatasetFacts, Hook, HookContext, HookReport, SeriesFacts
from emasync.manifest.description import Series
from emasync.manifest.entry import Entry
from emasync.model.events import Event, OnEvent, ignore_event
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.plan.layout import Keeper, Layout, source_metadata
from emasync.plan.tools import SinkDocuments
from emasync.registry import HOOKS
from emasync.settings import Settings

_log = logging.getLogger("emasync")

MOST_TOLD_NOTES = 100
"""Of a hook, in its event; all are on the page of the root."""

_PLACES = ("url", "registry", "dandiset", "entry", "dataset", "bucket")
"""What entries call the place they speak of, the most telling first."""


async def facts_in(entry: Entry, layout: Layout, keeper: Keeper) -> DatasetFacts:
    """What hooks are told of a dataset, with what of its folder is its own."""
    try:
        places = await layout.places(entry.id, keeper)
    except SourceError as error:  # said again by whoever lays out more
        _log.warning("%s", error.message)
        places = ()
    return replace(facts_of(entry, layout), places=None if places is None else tuple(places))


def facts_of(entry: Entry, layout: Layout) -> DatasetFacts:
    """What hooks are told of a dataset that has its folder to itself."""
    series = entry.series
    return DatasetFacts(
        id=entry.id,
        folder=layout.folder(entry.id),
        source=entry.source_name,
        location=_location(entry),
        role=entry.role,
        format=entry.format,
        subset=entry.subset,
        series=None if series is None else _series(series),
        metadata=entry.metadata.model_dump(mode="json", exclude_none=True),
        include=entry.selection.include,
        exclude=entry.selection.exclude,
    )


def _series(series: Series) -> SeriesFacts:
    return SeriesFacts(pattern=str(series.pattern), spacing=series.spacing, unit=str(series.unit))


def _location(entry: Entry) -> str:
    files = getattr(entry, "files", ())
    if files:
        return _shown(files[0].url)
    named = ((name, getattr(entry, name, None)) for name in _PLACES)
    name, value = next(((name, value) for name, value in named if value is not None), ("", ""))
    if name == "url":
        return _shown(value)
    return f"{entry.source_name}:{value}" if name else ""


def _shown(url: object) -> str:
    """A URL of the manifest, without what grants access: it is written down."""
    try:
        return redact(Location.parse(str(url)))
    except InputError:  # no place yet, such as a template
        return str(url).partition("?")[0]


def _known(root: str | os.PathLike[str]) -> tuple[Path, tuple[DatasetFacts, ...]]:
    folder = Path(root).expanduser()
    known = known_facts(folder)
    if not known:
        status(folder)  # says what is wrong with a folder that no run made
        raise InputError(f"{root}: no dataset was finished here with hooks on; run its manifest again")
    return folder, known


async def remember_facts(resources: Resources, datasets: Iterable[DatasetFacts]) -> None:
    """Keep what hooks are told beside each dataset, so that they can be run without the manifest.

    Raises
    ------
    MachineError
        Disk full, no permission.
    """
    documents = SinkDocuments(resources.sink)
    for facts in datasets:
        place = f"{source_metadata(facts.id)}/{FACTS}"
        document = {"version": FACTS_VERSION, **asdict(facts)}
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        if await documents.read(place) != data:
            await documents.write(place, data)


def known_facts(root: Path) -> tuple[DatasetFacts, ...]:
    """What earlier runs left of the datasets of a root, by name; what cannot be read is passed over."""
    found = (_read(path) for path in sorted(root.glob(f"*{source_metadata('')}/{FACTS}")))
    return tuple(facts for facts in found if facts is not None)


def _read(path: Path) -> DatasetFacts | None:
    try:
        document: dict[str, Any] = orjson.loads(path.read_bytes())  # Any: JSON, checked by taking it apart
        if document.pop("version") != FACTS_VERSION:
            return None
        series = document.pop("series")
        document |= {name: tuple(document.pop(name, ())) for name in ("include", "exclude")}
        document["places"] = None if document.get("places") is None else tuple(document["places"])
        return DatasetFacts(**document, series=None if series is None else SeriesFacts(**series))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


async def run_hooks(
    resources: Resources,
    datasets: Sequence[DatasetFacts],
    on_event: OnEvent,
    hurry: Callable[[], bool],
    *,
    names: Sequence[str] | None = None,
) -> tuple[dict[str, HookReport], EmasyncError | None]:
    """Run hooks, one after the other, on the ledger's thread.

    Parameters
    ----------
    resources : Resources
    datasets : sequence of DatasetFacts
        To look at.
    on_event : callable
    hurry : callable
        Whether the run was asked to stop; read from any thread.
    names : sequence of str, optional
        Hooks to run; all that are built by default.

    Returns
    -------
    dict of str to HookReport
        By name.
    EmasyncError or None
        What stopped the rest (the machine, or somebody from outside), else the first failure: other hooks go on.
    """
    from emasync.hooks.run_notes import write_hook  # noqa: PLC0415 - after the transfer

    reports: dict[str, HookReport] = {}
    failed: list[EmasyncError] = []
    older = await asyncio.to_thread(known_facts, resources.root)
    known = {facts.id: facts for facts in (*older, *datasets)}
    context = partial(
        HookContext,
        root=resources.root,
        state_dir=resources.state_dir,
        sink=resources.sink,
        datasets=datasets,
        all_datasets=tuple(known.values()),
        on_event=on_event,
        hurry=hurry,
        anew=names is not None,
    )
    for name in names if names is not None else await asyncio.to_thread(HOOKS.built):
        try:
            report = await _run_hook(resources, name, context)
        except (MachineError, InterruptedRunError) as error:
            return reports, error
        except EmasyncError as error:  # the data is not less complete
            failed.append(error)
            await asyncio.to_thread(write_hook, resources.state_dir, name, HookReport(notes=(error.message,)))
            _log.warning("hook %s: %s", name, error.message)
            on_event(Event("warning", {"hook": name, "message": f"hook {name}: {error.message}"}))
            continue
        reports[name] = report
        on_event(Event("hook", {"hook": name, **report.counts, "notes": list(report.notes[:MOST_TOLD_NOTES])}))
        await asyncio.to_thread(write_hook, resources.state_dir, name, report)
    return reports, failed[0] if failed else None


async def _run_hook(resources: Resources, name: str, context: Callable[..., HookContext]) -> HookReport:
    """Run one hook; what nobody foresaw in it (a plug-in's fault, a library's) is its failure and not the run's.

    Raises
    ------
    EmasyncError
    """
    try:
        made: Hook = (await asyncio.to_thread(HOOKS.load, name))()
        report: HookReport = await resources.ledger.call(lambda ledger: made.run(context(ledger=ledger)))
    except EmasyncError:
        raise
    except Exception as error:
        _log.exception("hook %s", name)
        what = f"{type(error).__name__}: {error}"
        raise EmasyncError(f"{what}; the data is not concerned, please report this as a bug", location=name) from error
    return report


def hook(
    root: str | os.PathLike[str],
    name: str,
    *,
    only: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> HookReport:
    """Run one hook again, from what is on disk; blocks. See :func:`ahook`."""
    return blocking(lambda: ahook(root, name, only=only, on_event=on_event))


async def ahook(
    root: str | os.PathLike[str],
    name: str,
    *,
    only: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> HookReport:
    """Run one hook again, from what is on disk.

    Parameters
    ----------
    root : path
    name : str
        ``index``, ``metadata``, ``flexiznam``, ``report``, or one of a plug-in.
    only : sequence of str
        Dataset ids; all of the root by default.
    on_event : callable

    Raises
    ------
    InputError
        No such root, hook or dataset.
    MachineError
        The root is locked by a run; disk full; no permission.
    EmasyncError
        What the hook raised.
    """
    return (await ahooks(root, (name,), only=only, on_event=on_event))[name]


def hooks(
    root: str | os.PathLike[str],
    names: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> dict[str, HookReport]:
    """Run hooks again, from what is on disk; blocks. See :func:`ahooks`."""
    return blocking(lambda: ahooks(root, names, only=only, on_event=on_event))


async def ahooks(
    root: str | os.PathLike[str],
    names: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> dict[str, HookReport]:
    """Run hooks again, from what is on disk, each after those whose documents it needs.

    Parameters
    ----------
    root : path
    names : sequence of str
        As for :func:`ahook`; all by default.
    only : sequence of str
        Dataset ids; all of the root by default.
    on_event : callable

    Returns
    -------
    dict of str to HookReport
        By name, in the order they ran.

    Raises
    ------
    InputError
        No such root, hook or dataset.
    MachineError
        The root is locked by a run; disk full; no permission.
    EmasyncError
        What the first hook that failed raised; the others ran.
    """
    built = await asyncio.to_thread(HOOKS.built)
    if unknown := [name for name in names if name not in built]:
        raise InputError(f"no hook {', '.join(unknown)}; there are {', '.join(built)}")
    folder, known = await asyncio.to_thread(_known, root)
    if unknown := [one for one in only if one not in {facts.id for facts in known}]:
        raise InputError(f"no dataset {', '.join(unknown)}; there are {', '.join(facts.id for facts in known)}")
    chosen = tuple(facts for facts in known if not only or facts.id in only)
    spec = RunSpec(root=folder, state_dir=None, settings=Settings())
    async with open_resources(spec, ignore_event) as resources:
        wanted = tuple(name for name in built if not names or name in names)
        reports, failed = await run_hooks(resources, chosen, on_event, lambda: False, names=wanted)
    if failed is not None:
        raise failed
    return reports
