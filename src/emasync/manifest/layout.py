"""How the files of a root are arranged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Tag, field_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.manifest.fields import LocalPath, RelativePath, Segment, reject
from emasync.manifest.record import Record


class MirrorLayout(Record):
    """Paths as at the source, below a folder for each dataset."""

    kind: Literal["mirror"] = "mirror"
    """The default."""


class DataRoots(Record):
    """Folders of a flexiznam installation, as its configuration names them."""

    raw: LocalPath
    """``data_root.raw``."""
    processed: LocalPath
    """``data_root.processed``; derived data go there."""


class FlexiznamLayout(Record):
    """Folders and an acquisition file that flexiznam reads."""

    kind: Literal["flexiznam"]
    """Names this layout."""
    project: Segment
    """Project of the installation; first folder of all paths."""
    mouse: Segment | None = None
    """Mouse, as flexilims knows it; from the source's metadata when left out."""
    session: Segment | None = None
    """Session, usually ``SYYYYMMDD``; from the source's metadata when left out."""
    sample: RelativePath | None = None
    """Ex vivo sample, in place of a session; with slashes a sample of a sample, such as ``brain/slice-3``."""
    flavour: Literal["v0.4", "legacy"] = "v0.4"
    """Generation of the acquisition file: ``v0.4``, or ``legacy`` up to 0.3.9."""
    data_root: DataRoots | None = None
    """Folders that paths are checked against; the dataset root when left out."""

    @field_validator("sample")
    @classmethod
    def _one_parent(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("session") is not None:
            raise reject("name a sample or a session, not both")
        return value


def _kind(value: object) -> str | None:
    if isinstance(value, Record):
        return type(value).__name__
    kind = value.get("kind") if isinstance(value, dict) else None
    return {"mirror": MirrorLayout.__name__, "flexiznam": FlexiznamLayout.__name__}.get(str(kind))


Layout = Annotated[
    Annotated[MirrorLayout, Tag("MirrorLayout")] | Annotated[FlexiznamLayout, Tag("FlexiznamLayout")],
    Discriminator(
        _kind,
        custom_error_type="layout_kind",
        custom_error_message="expected mirror, or a mapping with kind: mirror or kind: flexiznam",
    ),
]


def spelled_out(value: object) -> object:
    """``layout: mirror`` is short for ``layout: {kind: mirror}``."""
    return {"kind": value} if isinstance(value, str) else value
