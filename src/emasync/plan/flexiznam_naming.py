"""Which folder of flexiznam's tree stands for what of a source. No I/O; the register remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from emasync.errors import DestinationError, SourceError
from emasync.layouts.flexiznam.names import (
    BRAIN,
    CREATED,
    HOME,
    SIDECARS,
    TreeName,
    kind_by_name,
    protocol_of,
    recording_name,
    segment,
    session_name,
)
from emasync.layouts.flexiznam.register import Entity, Item, Register
from emasync.layouts.flexiznam.types import MICROSCOPY, dataset_type, recording_type
from emasync.manifest.layout import FlexiznamLayout as Asked
from emasync.plan.layout import Keeper, mapped
from emasync.sources.interface import FilesFound, Recorded, TreeFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Places of one finding; a :class:`~emasync.plan.layout.Layout`.

    Attributes
    ----------
    base : str
        Folder of the finding's tree, below the data's.
    folders : mapping of str to str, or None
        What becomes of the first segment of a path in it; None: it stays.
    beside : str
        Folder of the files right below the tree, where it has `folders`.
    files : mapping of str to str or DestinationError, or None
        Places of all paths, where each has one of its own, and why others have none.
    """

    base: str = ""
    folders: Mapping[str, str] | None = None
    beside: str = ""
    files: Mapping[str, str | DestinationError] | None = None

    def folder(self, _dataset: str) -> str:
        """One for all."""
        return HOME

    async def settle(self, _dataset: str, _found: FilesFound | TreeFound, _keeper: Keeper) -> Settled:
        """It is."""
        return self

    async def places(self, _dataset: str, _keeper: Keeper) -> None:
        """Only the whole layout knows."""

    def tree(self, _path: str) -> str:
        """The finding's."""
        return self.base

    def place(self, path: str) -> str:
        """Place of one path of the finding.

        Raises
        ------
        DestinationError
            Nobody tells what its name is made of; no reversible name fits; it came after its folder was looked at.
        """
        if self.files is not None:
            found = self.files[path]
            if isinstance(found, DestinationError):
                raise found
            return found
        if self.folders is None:
            return mapped(path)
        first, slash, rest = path.partition("/")
        lead = self.folders.get(first)
        if not slash:
            return f"{self.beside}/{mapped(path)}" if lead is None else lead
        if lead is None:
            raise DestinationError(
                f"{path}: folder {first} came while the asset was looked at; run again with --refresh", location=path
            )
        return f"{lead}/{mapped(rest)}"


class Naming:
    """Names for the findings of one dataset.

    Parameters
    ----------
    asked : FlexiznamLayout
        The manifest's.
    register : Register
        Of the root; takes up what is named.
    dataset : str
    """

    def __init__(self, asked: Asked, register: Register, dataset: str) -> None:
        self._asked = asked
        self._register = register
        self._dataset = dataset

    # --- findings ----------------------------------------------------------------------------------------------

    def unrecorded(self, path: str) -> Settled:
        """Of what the source knows nothing: one folder for all of the dataset, below what the manifest names."""
        entity = self.entity(Recorded())
        item = self._item(entity, Recorded(), self._dataset, "", deep=True, kind=MICROSCOPY)
        return Settled(base=f"{item.place}/{mapped(path)}" if path else item.place)

    def whole(self, path: str, recorded: Recorded) -> Settled:
        """One folder for a tree: a store, or all of a derived asset."""
        entity, name = self.entity(recorded), recorded.derived or PurePosixPath(path).name
        return Settled(base=self._item(entity, recorded, name, path, deep=True).place)

    def sidecars(self, path: str, recorded: Recorded) -> Settled:
        """Documents that describe an asset: beside its data, in a derived one's own folder."""
        if recorded.derived is not None:
            return self.whole(path, recorded)
        entity = self.entity(recorded)
        return Settled(base=self._item(entity, recorded, SIDECARS, path, deep=False).place)

    def asset(self, path: str, recorded: Recorded, deep: Mapping[str, bool]) -> Settled:
        """A raw asset: each of its folders is a dataset of flexiznam.

        Parameters
        ----------
        path : str
            Of the asset.
        recorded : Recorded
        deep : mapping of str to bool
            Its folders, and whether the tool would find entities in them that are none.
        """
        entity = self.entity(recorded)
        items = {name: self._item(entity, recorded, name, path, deep=is_deep) for name, is_deep in deep.items()}
        base = f"raw/{'/'.join(entity.path.split('/')[:3])}"
        return Settled(
            base=base,
            folders={name: item.place.removeprefix(f"{base}/") for name, item in items.items()},
            beside=self.sidecars(path, recorded).base.removeprefix(f"{base}/"),
        )

    def files(self, told: Mapping[str, Recorded | None]) -> Settled:
        """Files that are recordings each; those that nobody tells enough of have no place."""
        places: dict[str, str | DestinationError] = {}
        for path, recorded in sorted(told.items(), key=_by_start):
            try:
                entity, tree = self.entity(recorded or Recorded()), _tree(recorded)
                self._register.files(tree, entity.path, self._dataset)
                places[path] = f"{tree}/{entity.path}/{_file_name(path, recorded)}"
            except SourceError as error:
                places[path] = DestinationError(f"{path}: {error.message}", location=path)
        return Settled(files=places)

    # --- entities ----------------------------------------------------------------------------------------------

    def entity(self, recorded: Recorded) -> Entity:
        """What datasets of a recording hang on.

        Raises
        ------
        SourceError
            Nobody tells; the message names the key of the manifest to set.
        """
        mouse = self._mouse(recorded)
        if self._asked.sample is not None:
            return self._sample(mouse, self._asked.sample.split("/"))
        if recorded.ex_vivo and self._asked.session is None:
            return self._sample(mouse, [_sample_name(recorded.specimen or BRAIN)])
        return self._recording(self._session(mouse, recorded), recorded)

    def _mouse(self, recorded: Recorded) -> str:
        name = self._asked.mouse or recorded.subject
        if name is None:
            raise _lacking("which mouse it is", "layout.mouse")
        mouse = f"{segment(self._asked.project)}/{segment(name)}"
        if recorded.subject is not None:
            self._register.require_subject(mouse, recorded.subject.removeprefix("sub-"))
        return mouse

    def _sample(self, mouse: str, names: Sequence[str]) -> Entity:
        inner, *outer = (f"{mouse}/{'/'.join(map(segment, names[:count]))}" for count in range(len(names), 0, -1))
        for path in reversed(outer):
            self._register.entity(Entity(path=path, kind="sample"))
        return self._register.entity(Entity(path=inner, kind="sample"))

    def _session(self, mouse: str, recorded: Recorded) -> Entity:
        name, started = self._asked.session, recorded.started
        if name is None:
            if recorded.ex_vivo is None:
                keys = "layout.session, or layout.sample for what was imaged ex vivo"
                raise _lacking("whether it is a session of an animal or a sample of tissue", keys)
            if started is None:
                raise _lacking("when it was recorded", "layout.session")
            name = self._register.session(mouse, session_name(started), recorded.session or started.isoformat())
        made = Entity(path=f"{mouse}/{segment(name)}", kind="session", started=_created(recorded))
        return self._register.entity(made)

    def _recording(self, session: Entity, recorded: Recorded) -> Entity:
        if recorded.started is None:
            return session
        protocol = protocol_of(recorded.platform)
        made = Entity(
            path=f"{session.path}/{segment(recording_name(recorded.started, protocol))}",
            kind="recording",
            started=_created(recorded),
            protocol=protocol or recorded.session or "unspecified",
            recording_type=recording_type(protocol),
        )
        return self._register.entity(made)

    # --- items -------------------------------------------------------------------------------------------------

    def _item(
        self, entity: Entity, recorded: Recorded, name: str, path: str, *, deep: bool, kind: str | None = None
    ) -> Item:
        asset, ex_vivo = PurePosixPath(path).name, entity.kind == "sample"
        item = Item(
            place="",
            entity=entity.path,
            name=segment(name),
            owner=f"{self._dataset}/{path}" if path else self._dataset,
            dataset_type=kind or dataset_type(name, ex_vivo=ex_vivo, recorded=entity.recording_type),
            created=_created(recorded) or entity.started,
        )
        return self._register.item(_tree(recorded), item, walked=deep, other=segment(asset or self._dataset))


def _sample_name(specimen: str) -> str:
    """A name that flexiznam takes for no session and no recording."""
    return specimen if kind_by_name(specimen) is None else f"sample-{specimen}"


def _lacking(what: str, keys: str) -> SourceError:
    return SourceError(f"neither its name nor its source tells {what}: set {keys}")


def _tree(recorded: Recorded | None) -> TreeName:
    return "processed" if recorded is not None and recorded.derived is not None else "raw"


def _created(recorded: Recorded) -> str:
    return "" if recorded.started is None else recorded.started.strftime(CREATED)


def _by_start(item: tuple[str, Recorded | None]) -> tuple[str, str]:
    """Sessions are numbered in the order of their beginnings, as far as they come together."""
    path, recorded = item
    return ("" if recorded is None else _created(recorded), path)


def _file_name(path: str, recorded: Recorded | None) -> str:
    """One name for a path below its subject's folder; a path elsewhere tells so, and is mixed up with none."""
    folder = f"{recorded.subject}/" if recorded is not None and recorded.subject is not None else "/"
    return segment(path.removeprefix(folder) if path.startswith(folder) else f"../{path}")
