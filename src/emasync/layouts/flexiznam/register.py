"""What was named how in one root: written down before the first file of it comes, and never named otherwise later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import orjson

from emasync.errors import SourceError
from emasync.layouts.flexiznam.names import HOME, TreeName, beside, is_top

REGISTER: Final = f"{HOME}/places.json"
"""Which mice have pages, relative to the root; no part of ``.emasync``, because the files outlive that."""

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


@dataclass(slots=True)
class _Page:
    """What one mouse has (mutable)."""

    subject: str | None = None
    sessions: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    entities: list[Entity] = field(default_factory=list)
    items: list[tuple[str, Item]] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """As JSON; what is unchanged reads the same."""
        document = {
            "version": VERSION,
            "subject": self.subject,
            "sessions": self.sessions,
            "files": self.files,
            "entities": [asdict(entity) for entity in self.entities],
            "items": [{**asdict(item), "asked": asked} for asked, item in self.items],
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class Register:
    """Names that were given (mutable). Two owners never share a folder, two sessions of a day never a name.

    Attributes
    ----------
    entities : dict of str to Entity
        By path.
    items : dict of str to Item
        By place.
    """

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.items: dict[str, Item] = {}
        self._pages: dict[str, _Page] = {}
        self._written: set[str] = set()
        self._changed: dict[str, None] = {}
        self._taken: dict[str, str] = {}
        self._spelled: dict[str, str] = {}
        self._owned: dict[_Ownership, Item] = {}

    def _page(self, mouse: str) -> _Page:
        self._spelled.setdefault(mouse.casefold(), mouse)
        return self._pages.setdefault(mouse, _Page())

    # --- giving names ------------------------------------------------------------------------------------------

    def require_subject(self, mouse: str, subject: str) -> None:
        """Hold a mouse (``<project>/<mouse>``) to one subject.

        Raises
        ------
        SourceError
            It is another one: two animals would be laid into one folder. Or its name differs from one in case only.
        """
        self._require_spelling(mouse)
        page = self._page(mouse)
        if page.subject not in (None, subject):
            raise SourceError(
                f"mouse {mouse.rpartition('/')[2]} stands for subject {page.subject} here, and this is subject "
                f"{subject}: leave out layout.mouse so that each gets a folder of its own, or narrow the dataset to one"
            )
        if page.subject is None:
            page.subject = subject
            self._changed[mouse] = None

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
        names = self._page(mouse).sessions
        if identity not in names:
            used = set(names.values())
            numbered = (name if number is None else f"{name}_{number}" for number in _numbers())
            free = (one for one in numbered if one not in used and f"{mouse}/{one}" not in self.entities)
            names[identity] = next(free)
            self._changed[mouse] = None
        return names[identity]

    def entity(self, entity: Entity) -> Entity:
        """Know an entity; what was said of it first stays, and is given back.

        Raises
        ------
        SourceError
            A dataset's folder has that place; another one's name differs in case only.
        """
        if entity.path not in self.entities:
            for path in (mouse_of(entity.path), entity.path):
                self._require_spelling(path)
            for tree in ("raw", "processed"):
                if owner := self._taken.get(f"{tree}/{entity.path}".casefold()):
                    raise SourceError(f"{entity.path} is the folder of {owner}, and cannot be a {entity.kind} besides")
            mouse = mouse_of(entity.path)
            self._enter(mouse, entity)
            self._changed[mouse] = None
        return self.entities[entity.path]

    def _require_spelling(self, path: str) -> None:
        """Mac and Windows, and many shares, have one folder for names that differ in case: two would be mixed there."""
        known = self._spelled.get(path.casefold(), path)
        if known != path:
            raise SourceError(
                f"{path} differs from {known} in case only, and may be one folder with it: give one of them another "
                "name in a manifest of its own (layout.mouse, layout.sample)"
            )

    def _enter(self, mouse: str, entity: Entity) -> None:
        self._page(mouse).entities.append(entity)
        self.entities[entity.path] = entity
        self._taken |= {f"{tree}/{entity.path}".casefold(): "" for tree in ("raw", "processed")}
        self._spelled.setdefault(entity.path.casefold(), entity.path)

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
        found, mouse = replace(item, place=place, name=name), mouse_of(entity)
        self._know(mouse, found, owned)
        self._changed[mouse] = None
        return found

    def _know(self, mouse: str, item: Item, owned: _Ownership) -> None:
        self._page(mouse).items.append((owned[-1], item))
        self.items[item.place] = self._owned[owned] = item
        self._taken[item.place.casefold()] = item.owner

    def files(self, tree: TreeName, entity: str, dataset: str) -> None:
        """Know that files right below an entity may be some of a dataset's."""
        mouse = mouse_of(entity)
        datasets = self._page(mouse).files.setdefault(f"{tree}/{entity}", [])
        if dataset not in datasets:
            datasets.append(dataset)
            self._changed[mouse] = None

    def places(self, dataset: str) -> tuple[str, ...]:
        """Folders that hold a dataset's data; a slash at the end means the files right in one."""
        mine = [item.place for item in self.items.values() if item.owner.partition("/")[0] == dataset]
        files = (row for page in self._pages.values() for row in page.files.items())
        return (*mine, *(f"{place}/" for place, datasets in files if dataset in datasets))

    # --- as documents ------------------------------------------------------------------------------------------

    def changes(self) -> list[tuple[str, bytes]]:
        """Documents to be written, in this order: place, relative to the root, and content.

        A page of each mouse that changed, so that a thousandth asset costs what the first did; then the list of mice.
        """
        pages = [(page_place(mouse), self._pages[mouse].to_bytes()) for mouse in self._changed]
        new = self._changed.keys() - self._written
        document = {"version": VERSION, "mice": sorted(self._written | new)}
        form = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        return [*pages, (REGISTER, orjson.dumps(document, option=form))] if new else pages

    def written(self) -> None:
        """All changes are on disk."""
        self._written |= self._changed.keys()
        self._changed.clear()

    @classmethod
    def read(cls, pages: Mapping[str, bytes | None]) -> Register:
        """Read a register.

        Parameters
        ----------
        pages : mapping of str to bytes or None
            By mouse, as :func:`mice_in` names them.

        Raises
        ------
        SourceError
            A page is broken or gone: names cannot be given anew where files lie under older ones.
        """
        register = cls()
        for mouse, data in pages.items():
            with _readable(page_place(mouse)):
                register._fill(mouse, orjson.loads(data or b""))
            register._written.add(mouse)
        return register

    def _fill(self, mouse: str, document: Mapping[str, Any]) -> None:
        """Any: JSON of ours, or of whoever edited it; what does not fit raises."""
        _require_version(document)
        page, subject = self._page(mouse), document["subject"]
        page.subject = None if subject is None else str(subject)
        page.sessions = dict(document["sessions"])
        page.files = {place: list(datasets) for place, datasets in document["files"].items()}
        for row in document["entities"]:
            self._enter(mouse, Entity(**row))
        for row in document["items"]:
            asked = row.pop("asked")
            item = Item(**row)
            self._know(mouse, item, (item.owner, item.place.partition("/")[0], item.entity, asked))


def mice_in(data: bytes | None) -> list[str]:
    """Mice that a register has pages of, ``<project>/<mouse>`` each; none where there is no register.

    Raises
    ------
    SourceError
        The list is broken.
    """
    if data is None:
        return []
    with _readable(REGISTER):
        document = orjson.loads(data)
        _require_version(document)
        return [str(mouse) for mouse in document["mice"]]


def page_place(mouse: str) -> str:
    """Where the page of a mouse lies, relative to the root."""
    return f"{HOME}/places/{mouse}/places.json"


def mouse_of(path: str) -> str:
    """``<project>/<mouse>`` of an entity's path."""
    project, mouse, *_ = path.split("/")
    return f"{project}/{mouse}"


@contextmanager
def _readable(place: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SourceError(
            f"{place} says which folder stands for what, and cannot be read ({error!r}): put it back from a copy, or "
            "use another root",
            location=place,
        ) from error


def _require_version(document: Mapping[str, Any]) -> None:
    """Any: as above."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']}, expected {VERSION}")


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
