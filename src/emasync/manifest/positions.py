"""Faults → problems: where a key path stands in the document, and whether its value may be shown."""

from __future__ import annotations

from emasync.errors import Problem
from emasync.manifest.document import MappingNode, Mark, Node, SequenceNode
from emasync.manifest.problems import Fault, KeyPath, key_path


def problems_of(faults: list[Fault], unset: int, root: Node, file: str) -> list[Problem]:
    """Give faults their positions.

    Parameters
    ----------
    faults : list of Fault
    unset : int
        So many of the first are variables without a value: nothing else is said of these values.
    root : Node
        The document.
    file : str
        Name for messages.
    """
    problems = [_positioned(fault, root, file) for fault in faults]
    empty = {problem.path for problem in problems[:unset]}
    return problems[:unset] + [problem for problem in problems[unset:] if problem.path not in empty]


def _positioned(fault: Fault, root: Node, file: str) -> Problem:
    path, node, mark = _found(fault, root)
    hidden = fault.detail and _substituted(node)
    detail = "; the value is not shown, it has a ${VAR} in it" if hidden else fault.detail
    return Problem(file=file, line=mark.line, column=mark.column, path=key_path(path), message=f"{fault.rule}{detail}")


def _found(fault: Fault, root: Node) -> tuple[KeyPath, Node, Mark]:
    """Follow a fault's path: elements that name no node are tags of unions, unless the last, a missing key."""
    node, mark, path = root, root.mark, list[str | int]()
    for at, part in enumerate(fault.path):
        last = at == len(fault.path) - 1
        if isinstance(node, MappingNode) and part in node.values:
            mark = node.key_marks[str(part)] if last and fault.at_key else node.values[str(part)].mark
            node = node.values[str(part)]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            mark = node.mark
        elif not (last and isinstance(node, MappingNode) and fault.rule.startswith("is missing")):
            continue
        path.append(part)
    return tuple(path), node, mark


def _substituted(node: Node) -> bool:
    """Whether a variable was filled in anywhere below."""
    if isinstance(node, MappingNode):
        return any(map(_substituted, node.values.values()))
    if isinstance(node, SequenceNode):
        return any(map(_substituted, node.items))
    return node.substituted is not None
