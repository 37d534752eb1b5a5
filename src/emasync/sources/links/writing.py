"""A manifest from what a link names: YAML with comments, that says the same when it is read again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import yaml

from emasync.formats.json_document import Json
from emasync.manifest.entry import MAX_ID_CHARACTERS, RESERVED_IDS, SOURCE_METADATA_SUFFIX
from emasync.manifest.kinds import BUILT_IN, built_in_model
from emasync.sources.links.interface import Draft

_SUFFIX_ROOM: Final = 8
_COMMENT_CHARACTERS: Final = 200
_WIDTH: Final = 4096
"""Nothing is folded: people search manifests for URLs."""

ARRAY_HINTS: Final = (
    "arrays: [path/below/the/url]                # groups or arrays; all that are found without it",
    "scales: [3]                                 # levels, 0 is the finest; all without it",
    "crop: {start: [0, 0, 0], shape: [64, 256, 256]}   # z, y, x in voxels of level 0",
)
FILE_HINTS: Final = ('include: ["**/*.tif"]                       # globs over paths; all without it',)


def ids_of(drafts: Sequence[Draft], taken: Callable[[str], bool] = lambda _id: False) -> tuple[str, ...]:
    """An id for each draft, made from its name: legal, and different when case is ignored.

    Parameters
    ----------
    drafts : sequence of Draft
    taken : callable
        Whether an id is somebody else's already.
    """
    given: dict[str, str] = {}
    for draft in drafts:
        made = next(name for name in _candidates(draft.name) if name.casefold() not in given and not taken(name))
        given[made.casefold()] = made
    return tuple(given.values())


def _candidates(name: str) -> Iterator[str]:
    base = _legal(name)
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1


def _legal(name: str) -> str:
    """The letters, digits, dots, dashes and underscores of a name, without accents."""
    plain = unicodedata.normalize("NFKD", name[:1024]).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-").rstrip("-")
    text = words[: MAX_ID_CHARACTERS - _SUFFIX_ROOM] or "dataset"
    used = text.casefold() in RESERVED_IDS or text.casefold().endswith(SOURCE_METADATA_SUFFIX)
    return f"{text}-data" if used else text


def manifest_text(
    drafts: Sequence[Draft],
    ids: Sequence[str],
    *,
    comments: Iterable[str] = (),
    head: Mapping[str, Json] | None = None,
    hints: bool = False,
) -> str:
    """Write a manifest.

    Parameters
    ----------
    drafts : sequence of Draft
    ids : sequence of str
        Of the datasets, in the same order.
    comments : iterable of str
        Lines at its top.
    head : mapping of str to JSON value, optional
        Top-level keys beside version and datasets.
    hints : bool
        Show what else may be said of the first dataset, as comments.
    """
    lines = [*map(_comment, comments), "version: 1"]
    lines += _yaml(head).splitlines() if head else []
    lines += ["", "datasets:"]
    for at, (draft, name) in enumerate(zip(drafts, ids, strict=True)):
        lines += [f"  {_comment(text)}" for text in draft.comments]
        lines += [f"  {line}" for line in _yaml([{"id": name, **draft.entry}]).splitlines()]
        lines += [f"    {_comment(text)}" for text in (_hints(draft) if hints and not at else ())]
    return "\n".join(lines) + "\n"


def _hints(draft: Draft) -> tuple[str, ...]:
    source = str(draft.entry.get("source"))
    if source == "web" or source not in BUILT_IN:
        return ()
    hints = ARRAY_HINTS if built_in_model(source).has_arrays else FILE_HINTS
    return tuple(hint for hint in hints if hint.partition(":")[0] not in draft.entry)


def _comment(text: str) -> str:
    """One line, whatever is in it: names come from strangers, and a line break would end the comment."""
    short = text if len(text) <= _COMMENT_CHARACTERS else text[: _COMMENT_CHARACTERS - 1] + "…"
    return f"# {''.join(char if char.isprintable() else '?' for char in short)}"


def _yaml(value: Mapping[str, Json] | list[Mapping[str, Json]]) -> str:
    plain = _escaped(dict(value) if isinstance(value, Mapping) else [dict(item) for item in value])
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
    """No anchors, which manifests refuse."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _short_list(dumper: yaml.SafeDumper, items: list[object]) -> yaml.Node:
    """Lists of plain values on one line."""
    plain = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


_Dumper.add_representer(list, _short_list)


def _escaped(value: Json) -> Json:
    """`value` with every dollar doubled: a manifest would read ``${VAR}``, and nobody vouches for pasted text."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
