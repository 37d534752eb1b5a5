"""What a disk may hold after a power cut: a model of files, folders and syncs. Pure: no I/O.

The model is harsher than any one filesystem. What was synced is kept; of the rest any subset survives: pages of
4 KiB one by one, file sizes apart from pages, creations, renames and removals one by one. A rename is atomic,
as journalling filesystems make it, and durable once the folder it leads into was synced. A file sync says
nothing about the file's name (POSIX, fsync).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

ROOT = 0
"""Node of the root folder."""

PAGE_BYTES = 4096
_KEEP = (0.0, 0.2, 0.5, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Made:
    """A file or folder came into being: `node` called `name` in the folder `parent`."""

    node: int
    parent: int
    name: str
    folder: bool


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes went into a file, at `offset`."""

    node: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sized:
    """A file was cut or extended to `size_bytes`."""

    node: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file's bytes, or a folder's entries, were made durable."""

    node: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A file got another name, in place of whatever had it."""

    node: int
    old_parent: int
    old_name: str
    parent: int
    name: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A file lost its name."""

    node: int
    parent: int
    name: str


Operation = Made | Wrote | Sized | Synced | Moved | Removed


@dataclass(slots=True)
class Base:
    """What lay on disk, durable, before the first operation.

    Attributes
    ----------
    made : list of Made
        Parents before children.
    content : dict of int to bytes
        Of files.
    """

    made: list[Made] = field(default_factory=list)
    content: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remains:
    """What is there after the cut: relative paths, parents before children.

    Attributes
    ----------
    folders : tuple of str
    files : mapping of str to bytes
    """

    folders: tuple[str, ...]
    files: Mapping[str, bytes]


def remains(base: Base, operations: Sequence[Operation], random: Random, keep: float | None = None) -> Remains:
    """What one power cut leaves.

    Parameters
    ----------
    base : Base
    operations : sequence of Operation
        Those that had happened at the cut, in order.
    random : Random
        Decides what survives.
    keep : float, optional
        Share of unsynced things that survive: 0 loses all of them, 1 none. By default drawn for names and for
        each file apart.
    """
    names = _surviving_names(base, operations, random, keep)
    nodes_of_folders = {made.node for made in (*base.made, *operations) if isinstance(made, Made) and made.folder}
    history = _by_file(operations)
    folders: list[str] = []
    files: dict[str, bytes] = {}
    for path, node in _paths(names, nodes_of_folders):
        if node in nodes_of_folders:
            folders.append(path)
        else:
            files[path] = _content(base.content.get(node, b""), history.get(node, []), random, keep)
    return Remains(tuple(folders), files)


def _share(random: Random, keep: float | None) -> float:
    return random.choice(_KEEP) if keep is None else keep


# --- names -------------------------------------------------------------------------------------------------------

Place = tuple[int, str]


class _Names:
    """Who is called what, both ways: a node has one name, a name one node."""

    def __init__(self) -> None:
        self.nodes: dict[Place, int] = {}
        self.places: dict[int, Place] = {}

    def apply(self, item: Made | Moved | Removed) -> None:
        place = (item.parent, item.name)
        if isinstance(item, Removed):
            if self.nodes.get(place) == item.node:
                del self.nodes[place], self.places[item.node]
            return
        if item.node in self.places:
            del self.nodes[self.places.pop(item.node)]
        if place in self.nodes:
            del self.places[self.nodes[place]]
        self.nodes[place] = item.node
        self.places[item.node] = place


def _surviving_names(
    base: Base, operations: Sequence[Operation], random: Random, keep: float | None
) -> Mapping[Place, int]:
    names = _Names()
    for made in base.made:
        names.apply(made)
    share = _share(random, keep)
    last_sync = {item.node: index for index, item in enumerate(operations) if isinstance(item, Synced)}
    for index, item in enumerate(operations):
        if not isinstance(item, Made | Moved | Removed):
            continue
        if last_sync.get(item.parent, -1) > index or random.random() < share:
            names.apply(item)
    return names.nodes


def _paths(names: Mapping[Place, int], folders: set[int]) -> Iterator[tuple[str, int]]:
    """Everything that hangs from the root, parents first; what lies in a lost folder is lost."""
    children: dict[int, list[tuple[str, int]]] = {}
    for (parent, name), node in sorted(names.items()):
        children.setdefault(parent, []).append((name, node))
    waiting = [("", ROOT)]
    while waiting:
        path, folder = waiting.pop()
        for name, node in children.get(folder, ()):
            below = f"{path}/{name}" if path else name
            yield below, node
            if node in folders:
                waiting.append((below, node))


# --- bytes -------------------------------------------------------------------------------------------------------


def _by_file(operations: Sequence[Operation]) -> dict[int, list[Wrote | Sized | Synced]]:
    history: dict[int, list[Wrote | Sized | Synced]] = {}
    for item in operations:
        if isinstance(item, Wrote | Sized | Synced):
            history.setdefault(item.node, []).append(item)
    return history


def _content(start: bytes, operations: Sequence[Wrote | Sized | Synced], random: Random, keep: float | None) -> bytes:
    last_sync = max((index for index, item in enumerate(operations) if isinstance(item, Synced)), default=-1)
    image = bytearray(start)
    for item in operations[: last_sync + 1]:
        _put(image, item)
    durable_bytes = len(image)
    whole_bytes = max([durable_bytes, *(_end(item) for item in operations[last_sync + 1 :])])
    share = _share(random, keep)
    for item in operations[last_sync + 1 :]:
        for piece in _pieces(item):
            if random.random() < share:
                _put(image, piece)
    return bytes(_cut(image, durable_bytes, whole_bytes, random, keep))


def _end(item: Wrote | Sized | Synced) -> int:
    return item.offset + len(item.data) if isinstance(item, Wrote) else 0


def _put(image: bytearray, item: Wrote | Sized | Synced) -> None:
    if isinstance(item, Sized):
        _resize(image, item.size_bytes)
    elif isinstance(item, Wrote):
        _resize(image, max(len(image), _end(item)))
        image[item.offset : _end(item)] = item.data


def _resize(image: bytearray, size_bytes: int) -> None:
    del image[size_bytes:]
    image.extend(bytes(size_bytes - len(image)))


def _pieces(item: Wrote | Sized | Synced) -> Iterator[Wrote | Sized | Synced]:
    """A write page by page: pages go to disk one by one."""
    if not isinstance(item, Wrote):
        yield item
        return
    start = 0
    while start < len(item.data):
        stop = start + PAGE_BYTES - (item.offset + start) % PAGE_BYTES
        yield Wrote(item.node, item.offset + start, item.data[start:stop])
        start = stop


def _cut(image: bytearray, durable_bytes: int, whole_bytes: int, random: Random, keep: float | None) -> bytearray:
    """The size goes to disk apart from the pages: too short, too long (zeros), or right."""
    if keep is None and whole_bytes > durable_bytes:
        sizes = (len(image), durable_bytes, whole_bytes, random.randint(durable_bytes, whole_bytes))
        _resize(image, random.choice(sizes))
    return image
