from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emasync.disk.names import check_relative, map_path, unmap_segment
from emasync.errors import DestinationError, ErrorKind
from emasync.manifest.load import parse_manifest
from emasync.model.task import ObjectEntry
from emasync.plan.intake import placed
from emasync.plan.layout import MirrorLayout, source_metadata
from emasync.registry import LAYOUTS

KEYS = st.lists(st.text(st.sampled_from("ab.%~2F/\\ \0\ncoOn"), max_size=5), min_size=1, max_size=4).map("/".join)


def test_the_registry_knows_it() -> None:
    assert LAYOUTS.load("mirror") is MirrorLayout


def test_ordinary_paths_stay_as_they_are() -> None:
    layout = MirrorLayout()
    assert layout.folder("d") == "d"
    assert source_metadata(layout.folder("d")) == "d.source-metadata"
    for path in ("a", "a/b c/%20x.tif", "s0/.zarray", "c/0/1/2", "ä/ö"):
        assert layout.place(path) == path
        assert placed(ObjectEntry(key=path), layout).path is None


@given(KEYS)
def test_no_key_leaves_the_root_and_each_can_be_told_from_its_place(key: str) -> None:
    place = MirrorLayout().place(key)
    assert posixpath.normpath(f"d/{place}") == f"d/{place}"
    assert "\0" not in place
    assert "/".join(map(unmap_segment, place.split("/"))) == key


@given(KEYS, KEYS)
def test_two_keys_never_share_a_place(one: str, other: str) -> None:
    layout = MirrorLayout()
    assert (layout.place(one) == layout.place(other)) == (one == other)


@pytest.mark.parametrize("key", ["x" * 256, "/".join(["y" * 200] * 25)])
def test_names_that_no_filesystem_takes_are_refused(key: str) -> None:
    with pytest.raises(DestinationError) as caught:
        MirrorLayout().place(key)
    assert caught.value.kind == ErrorKind.UNSAFE_NAME


def test_a_path_that_the_source_wants_wins_over_the_key() -> None:
    entry = placed(ObjectEntry(key="/x/y?v=1", path="y..bin/"), MirrorLayout())
    assert entry.path == "y..bin/%~"
    same = ObjectEntry(key="k", path="other")
    assert placed(same, MirrorLayout()) is same


@given(
    path=st.lists(
        st.sampled_from(["a", "con", "c", "Com1.x", "x.", ".", "b-_.c", "0" * 120, "0" * 121, "é", "", "a b"])
    ).map("/".join)
)
def test_the_short_way_gives_what_the_long_way_gives(path: str) -> None:
    try:
        expected = map_path(path)
        check_relative(expected)
    except DestinationError:
        with pytest.raises(DestinationError):
            MirrorLayout().place(path)
    else:
        assert MirrorLayout().place(path) == expected


def test_the_example_of_the_documentation_is_a_manifest() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/layouts.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    manifest = parse_manifest(example, file="layouts.md", environ={})
    assert manifest.layout.kind == "flexiznam"
    assert set(manifest.layout.folders(manifest.folder)) == {"flexiznam/raw", "flexiznam/processed"}
