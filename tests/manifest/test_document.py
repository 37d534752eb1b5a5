from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from emasync.errors import ManifestError
from emasync.manifest import document
from emasync.manifest.document import MAX_BYTES, MAX_DEPTH, MappingNode, Mark, ScalarNode, SequenceNode, compose
from emasync.manifest.load import load_manifest


def told(text: str | bytes) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        compose(text, file="m.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_tree_with_positions() -> None:
    root = compose("a: 1\nb:\n  - x\n  - 'y'\n", file="m.yaml")
    assert isinstance(root, MappingNode)
    assert root.key_marks["b"] == Mark(2, 1)
    items = root.values["b"]
    assert isinstance(items, SequenceNode)
    assert items.items == (ScalarNode(Mark(3, 5), "x", plain=True), ScalarNode(Mark(4, 5), "y", plain=False))


def test_a_byte_order_mark_is_no_character() -> None:
    assert isinstance(compose(b"\xef\xbb\xbfa: 1", file="m.yaml"), MappingNode)


BAD = [
    ("a: &x 1\nb: *x\n", ["m.yaml:1:4: a: anchor &x: anchors", "m.yaml:2:4: b: alias *x: aliases"]),
    ("a: 1\na: 2\n", ["m.yaml:2:1: a: key given twice; first in line 1"]),
    ("x:\n  - {b: 1, b: 2}\n", ["m.yaml:2:12: x[0].b: key given twice; first in line 2"]),
    ("a: !!python/object:os.system 1\n", ["m.yaml:1:4: a: tag tag:yaml.org,2002:python/object:os.system: tags"]),
    ("a: !x [1]\n", ["m.yaml:1:4: a: tag !x: tags"]),
    ("<<: {a: 1}\n", ['m.yaml:1:1: ["<<"]: merge keys']),
    ("a: 1\n---\nb: 2\n", ["m.yaml:2:1: a manifest is one YAML document"]),
    ("? [a]\n: 1\n", ["m.yaml:1:3: a key must be text"]),
    ("? *x\n: 1\n", ["m.yaml:1:3: a key must be text", "m.yaml:1:3: alias *x"]),
    ("a:\n\tb: 1\n", ["m.yaml:2:1: not YAML: found character that cannot start any token"]),
    ("a: [1\n", ["m.yaml:2:1: not YAML:"]),
    ("a: 'x\n", ["m.yaml:2:1: not YAML: found unexpected end of stream"]),
    ("a: \x00\n", ["m.yaml:1:4: character U+0000 cannot stand in YAML"]),
    ("ok: 1\nä: \x1b\n", ["m.yaml:2:4: character U+001B cannot stand in YAML"]),
    ("a: \x80\n", ["m.yaml:1:4: character U+0080 cannot stand in YAML"]),
    (b"a: 1\nb: \xff\n", ["m.yaml:2:4: not UTF-8"]),
    ("a: 1".encode("utf-16"), ["m.yaml:1:1: not UTF-8"]),
    ("", ["m.yaml:1:1: the manifest is empty"]),
    ("# only a comment\n", ["m.yaml:1:1: the manifest is empty"]),
    ("a: &x 1\nb: [\n", ["m.yaml:1:4: a: anchor &x", "m.yaml:3:1: not YAML:"]),
]


@pytest.mark.parametrize(("text", "prefixes"), BAD)
def test_what_is_refused_with_its_position(text: str | bytes, prefixes: list[str]) -> None:
    messages = told(text)
    assert len(messages) == len(prefixes), messages
    for message, prefix in zip(messages, prefixes, strict=True):
        assert message.startswith(prefix)


def test_a_tab_gets_a_hint() -> None:
    assert told("a:\n\tb: 1\n")[0].endswith("indent with spaces, not tabs")


def test_a_billion_laughs_are_an_error_of_a_few_lines() -> None:
    levels = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    messages = told("\n".join(levels))
    assert len(messages) == 100
    assert "anchors are not supported" in messages[0]


def test_a_text_that_is_wrong_all_over_is_not_read_to_its_end() -> None:
    messages = told("[" + "&a 1, " * 5000 + "]")
    assert len(messages) == 101
    assert messages[-1].endswith("and 900 more problems after this line; mend these first")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000])
def test_depth_is_bounded_before_anything_is_composed(text: str) -> None:
    assert f"nested deeper than {MAX_DEPTH} levels" in told(text)[-1]


def test_the_deepest_tree_that_is_allowed() -> None:
    compose("[" * MAX_DEPTH + "]" * MAX_DEPTH, file="m.yaml")
    assert "nested deeper" in told("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[0]


def test_nodes_are_counted_while_events_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 1000)
    read = 0
    events = yaml.parse

    def counted(*args: Any, **options: Any) -> Iterator[object]:
        nonlocal read
        for event in events(*args, **options):
            read += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counted)
    assert "more than 1,000 values" in told("[" + "1, " * 100_000 + "]")[0]
    assert read < 1010


def test_a_text_beyond_the_cap_is_refused_unread() -> None:
    assert told(b"\xff" * (MAX_BYTES + 1)) == [
        "m.yaml:1:1: larger than 16 MiB; this is no manifest, or should be several"
    ]


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading 1 TiB would not end
    with pytest.raises(ManifestError, match=r"larger than 16 MiB \(1,099,511,627,776 bytes\)"):
        load_manifest(path, environ={})


def test_deep_json_is_refused(fixtures_folder: Path) -> None:
    """JSON is YAML: the same bounds hold."""
    text = (fixtures_folder / "hostile_text/JSONTestSuite/n_structure_100000_opening_arrays.json").read_bytes()
    assert "nested deeper" in told(text)[0]


def test_hostile_json_is_a_tree_or_a_named_error(fixtures_folder: Path) -> None:
    files = sorted((fixtures_folder / "hostile_text/JSONTestSuite").glob("*.json"))
    assert len(files) > 200
    refused = 0
    for path in files:
        with suppress(ManifestError):
            compose(path.read_bytes(), file=path.name)
            continue
        refused += 1
    assert 30 < refused < len(files)
