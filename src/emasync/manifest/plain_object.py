"""Python mappings → the tree that YAML text becomes, so that both pass the same checks."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import PurePath

from emasync.errors import Problem
from emasync.manifest.document import MAX_DEPTH, MAX_NODES, MappingNode, Mark, Node, ScalarNode, SequenceNode
from emasync.manifest.problems import KeyPath, key_path, manifest_error

_NOWHERE = Mark(1, 1)


@dataclass(slots=True)
class _Reader:
    """Mutable: how many values were read."""

    file: str
    nodes: int = 0

    def node(self, value: object, path: KeyPath) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise self._error(path[:4], f"more than {MAX_NODES:,} values or {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            values = {self._key(key, path): self.node(item, (*path, str(key))) for key, item in value.items()}
            return MappingNode(_NOWHERE, values, dict.fromkeys(values, _NOWHERE))
        if isinstance(value, list | tuple):
            return SequenceNode(_NOWHERE, tuple(self.node(item, (*path, at)) for at, item in enumerate(value)))
        if isinstance(value, str | PurePath):
            return ScalarNode(_NOWHERE, str(value), plain=False)
        return ScalarNode(_NOWHERE, self._plain(value, path), plain=True)

    def _key(self, key: object, path: KeyPath) -> str:
        if not isinstance(key, str):
            raise self._error(path, f"keys are text; got {key!r:.40}")
        return key

    def _plain(self, value: object, path: KeyPath) -> str:
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return (
                repr(float(value))
                if math.isfinite(value)
                else ".nan"
                if math.isnan(value)
                else f"{value:+f}".replace("inf", ".inf")
            )
        if isinstance(value, Integral):
            return str(operator.index(value))
        raise self._error(path, f"a {type(value).__name__} cannot stand in a manifest")

    def _error(self, path: KeyPath, message: str) -> Exception:
        return manifest_error([Problem(file=self.file, line=1, column=1, path=key_path(path), message=message)])


def node_of(data: Mapping[str, object], *, file: str) -> Node:
    """Turn a mapping of plain values into a tree.

    Parameters
    ----------
    data : mapping
    file : str
        Name for messages.

    Raises
    ------
    ManifestError
        A key that is no text, a value of another kind, or too many of them.
    """
    return _Reader(file).node(data, ())
