"""How the files of a root are arranged."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator
from pydantic_core.core_schema import ValidationInfo

from emasync.layouts.flexiznam.names import kind_by_name
from emasync.manifest.fields import Json, LocalPath, RelativePath, Segment, Text, reject
from emasync.manifest.record import Record
from emasync.registry import LAYOUTS


class LayoutChoice(Record):
    """What every layout is."""

    free: ClassVar[frozenset[str]] = frozenset(("kind",))
    """Keys that no place of a file depends on."""

    kind: str
    """Name of the layout."""

    @property
    def naming(self) -> dict[str, object]:
        """What the places of a dataset's files depend on: plain values."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude=set(self.free))

    @property
    def essence(self) -> Self:
        """Copy without what no place depends on: the same files are wanted whatever that says."""
        defaults = type(self).model_fields
        return self.model_copy(update={key: defaults[key].default for key in self.free if key != "kind"})

    @property
    def free_options(self) -> dict[str, object]:
        """Options beside the folders that no place depends on: plain values."""
        return self.model_dump(mode="json", include=set(self.free) - {"kind", "data_root"})

    def folders(self, _beside: Path) -> Mapping[str, Path]:
        """Folders outside the root that files are laid into, by the path in the root that stands for them.

        Parameters
        ----------
        _beside : Path
            What relative ones are relative to.
        """
        return {}


class MirrorLayout(LayoutChoice):
    """Paths as at the source, below a folder for each dataset."""

    kind: Literal["mirror"] = "mirror"
    """The default."""


class DataRoots(Record):
    """Folders of a flexiznam installation, as its configuration names them."""

    raw: LocalPath
    """``data_root.raw``."""
    processed: LocalPath
    """``data_root.processed``; derived data go there."""


class FlexiznamLayout(LayoutChoice):
    """Folders and an acquisition file that flexiznam reads."""

    free: ClassVar[frozenset[str]] = frozenset(("kind", "flavour", "data_root"))

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
    """Folders that data are laid into; ``flexiznam/raw`` and ``flexiznam/processed`` of the root when left out."""

    @field_validator("session", "sample")
    @classmethod
    def _no_other_kind(cls, value: str | None, info: ValidationInfo) -> str | None:
        """The tool goes by these names, and stops where a file says otherwise (v0.4, ``camp/sync_data.py``)."""
        kinds = {kind_by_name(name) for name in (value or "").split("/")} - {None, info.field_name}
        if kinds:
            raise reject(
                f"for flexiznam this is the name of a {' and a '.join(sorted(map(str, kinds)))}; choose another"
            )
        return value

    @field_validator("sample")
    @classmethod
    def _one_parent(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("session") is not None:
            raise reject("name a sample or a session, not both")
        return value

    def folders(self, beside: Path) -> Mapping[str, Path]:
        """Both data roots."""
        if self.data_root is None:
            return {}
        named = {"flexiznam/raw": self.data_root.raw, "flexiznam/processed": self.data_root.processed}
        return {place: (beside / folder.expanduser()).resolve() for place, folder in named.items()}


BUILT_IN: Final = {"mirror": MirrorLayout, "flexiznam": FlexiznamLayout}


@cache
def plug_ins() -> frozenset[str]:
    """Layouts of other packages (looked for once: that reads all that is installed)."""
    return frozenset(LAYOUTS.names()) - set(BUILT_IN)


def _installed(kind: str) -> str:
    if kind not in plug_ins():
        raise reject("no layout of this name is installed")
    return kind


class PlugInLayout(LayoutChoice):
    """A layout that another package brings (entry point ``emasync.layouts``)."""

    kind: Annotated[Text, AfterValidator(_installed)]
    """Name of its entry point."""
    options: dict[Text, Json] = Field(default_factory=dict)
    """What the layout itself checks."""


def _kind(value: object) -> str | None:
    if isinstance(value, Record):
        return type(value).__name__
    kind = value.get("kind") if isinstance(value, dict) else None
    if built_in := BUILT_IN.get(str(kind)):
        return built_in.__name__
    return PlugInLayout.__name__ if kind in plug_ins() else None


Layout = Annotated[
    Annotated[MirrorLayout, Tag("MirrorLayout")]
    | Annotated[FlexiznamLayout, Tag("FlexiznamLayout")]
    | Annotated[PlugInLayout, Tag("PlugInLayout")],
    Discriminator(
        _kind,
        custom_error_type="layout_kind",
        custom_error_message="expected mirror, or a mapping with kind: mirror or kind: flexiznam",
    ),
]


def spelled_out(value: object) -> object:
    """``layout: mirror`` is short for ``layout: {kind: mirror}``."""
    return {"kind": value} if isinstance(value, str) else value
