"""How a root is laid out, written down in it: another layout is never mixed into one root silently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson

from emasync.disk.outlying import DECLARATION
from emasync.errors import InputError

RECORD: Final = DECLARATION
"""Relative to the root. A root in the order of its sources (``mirror``) has none."""

VERSION: Final = 1

MIRROR: Final = "mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """How one dataset is laid out.

    Attributes
    ----------
    folder : str
        That all of its data lie below, relative to the root.
    naming : mapping of str to JSON
        What its places depend on (Any: each layout has its own options).
    """

    folder: str
    naming: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRecord:
    """What holds for all of a root, and for each of its datasets.

    Attributes
    ----------
    kind : str
        Of the layout.
    folders : mapping of str to str
        Absolute folders outside the root that files are laid into, by their place in the root.
    token : str
        Of the root's unfinished files in these.
    options : mapping of str to JSON
        That no place depends on, as the last manifest had them (Any: each layout has its own).
    datasets : mapping of str to LaidOut
        By id.
    """

    kind: str = MIRROR
    folders: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, LaidOut] = field(default_factory=dict)

    def folder(self, dataset: str) -> str:
        """Folder that all of a dataset's data lie below, relative to the root."""
        return self.datasets[dataset].folder if dataset in self.datasets else dataset

    def to_bytes(self) -> bytes:
        """As JSON."""
        form = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        return orjson.dumps({"version": VERSION, **asdict(self)}, option=form)

    @classmethod
    def from_bytes(cls, data: bytes | None) -> LayoutRecord:
        """Read a record; none is that of a mirror.

        Raises
        ------
        InputError
            It is broken, or of a newer version.
        """
        if data is None:
            return cls()
        try:
            return cls._of(orjson.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{RECORD} says how this root is laid out, and cannot be read ({error!r}): put it back from a copy, "
                "or use another root",
                location=RECORD,
            ) from error

    @classmethod
    def _of(cls, document: dict[str, Any]) -> LayoutRecord:
        """Any: JSON of ours, or of whoever edited it; what does not fit raises."""
        if (version := document.pop("version")) != VERSION:
            raise ValueError(f"version {version}, expected {VERSION}")
        made = cls(**document)
        folders = {str(name): str(path) for name, path in made.folders.items()}
        datasets = {str(name): LaidOut(**row) for name, row in document["datasets"].items()}
        return replace(made, folders=folders, options=dict(made.options), datasets=datasets)
