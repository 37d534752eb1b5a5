"""How far globs reach down a tree: which folders can hold something that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from emasync.model.globs import Selection

Trail = tuple[str, ...]
"""Segments of a glob that are left below a folder; not empty."""

_selection = lru_cache(maxsize=1024)(lambda pattern: Selection((pattern,)))


@dataclass(frozen=True, slots=True)
class Reach:
    """What globs can still mean below one folder.

    Attributes
    ----------
    wanted : tuple of tuple of str
        Of the globs that choose; none: nothing below is wanted.
    unwanted : tuple of tuple of str
        Of the globs that leave out.
    """

    wanted: tuple[Trail, ...]
    unwanted: tuple[Trail, ...] = ()

    @classmethod
    def of(cls, selection: Selection) -> Reach:
        """At the base."""
        include = tuple(tuple(pattern.split("/")) for pattern in selection.include) or (("**",),)
        return cls(include, tuple(tuple(pattern.split("/")) for pattern in selection.exclude))

    @property
    def nothing(self) -> bool:
        """Whether nothing below can be wanted."""
        return not self.wanted or ("**",) in self.unwanted

    @property
    def deep(self) -> bool:
        """Whether the names of folders right below cannot tell what is wanted: all of it must be looked at."""
        anything = any(trail[0] == "**" for trail in self.wanted)
        return anything and not any(len(trail) > 1 and trail[0] != "**" for trail in self.unwanted)

    def below(self, folder: str) -> Reach:
        """The same for a folder: one or more names, ``/`` between them; empty gives this."""
        reach = self
        for name in folder.split("/") if folder else ():
            reach = Reach(_below(reach.wanted, name), _below(reach.unwanted, name))
        return reach


def _below(trails: tuple[Trail, ...], name: str) -> tuple[Trail, ...]:
    found: dict[Trail, None] = {}
    for trail in trails:
        found.update(dict.fromkeys(_rest(trail, name)))
    return tuple(found)


def _rest(trail: Trail, name: str) -> tuple[Trail, ...]:
    """What is left of one glob below the folder `name`."""
    if trail[0] == "**":
        return (trail, *_rest(trail[1:], name)) if len(trail) > 1 else (trail,)
    if len(trail) > 1 and _selection(trail[0]).wants(name):
        return (trail[1:],)
    return ()
