"""YAML text → a bounded tree of nodes with positions.

The tree is built from the parser's events, which libyaml yields one by one: size, depth and number of nodes
are checked before anything is composed. Aliases are refused, so that a small text is a small tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import yaml

from emasync.errors import ManifestError, Problem
from emasync.manifest.problems import MAX_PROBLEMS, KeyPath, clipped, key_path, manifest_error

MAX_BYTES: Final = 16 << 20
"""A manifest of 100,000 files with digests has about 15 MB."""

MAX_NODES: Final = 1_000_000
MAX_DEPTH: Final = 64

_MOST_PROBLEMS = 10 * MAX_PROBLEMS
"""A text that is wrong all over is not read to its end."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """Text of a scalar.

    Attributes
    ----------
    mark : Mark
    text : str
        As written, escapes of quoted styles resolved.
    plain : bool
        Whether it stood without quotes and is read by the core schema.
    substituted : str or None
        Text after ``${VAR}`` was filled in; None where nothing was.
    """

    mark: Mark
    text: str
    plain: bool
    substituted: str | None = None


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping with text keys.

    Attributes
    ----------
    mark : Mark
    values : mapping of str to node
    key_marks : mapping of str to Mark
    """

    mark: Mark
    values: Mapping[str, Node]
    key_marks: Mapping[str, Mark]


Node = ScalarNode | SequenceNode | MappingNode


@dataclass(slots=True)
class _Open:
    """A collection that is still being read."""

    mark: Mark
    is_mapping: bool
    path: KeyPath
    items: list[Node] = field(default_factory=list)
    values: dict[str, Node] = field(default_factory=dict)
    key_marks: dict[str, Mark] = field(default_factory=dict)
    key: str | None = None

    def close(self) -> Node:
        if self.is_mapping:
            return MappingNode(self.mark, self.values, self.key_marks)
        return SequenceNode(self.mark, tuple(self.items))


class _Composer:
    """Mutable: the stack of open collections, the node count, the problems so far."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._stack: list[_Open] = []
        self._nodes = 0
        self._documents = 0
        self._root: Node | None = None
        self.problems: list[Problem] = []

    def run(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._start_document(event)
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._add(self._stack.pop().close())
        return self._root

    def _start_document(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(_mark(event), "a manifest is one YAML document; remove what follows the second ---")

    def _node(self, event: yaml.NodeEvent) -> None:
        mark = _mark(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(mark, f"more than {MAX_NODES:,} values; split the manifest")
        self._refuse_decoration(event, mark)
        if isinstance(event, yaml.CollectionStartEvent):
            self._open(mark, is_mapping=isinstance(event, yaml.MappingStartEvent))
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, mark)
        else:
            self._add(ScalarNode(mark, "", plain=True))

    def _refuse_decoration(self, event: yaml.NodeEvent, mark: Mark) -> None:
        """Anchors, aliases and tags: remember the problem and read on as if they were not there."""
        if isinstance(event, yaml.AliasEvent):
            self._problem(mark, f"alias *{clipped(event.anchor or '')}: aliases are not supported; repeat the value")
        elif event.anchor is not None:
            self._problem(mark, f"anchor &{clipped(event.anchor)}: anchors are not supported; remove it")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problem(mark, f"tag {clipped(tag)}: tags are not supported; remove it")

    def _open(self, mark: Mark, *, is_mapping: bool) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._stop(mark, f"nested deeper than {MAX_DEPTH} levels")
        if self._awaits_key():
            self._stop(mark, "a key must be text; this one is a list or a mapping")
        self._stack.append(_Open(mark, is_mapping, self._path()))

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> None:
        plain = event.implicit[0] and event.style in (None, "")
        if not self._awaits_key():
            self._add(ScalarNode(mark, event.value, plain))
            return
        top = self._stack[-1]
        top.key = event.value
        if event.value in top.values:
            first = top.key_marks[event.value]
            self._problem(mark, f"key given twice; first in line {first.line}")
        if plain and event.value == "<<":
            self._problem(mark, "merge keys are not supported; write the values out")
        top.key_marks.setdefault(event.value, mark)

    def _awaits_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_mapping and self._stack[-1].key is None

    def _add(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        if not top.is_mapping:
            top.items.append(node)
        elif top.key is None:
            self._stop(node.mark, "a key must be text")
        else:
            top.values.setdefault(top.key, node)
            top.key = None

    def _path(self) -> KeyPath:
        """Path of the node that is about to be added."""
        if not self._stack:
            return ()
        top = self._stack[-1]
        if not top.is_mapping:
            return (*top.path, len(top.items))
        return top.path if top.key is None else (*top.path, top.key)

    def _problem(self, mark: Mark, message: str) -> None:
        if len(self.problems) >= _MOST_PROBLEMS:
            raise manifest_error(self.problems)
        self.problems.append(
            Problem(file=self._file, line=mark.line, column=mark.column, path=key_path(self._path()), message=message)
        )

    def _stop(self, mark: Mark, message: str) -> NoReturn:
        self._problem(mark, message)
        raise manifest_error(self.problems)


def _mark(event: yaml.Event) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1) if start is not None else Mark(1, 1)


def compose(text: str | bytes, *, file: str) -> Node:
    """Read one YAML document.

    Parameters
    ----------
    text : str or bytes
        UTF-8, at most :data:`MAX_BYTES` bytes.
    file : str
        Name for messages.

    Raises
    ------
    ManifestError
        Not UTF-8, not YAML, more than one document, beyond the bounds on size, nodes or depth; anchors,
        aliases, tags, merge keys or a key given twice (all of these at once).
    """
    content = _decoded(text, file)
    composer = _Composer(file)
    try:
        root = composer.run(yaml.parse(content, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise manifest_error([*composer.problems, _syntax_problem(error, content, file)]) from None
    if composer.problems:
        raise manifest_error(composer.problems)
    if root is None:
        raise _whole(file, "the manifest is empty; it starts with version: 1")
    return root


def too_large(file: str, size_bytes: int | None = None) -> ManifestError:
    """The error for a manifest beyond :data:`MAX_BYTES`."""
    size = f" ({size_bytes:,} bytes)" if size_bytes is not None else ""
    return _whole(file, f"larger than {MAX_BYTES >> 20} MiB{size}; this is no manifest, or should be several")


def _whole(file: str, message: str) -> ManifestError:
    return ManifestError((Problem(file=file, line=1, column=1, path="", message=message),))


def _decoded(text: str | bytes, file: str) -> str:
    if len(text) > MAX_BYTES:
        raise too_large(file)
    try:
        content = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        before = bytes(text[: error.start]).decode("utf-8") if isinstance(text, bytes) else ""
        raise _at(before, file, "not UTF-8; save the manifest as UTF-8 text") from None
    content = content.removeprefix("\ufeff")
    if match := _FORBIDDEN.search(content):
        code = f"U+{ord(match[0]):04X}"
        raise _at(content[: match.start()], file, f"character {code} cannot stand in YAML; remove it")
    return content


def _at(before: str, file: str, message: str) -> ManifestError:
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return ManifestError((Problem(file=file, line=line, column=column, path="", message=message),))


def _syntax_problem(error: yaml.YAMLError, content: str, file: str) -> Problem:
    """Where and what the parser stumbled over; a reader's error has no mark."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    told = (getattr(error, "problem", None) or str(error), getattr(error, "context", None))
    reason = " ".join(clipped(text) for text in told if text)
    tab = mark is not None and content[mark.index : mark.index + 1] == "\t"
    hint = "; indent with spaces, not tabs" if tab else ""
    return Problem(file=file, line=line, column=column, path="", message=f"not YAML: {reason}{hint}")
