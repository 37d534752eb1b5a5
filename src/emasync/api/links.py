"""Pasted links: what they name, and the manifest of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from emasync.api.blocking import blocking
from emasync.errors import InputError
from emasync.model.events import OnEvent, ignore_event
from emasync.model.version import VERSION

if TYPE_CHECKING:
    from emasync.api.asking import Linked, Settle
    from emasync.formats.json_document import Json
    from emasync.manifest.manifest import Manifest
    from emasync.sources.links.interface import Draft, Reading, Ready, Settled
    from emasync.sources.links.narrowing import Narrowing

MADE: Final = "<link>"
"""Name of a manifest that was made of a link, in messages."""


NARROWING: Final = frozenset(("include", "exclude", "arrays", "scales", "crop", "format", "role", "region"))
"""Keys of a dataset that say how much of a place is wanted, or what is known of it, and not which place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedManifest:
    """The manifest of what a link names.

    Attributes
    ----------
    text : str
        YAML; it was read and checked.
    ids : tuple of str
        Of its datasets; not empty.
    notes : tuple of str
        What the link names beside them and cannot be fetched, and why.
    """

    text: str
    ids: tuple[str, ...]
    notes: tuple[str, ...] = ()


def init(
    location: str,
    *,
    dataset: str | None = None,
    mirrors: Mapping[str, str] | None = None,
    on_event: OnEvent = ignore_event,
    allow_private: bool = False,
) -> str:
    """Write a short commented manifest for a link, a path or a name; gives its text.

    The network is asked only where the link does not say what it names: short links to a viewer's state, one asset of
    a dandiset, a study or project of the IDR, a slug of the Registry of Open Data.

    Parameters
    ----------
    location : str
        Anything that ``docs/links.md`` lists.
    dataset : str, optional
        Id of the dataset, where there is only one; made from the link by default.
    mirrors : mapping of str to str, optional
        Where to ask instead, as in a manifest.
    on_event : callable
    allow_private : bool
        Documents that the link leads to may name loopback, private and link-local addresses.

    Returns
    -------
    str
        YAML that :func:`emasync.plan` and :func:`emasync.run` take from a file.

    Raises
    ------
    InputError
        Nothing that is understood (the message lists what is), or nothing that can be fetched.
    SourceError
        What has to be asked for is not there, or does not answer.
    """
    return blocking(
        lambda: ainit(location, dataset=dataset, mirrors=mirrors, on_event=on_event, allow_private=allow_private)
    ).text


async def ainit(
    location: str,
    *,
    dataset: str | None = None,
    mirrors: Mapping[str, str] | None = None,
    on_event: OnEvent = ignore_event,
    allow_private: bool = False,
) -> LinkedManifest:
    """As :func:`init`, with what else is known of it."""
    linked = await settle(location, mirrors=mirrors, on_event=on_event, allow_private=allow_private)
    comments = (f"from {location}", "emasync plan FILE shows what it would fetch, emasync run FILE fetches it")
    made = partial(compose, linked.settled, comments=comments, dataset=dataset, head=guard(linked), hints=True)
    return await asyncio.to_thread(made)


async def settle(location: str, *, mirrors: Mapping[str, str] | None, on_event: OnEvent, allow_private: bool) -> Linked:
    """What a pasted text names; opens the network only where it has to.

    Raises
    ------
    InputError, SourceError
        As :func:`init`.
    """
    asked = await asyncio.to_thread(_asking)
    return await asked(location, mirrors=mirrors or {}, on_event=on_event, allow_private=allow_private)


def guard(linked: Linked) -> dict[str, Json]:
    """Top-level keys that keep the manifest of a link from this machine and its network, now and whenever it is run."""
    return {} if linked.allow_private else {"settings": {"allow_private": False}}


def _asking() -> Settle:
    from emasync.api.asking import settle_link  # noqa: PLC0415 - all rules and the network; imports read files

    return settle_link


def compose(
    settled: Settled,
    *,
    comments: Sequence[str],
    dataset: str | None = None,
    narrowing: Narrowing | None = None,
    head: Mapping[str, Json] | None = None,
    taken: Callable[[str], bool] = lambda _id: False,
    hints: bool = False,
) -> LinkedManifest:
    """Write and check the manifest of what a link names.

    Parameters
    ----------
    settled : Settled
    comments : sequence of str
        Lines at its top.
    dataset : str, optional
        Id of the only dataset.
    narrowing : Narrowing, optional
    head : mapping of str to JSON value, optional
        Top-level keys; those that a ready manifest has stay its own.
    taken : callable
        Whether an id is somebody else's.
    hints : bool

    Raises
    ------
    InputError
        An id for several datasets, or a narrowing of a ready manifest; what the link says is refused by the manifest.
    """
    from emasync.sources.links.interface import Ready  # noqa: PLC0415 - as above

    if isinstance(settled, Ready):
        return _ready(settled, dataset=dataset, narrowing=narrowing, head=head or {})
    from emasync.sources.links.writing import ids_of, manifest_text  # noqa: PLC0415 - yaml

    drafts = _named(settled.drafts, dataset)
    ids = (dataset,) if dataset is not None else ids_of(drafts, taken)
    drafts = drafts if narrowing is None else narrowing.applied(drafts, ids)
    text = manifest_text(drafts, ids, comments=comments, head=head, hints=hints)
    checked(text)
    return LinkedManifest(text=text, ids=ids, notes=settled.notes)


def _named(drafts: tuple[Draft, ...], dataset: str | None) -> tuple[Draft, ...]:
    if dataset is None:
        return drafts
    if len(drafts) > 1:
        raise InputError(f"one id ({dataset}) cannot name {len(drafts)} datasets; leave it out")
    return (replace(drafts[0], name=dataset),)


def _ready(
    ready: Ready, *, dataset: str | None, narrowing: Narrowing | None, head: Mapping[str, Json]
) -> LinkedManifest:
    if dataset is not None or (narrowing is not None and narrowing.anything):
        raise InputError(
            f"{ready.name} is a manifest of the catalog, which says itself what is taken; write it to a file with "
            f"emasync init {ready.name}, change it there, and run that"
        )
    root = head.get("root")
    lines = ready.text.splitlines(keepends=True)
    if isinstance(root, str) and not any(line.startswith("root:") for line in lines):
        at = next(at for at, line in enumerate(lines) if line.startswith("version:"))
        lines.insert(at + 1, f"root: {root}\n")
    text = "".join(lines)
    return LinkedManifest(text=text, ids=tuple(entry.id for entry in checked(text).datasets))


def checked(text: str) -> Manifest:
    """Read the manifest that was made.

    Raises
    ------
    ManifestError
        What the link says is refused.
    """
    from emasync.manifest.load import parse_manifest  # noqa: PLC0415 - pydantic and yaml

    return parse_manifest(text, file=MADE, environ=os.environ)


def link_mark(settled: Reading) -> str:
    """A comment that tells manifests of one place from those of others: all spellings of its links have the same."""
    named = [{key: value for key, value in draft.entry.items() if key not in NARROWING} for draft in settled.drafts]
    digest = hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=12).hexdigest()
    return f"link {digest}, emasync {VERSION}"
