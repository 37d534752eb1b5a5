"""What a pasted text may turn out to be, and what a rule that reads such texts looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from emasync.formats.json_document import Json
from emasync.model.location import Location

DOCUMENT_BYTES = 16 << 20
"""Longest document that is asked for while a link is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One dataset that a text names.

    Attributes
    ----------
    name : str
        What its id is made from; any text.
    entry : mapping of str to JSON value
        Keys of a dataset of a manifest, ``source`` first, without ``id``. Values are taken as they are: ``${VAR}`` in
        them is no variable.
    comments : tuple of str
        Lines for people, above the dataset.
    """

    name: str
    entry: Mapping[str, Json]
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Datasets that a text names.

    Attributes
    ----------
    drafts : tuple of Draft
        Not empty.
    notes : tuple of str
        What the text names beside them and cannot be fetched, and why.
    """

    drafts: tuple[Draft, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A manifest that is there already.

    Attributes
    ----------
    name : str
    text : str
        YAML.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The text is a viewer's link: what it shows is another text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the text means is written in a document that has to be fetched.

    Attributes
    ----------
    location : Location
    why : str
        What is asked for, in words.
    answer : callable
        Takes the document (None where there is none, or none for the public) and says what the text is; may ask
        on. None: the text is nothing of this kind after all.

        Raises :class:`~emasync.errors.EmasyncError` when it is nothing that can be fetched.
    """

    location: Location
    why: str
    answer: Callable[[bytes | None], Outcome | None]


Settled: TypeAlias = "Reading | Ready"
"""What a text is in the end."""

Outcome: TypeAlias = "Settled | Wrapped | Question"


class LinkRule(Protocol):
    """Reads texts of one kind. Plug-ins of the entry-point group ``emasync.links`` are classes of these.

    Rules do no I/O: what has to be asked of the network comes back as a :class:`Question`.
    """

    @property
    def forms(self) -> Sequence[str]:
        """Examples of what is understood, for messages; none for a rule that only refuses."""
        ...

    def read(self, text: str) -> Outcome | None:
        """What `text` is; None when it is not of this kind.

        Raises
        ------
        InputError
            It is of this kind, and wrong.
        """
        ...
