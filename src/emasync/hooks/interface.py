"""What is done after the bytes are down: hooks, and what they are given. They can be run again at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from emasync.disk.interface import Sink
from emasync.ledger.interface import Ledger
from emasync.model.events import OnEvent

if TYPE_CHECKING:
    from emasync.formats.json_document import Json  # a run begins without formats

SOURCE_METADATA: Final = ".source-metadata"
"""Follows a dataset's id in the name of the folder of documents as its source gave them."""

FACTS: Final = "dataset.json"
"""What a manifest says of a dataset, inside ``<dataset>.source-metadata/``: hooks need no manifest."""

FACTS_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """Many two-dimensional files that are one volume, as the manifest says.

    Attributes
    ----------
    pattern : str
        Glob over paths below the dataset.
    spacing : float or None
        Between two files, in `unit`.
    unit : str or None
    """

    pattern: str
    spacing: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """One dataset of a root.

    Attributes
    ----------
    id : str
    folder : str
        Relative to the root, with slashes.
    source : str
        Kind of source: ``web``, ``bucket``, ``dandi``, ...; empty where nobody remembers.
    location : str
        Where it comes from, as the manifest names it: a URL, or ``empiar:11759``.
    role : {"image", "labels"}
    format : str
        As the manifest says; ``auto`` mostly.
    subset : {"standalone", "mirror"}
    series : SeriesFacts or None
    metadata : mapping of str to Json
        Of the manifest.
    include, exclude : sequence of str
        Globs over paths below the dataset, as the manifest says.
    places : sequence of str or None
        What of `folder` is the dataset's, where others lie in it too: folders and files below it; with a slash at its
        end the files right in a folder. None: all of `folder`.
    """

    id: str
    folder: str
    source: str = ""
    location: str = ""
    role: Literal["image", "labels"] = "image"
    format: str = "auto"
    subset: Literal["standalone", "mirror"] = "standalone"
    series: SeriesFacts | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    places: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContext:
    """What a hook works with, on the ledger's thread.

    Attributes
    ----------
    root : Path
    state_dir : Path
        Of the ledger; the chunk index lies below ``<root>/.emasync`` all the same.
    sink : Sink
        Writes documents into the root, whole or not at all.
    ledger : Ledger
        Nobody else uses it now. It is empty where ``.emasync`` was deleted.
    datasets : sequence of DatasetFacts
        Those to look at, in the order of the manifest.
    all_datasets : sequence of DatasetFacts
        All of the root: documents over everything need them.
    on_event : callable
    hurry : callable
        Whether the run was asked to stop: a hook returns soon then, and leaves older documents as they are.
    anew : bool
        Whether the hook was asked for by name: what it made before is not good enough then, whatever its inputs.
    """

    root: Path
    state_dir: Path
    sink: Sink
    ledger: Ledger
    datasets: Sequence[DatasetFacts]
    all_datasets: Sequence[DatasetFacts]
    on_event: OnEvent
    hurry: Callable[[], bool]
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReport:
    """What a hook did.

    Attributes
    ----------
    counts : mapping of str to int
        For the event, such as ``{"arrays": 12}``.
    notes : tuple of str
        What was passed over and why; bounded.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Hook(Protocol):
    """One hook. Hooks run in the order of the registry, each after what it needs."""

    def run(self, context: HookContext) -> HookReport:
        """Do it.

        Raises
        ------
        EmasyncError
            It could not be done at all. What concerns one file or asset is a note.
        """
        ...
