"""The datasets of a file, each once: objects may have many names, and links may lead in circles or out of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from emasync.errors import FormatError
from emasync.model.task import escape_for_log

if TYPE_CHECKING:
    import h5py
    from h5py import h5d, h5g

MAX_DEPTH: Final = 256
MAX_LINKS: Final = 1_000_000


class Leaf(NamedTuple):
    """A dataset, or a link that is not followed.

    Attributes
    ----------
    path : str
        Names from the root, with ``/`` between them and none before; of the first name that leads there.
    dataset : h5py.h5d.DatasetID or None
    refused : str
        Why a link is not followed.
    """

    path: str
    dataset: h5d.DatasetID | None
    refused: str = ""


class TreeWalk:
    """Walks groups in the order of their names.

    Parameters
    ----------
    file : h5py.File
    name : str
        Of the file, for messages.
    """

    def __init__(self, file: h5py.File, name: str) -> None:
        self._root = file["/"].id
        self._name = name
        self._seen: set[int] = set()
        self._links = 0
        self.where = "/"

    def leaves(self) -> Iterator[Leaf]:
        """Datasets and refused links; :attr:`where` is what is being looked at, for messages.

        Raises
        ------
        FormatError
            More links, or deeper ones, than files have.
        """
        from h5py import h5g  # noqa: PLC0415 - an extra; the caller has opened a file with it

        self._is_new(h5g.get_objinfo(self._root, b".").objno[0])
        open_groups: list[tuple[str, h5g.GroupID, Iterator[bytes]]] = [("", self._root, iter(self._root))]
        while open_groups:
            path, group, names = open_groups[-1]
            name = next(names, None)
            if name is None:
                open_groups.pop()
                continue
            self._count(len(open_groups))
            self.where = path + name.decode("utf-8", "surrogateescape")
            yield from self._entry(group, name, open_groups)

    def _entry(
        self, group: h5g.GroupID, name: bytes, open_groups: list[tuple[str, h5g.GroupID, Iterator[bytes]]]
    ) -> Iterator[Leaf]:
        from h5py import h5d, h5g, h5l, h5o  # noqa: PLC0415 - as above

        link = group.links.get_info(name)
        if link.type == h5l.TYPE_EXTERNAL:
            file, inner = (part.decode("utf-8", "replace") for part in group.links.get_val(name))
            yield Leaf(self.where, None, f"it is a link to {inner!r} in another file, {file!r}, which is not opened")
        if link.type != h5l.TYPE_HARD:
            return  # the target of a soft link is described under its own name
        if not self._is_new(link.u):
            return
        found = h5o.open(group, name)
        if isinstance(found, h5g.GroupID):
            open_groups.append((f"{self.where}/", found, iter(found)))
        elif isinstance(found, h5d.DatasetID):
            yield Leaf(self.where, found)

    def _is_new(self, address: int) -> bool:
        if address in self._seen:
            return False
        self._seen.add(address)
        return True

    def _count(self, depth: int) -> None:
        self._links += 1
        if self._links > MAX_LINKS or depth > MAX_DEPTH:
            raise FormatError(
                f"{escape_for_log(self._name)}: more than {MAX_LINKS} links, or groups more than {MAX_DEPTH} deep",
                location=self._name,
            )
