"""What was named how in one root: written down before the first file of it comes, and never named otherwise later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson

from emasync.errors import SourceError
from emasync.layouts.flexiznam.names import HOME, TreeName, beside, is_top

REGISTER: Final = f"{HOME}/places.json"
"""Relative to the root; no part of ``.emasync``, because the files outlive that."""

VERSION: Final = 1

Kind = Literal["session", "recording", "sample"]


_Ownership = tuple[str, str, str, str]
"""Owner, tree, entity and the name that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """What datasets hang on.

    Attributes
    ----------
    path : str
        ``<project>/<mouse>/<top>/<...>``, below a data root.
    kind : {"session", "recording", "sample"}
    started : str
        ``YYYY-MM-DD HH:MM:SS``, local; empty where nobody tells.
    protocol, recording_type : str
        Of a recording.
    """

    path: str
    kind: Kind
    started: str = ""
    protocol: str = ""
    recording_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A folder that is one dataset of flexiznam. Files right below an entity are one each, and need no entry.

    Attributes
    ----------
    place : str
        ``raw/...`` or ``processed/...``, below :data:`~emasync.layouts.flexiznam.names.HOME`.
    entity : str
        Path of what it hangs on; `place` need not lie in it.
    name : str
        As the acquisition file calls it.
    owner : str
        What of the source it stands for: one owner, one folder.
    dataset_type : str
    created : str
        As :attr:`Entity.started`.
    """

    place: str
    entity: str
    name: str
    owner: str
    dataset_type: str
    created: str = ""


class Register:
    """Names that were given (mutable). Two owners never share a folder, two sessions of a day never a name."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.items: dict[str, Item] = {}
        self.changed = False
        self._files: dict[str, list[str]] = {}
        self._subjects: dict[str, str] = {}
        self._sessions: dict[str, dict[str, str]] = {}
        self._taken: dict[str, str] = {}
        self._owned: dict[_Ownership, Item] = {}

    # --- giving names ------------------------------------------------------------------------------------------

    def require_subject(self, mouse: str, subject: str) -> None:
        """Hold a mouse to one subject.

        Raises
        ------
        SourceError
            It is another one: two animals would be laid into one folder.
        """
        known = self._subjects.get(mouse)
        if known not in (None, subject):
            raise SourceError(
                f"mouse {mouse} stands for subject {known} here, and this is subject {subject}: leave out layout.mouse "
                "so that each gets a folder of its own, or narrow the dataset to one subject"
            )
        self.changed |= known is None
        self._subjects[mouse] = subject

    def session(self, mouse: str, name: str, identity: str) -> str:
        """Name of a session; a second one of the same day is numbered as flexiznam does (``generate_name``).

        Parameters
        ----------
        mouse : str
            ``<project>/<mouse>``.
        name : str
            ``SYYYYMMDD``.
        identity : str
            What tells one session of a mouse from another.
        """
        names = self._sessions.setdefault(mouse, {})
        if identity not in names:
            used = set(names.values())
            numbered = (name if number is None else f"{name}_{number}" for number in _numbers())
            names[identity] = next(one for one in numbered if one not in used)
            self.changed = True
        return names[identity]

    def entity(self, entity: Entity) -> None:
        """Know an entity; what was said of it first stays.

        Raises
        ------
        SourceError
            A dataset's folder has that place.
        """
        if entity.path in self.entities:
            return
        for tree in ("raw", "processed"):
            if owner := self._taken.get(f"{tree}/{entity.path}".casefold()):
                raise SourceError(f"{entity.path} is the folder of {owner}, and cannot be a {entity.kind} besides")
        self._enter(entity)
        self.changed = True

    def _enter(self, entity: Entity) -> None:
        self.entities[entity.path] = entity
        self._taken |= {f"{tree}/{entity.path}".casefold(): "" for tree in ("raw", "processed")}

    def item(self, tree: TreeName, item: Item, *, walked: bool, other: str) -> Item:
        """Give a folder its place, always the same one.

        Parameters
        ----------
        tree : {"raw", "processed"}
        item : Item
            Its place is not looked at.
        walked : bool
            Whether the tool would walk into it and find entities that are none.
        other : str
            Tells it from another owner's folder of that name.
        """
        entity, owned = item.entity, (item.owner, tree, item.entity, item.name)
        if owned in self._owned:
            return self._owned[owned]
        outside = walked and tree == "raw" and not is_top(entity)
        for name in _names(item.name, other):
            place = f"{tree}/{beside(entity, name) if outside else f'{entity}/{name}'}"
            if place.casefold() not in self._taken:
                break
        found = Item(**{**asdict(item), "place": place, "name": name})
        self._know(found, owned)
        self.changed = True
        return found

    def files(self, tree: TreeName, entity: str, dataset: str) -> None:
        """Know that files right below an entity may be some of a dataset's."""
        datasets = self._files.setdefault(f"{tree}/{entity}", [])
        if dataset not in datasets:
            datasets.append(dataset)
            self.changed = True

    def places(self, dataset: str) -> tuple[str, ...]:
        """Folders that hold a dataset's data; a slash at the end means the files right in one."""
        mine = (item.place for item in self.items.values() if item.owner.partition("/")[0] == dataset)
        return (*mine, *(f"{place}/" for place, datasets in self._files.items() if dataset in datasets))

    def _know(self, item: Item, owned: _Ownership) -> None:
        self.items[item.place] = self._owned[owned] = item
        self._taken[item.place.casefold()] = item.owner

    # --- as a document -----------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """As JSON; what is unchanged reads the same."""
        document = {
            "version": VERSION,
            "subjects": self._subjects,
            "sessions": self._sessions,
            "files": self._files,
            "entities": [asdict(entity) for entity in self.entities.values()],
            "items": [{**asdict(item), "asked": asked} for (*_, asked), item in self._owned.items()],
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Register:
        """Read a register; an empty one where there is none.

        Raises
        ------
        SourceError
            It is broken: names cannot be given anew where files lie under older ones.
        """
        register = cls()
        if data is None:
            return register
        try:
            register._fill(orjson.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceError(
                f"{REGISTER} says which folder stands for what, and cannot be read ({error!r}): put it back from a "
                "copy, or use another root",
                location=REGISTER,
            ) from error
        return register

    def _fill(self, document: Mapping[str, Any]) -> None:
        """Any: JSON of ours, or of whoever edited it; what does not fit raises."""
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']}, expected {VERSION}")
        self._subjects = dict(document["subjects"])
        self._sessions = {mouse: dict(names) for mouse, names in document["sessions"].items()}
        self._files = {place: list(datasets) for place, datasets in document["files"].items()}
        for row in document["entities"]:
            self._enter(Entity(**row))
        for row in document["items"]:
            asked = row.pop("asked")
            item = Item(**row)
            self._know(item, (item.owner, item.place.partition("/")[0], item.entity, asked))


def _numbers() -> Iterator[int | None]:
    """None for the first, then 0, 1, 2, ... (``flexiznam/main.py``: ``generate_name``)."""
    yield None
    number = 0
    while True:
        yield number
        number += 1


def _names(name: str, other: str) -> Iterator[str]:
    """Names to try: as asked, then with what tells it apart in front, then numbered."""
    yield name
    yield f"{other}_{name}"
    number = 2
    while True:
        yield f"{other}-{number}_{name}"
        number += 1
