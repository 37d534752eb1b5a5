"""``${VAR}`` and ``${VAR:-default}`` inside text values. What is filled in shows in no message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from emasync.manifest.document import MAX_BYTES, MappingNode, Node, ScalarNode, SequenceNode
from emasync.manifest.problems import Fault, KeyPath
from emasync.manifest.scalars import resolve

MAX_FILLED_CHARACTERS: Final = MAX_BYTES
"""Of all variables of a manifest together: many uses of one long variable must not fill the memory."""

_TOKEN = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}|\$\{")


@dataclass(slots=True)
class Substitution:
    """Fills variables into a tree.

    Attributes
    ----------
    environ : mapping of str to str
    faults : list of Fault
        Variables that are not set, and unfinished ``${``.
    """

    environ: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)
    _filled: int = 0

    def apply(self, node: Node, path: KeyPath = ()) -> Node:
        """Return the tree with all text values filled in; keys stay as they are."""
        if isinstance(node, MappingNode):
            values = {key: self.apply(value, (*path, key)) for key, value in node.values.items()}
            return replace(node, values=values)
        if isinstance(node, SequenceNode):
            return replace(node, items=tuple(self.apply(item, (*path, at)) for at, item in enumerate(node.items)))
        if "$" not in node.text or (node.plain and not isinstance(resolve(node.text), str)):
            return node
        return self._fill(node, path)

    def _fill(self, node: ScalarNode, path: KeyPath) -> ScalarNode:
        """Fill one scalar; a fault leaves it as written."""
        faults_before = len(self.faults)
        text = _TOKEN.sub(lambda match: self._value(match, path), node.text)
        if len(self.faults) > faults_before:
            return node
        if not any(match["name"] for match in _TOKEN.finditer(node.text)):
            return replace(node, text=text)
        return replace(node, substituted=text)

    def _value(self, match: re.Match[str], path: KeyPath) -> str:
        if match[0] == "$$":
            return "$"
        name, default = match["name"], match["default"]
        if name is None:
            rule = "${ starts a variable: write ${NAME} or ${NAME:-default}, or $${ for the characters themselves"
            return self._fault(path, rule)
        value = self.environ.get(name)
        if default is not None and not value:
            value = default
        if value is None:
            return self._fault(path, f"variable {name} is not set; set it, or write ${{{name}:-default}}")
        self._filled += len(value)
        if self._filled > MAX_FILLED_CHARACTERS:
            return self._fault(path, "variables fill in more text than a manifest may hold")
        return value

    def _fault(self, path: KeyPath, rule: str) -> str:
        if not self.faults or self.faults[-1].path != path:  # one mistake a value is enough
            self.faults.append(Fault(path, rule))
        return ""
