"""What a class says of its attributes: the texts below their annotations (PEP 257, section "What is a docstring?")."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent


def attribute_docstrings(cls: type) -> dict[str, str]:
    """Texts by name of attribute; those that `cls` inherits come first.

    Parameters
    ----------
    cls : type
        Its source and that of its bases is read, as far as there is any; this takes some milliseconds.
    """
    return {name: text for base in reversed(cls.__mro__) for name, text in _own(base)}


def _own(cls: type) -> Iterator[tuple[str, str]]:
    try:
        body = ast.parse(dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError):  # made without a file, such as those of the language itself
        return
    if not isinstance(body, ast.ClassDef):
        return
    for statement, after in pairwise(body.body):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
