"""Everything of a manifest but its datasets."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from emasync.manifest.fields import Integer, LocalPath
from emasync.manifest.layout import Layout, MirrorLayout, spelled_out
from emasync.manifest.record import Record
from emasync.manifest.tuning import Mirrors, SettingsRecord

VERSION: Final = 1
"""Of the schema; raised when an old manifest would mean something else."""


def _section(value: object) -> object:
    """A section whose lines are all commented out is an empty one."""
    return {} if value is None else value


class Head(Record):
    """What stands beside ``datasets``."""

    version: Annotated[Literal[1], BeforeValidator(Integer.__metadata__[0].func)]
    """Of this schema: 1."""
    root: LocalPath | None = None
    """Folder that everything lands in, relative to this file; ``data`` beside it when left out."""
    state_dir: LocalPath | None = None
    """Folder of the ledger, relative to this file; the root's own when left out."""
    settings: Annotated[SettingsRecord, BeforeValidator(_section)] = SettingsRecord()
    """Policies of a run; what is left out keeps its default."""
    mirrors: Annotated[Mirrors, BeforeValidator(_section)] = Field(default_factory=dict)
    """Where to ask instead: a whole bucket or an http(s) URL prefix → ``http(s)://``, ``s3://`` or ``file://``."""
    layout: Annotated[Layout, BeforeValidator(spelled_out, json_schema_input_type=Layout | Literal["mirror"])] = (
        MirrorLayout()
    )
    """How files are arranged."""
