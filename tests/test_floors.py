"""Imports run downwards only: every module is parsed, local and TYPE_CHECKING imports included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import emasync

ROOT = Path(emasync.__file__).parent

FLOORS = {
    "errors": 1,
    "model": 2,
    "settings": 2,
    "registry": 2,
    "layouts": 3,
    "manifest": 3,
    "formats": 3,
    "transport": 3,
    "disk": 3,
    "ledger": 4,
    "engine": 5,
    "sources": 5,
    "volume": 5,
    "plan": 6,
    "executors": 6,
    "assembly": 6,
    "hooks": 6,
    "api": 7,
    "cli": 8,
    "web": 8,
    "testing": 8,
    "__main__": 9,
    "__init__": 9,
}

MAY_IMPORT = {
    "errors": set(),
    "model": {"errors"},
    "settings": {"errors", "model"},
    "registry": {"errors", "model"},
    "manifest": {"layouts", "model", "settings", "registry", "errors"},
    "formats": {"model", "errors"},
    "transport": {"model", "settings", "errors"},
    "disk": {"model", "errors"},
    "layouts": {"disk", "errors"},
    "ledger": {"model", "disk", "errors"},
    "engine": {"ledger", "transport", "disk", "model", "settings", "errors"},
    "sources": {"transport", "formats", "manifest", "model", "settings", "registry", "errors"},
    "volume": {"formats", "disk", "model", "settings", "errors"},
    "plan": {
        "layouts",
        "sources",
        "formats",
        "manifest",
        "ledger",
        "disk",
        "transport",
        "model",
        "settings",
        "registry",
        "errors",
    },
    "executors": {"engine", "ledger", "transport", "disk", "assembly", "model", "settings", "errors"},
    "assembly": {"engine", "ledger", "transport", "disk", "model", "settings", "errors"},
    "hooks": {"layouts", "volume", "formats", "ledger", "disk", "model", "settings", "registry", "errors"},
    "cli": {"api", "model", "errors", "settings", "testing", "__init__"},
}

WHOLE_PACKAGE = {"api", "testing", "__main__", "__init__"}
"""May import everything below them."""


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "emasync" or (node.module or "").startswith("emasync."):
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"
            elif node.module:
                yield node.lineno, node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    own = name_of(path)
    assert own in FLOORS, f"{path}: {own} has no floor"
    for line, target in imports(path):
        if not target.startswith("emasync."):
            continue
        other = target.split(".")[1]
        if other not in FLOORS:
            other = "__init__"
        if other == own:
            continue
        if own in WHOLE_PACKAGE:
            assert FLOORS[other] <= FLOORS[own], f"{path}:{line}: {own} imports {other} above it"
        else:
            assert other in MAY_IMPORT[own], f"{path}:{line}: {own} may not import {other}"


def test_no_module_imports_itself_in_a_circle() -> None:
    known = {dotted(path): path for path in modules()}
    graph = {
        name: {
            target if target in known else target.rpartition(".")[0]
            for _, target in imports(path)
            if target in known or target.rpartition(".")[0] in known
        }
        - {name, "emasync"}
        for name, path in known.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"circle: {' -> '.join((*trail[trail.index(name) :], name))}"
        if name in done:
            return
        for target in sorted(graph.get(name, ())):
            visit(target, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_names_say_something() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}
    assert not [path for path in modules() if path.stem in empty]
