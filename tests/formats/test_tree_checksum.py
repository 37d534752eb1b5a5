"""The checksum of a Zarr, against the twin's own computation and a real tree."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.formats.zarr import tree_checksum
from emasync.formats.zarr.tree_checksum import HashedFile, NotComparableError, TreeChecksum
from emasync.testing.dandi_records import zarr_checksum

names = st.text(st.sampled_from('ab-./0"é\U0001f600'), min_size=1, max_size=5).map(lambda name: name.strip("/.") or "x")
keys = st.lists(names, min_size=1, max_size=4).map("/".join).filter(lambda key: "//" not in key)


def hashed(key: str) -> HashedFile:
    return HashedFile(key, hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), len(key))


def without_clashes(found: set[str]) -> list[str]:
    """No key is the folder of another one."""
    return sorted(key for key in found if not any(other.startswith(f"{key}/") for other in found))


@pytest.mark.parametrize(
    ("files", "checksum"),
    [
        ([], "481a2f77ab786a0f45aafd5db0971caa-0--0"),
        (
            [("0", "93b885adfe0da089cdf634904fd59f71", 1), ("1", "249ba6277758050695e8f5909bacd6d3", 2)],
            "7ac0b33cb1c56c657587b12d29d0a21c-2--3",
        ),
        (
            [("a/b", "9dd4e461268c8034f5c8564e155c67a6", 1), ("c", "415290769594460e2e485922904f345d", 1)],
            "26054e501f570a8bfa69a2bc75e7c82d-2--2",
        ),
    ],
)
def test_published_examples(files: list[tuple[str, str, int]], checksum: str) -> None:
    tree = TreeChecksum()
    tree.add([HashedFile(*file) for file in files])
    assert tree.result() == checksum


def test_a_real_tree(fixtures_folder: Path) -> None:
    listing = fixtures_folder.parent / "reference" / "payloads" / "dandi" / "zarr_7723d02f_listing.json"
    if not listing.is_file():
        pytest.skip(f"no real listing at {listing}")
    document = json.loads(listing.read_text())
    tree = TreeChecksum()
    rows = sorted(document["results"], key=lambda row: row["Key"])
    tree.add(HashedFile(row["Key"], row["ETag"], row["Size"]) for row in rows)
    assert tree.result() == document["dandi_zarr_checksum"] == "74c5b53e6d66fccc3260b64511bd376b-1325--3024625521"


@settings(max_examples=60, deadline=None)
@given(found=st.sets(keys, max_size=20), data=st.data())
def test_any_tree_in_passes_over_any_folders_first(found: set[str], data: st.DataObject) -> None:
    files = without_clashes(found)
    folders = sorted({key.rpartition("/")[0] for key in files} - {""})
    first = data.draw(st.lists(st.sampled_from(folders), max_size=3, unique=True)) if folders else []
    chosen = [one for one in first if not any(one.startswith(f"{other}/") for other in first)]
    tree, seen = TreeChecksum(), set()
    for folder in [*chosen, ""]:
        tree.begin(folder)
        rows = [key for key in files if key not in seen and (not folder or key.startswith(f"{folder}/"))]
        seen |= set(rows)
        cut = data.draw(st.integers(0, len(rows)))
        for part in (rows[:cut], rows[cut:]):
            tree.begin(folder)
            tree.add(map(hashed, part))
    assert tree.result() == zarr_checksum({file.key: file[1:] for file in map(hashed, files)})


def test_a_wide_folder_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_checksum, "MOST_HELD", 10)
    files = [hashed(f"0/{number:04d}") for number in range(100)]
    tree = TreeChecksum()
    tree.add(files)
    assert tree._folders["0"].rows is None
    assert tree.result() == zarr_checksum({file.key: file[1:] for file in files})
    mixed = TreeChecksum()
    mixed.add([*files, hashed("0/a/b")])
    with pytest.raises(NotComparableError, match="10 files"):
        mixed.result()


@pytest.mark.parametrize("order", [["b", "a"], ["a", "a"], ["x/a", "y", "x/b"]])
def test_files_out_of_order_are_not_compared(order: list[str]) -> None:
    with pytest.raises(NotComparableError):
        TreeChecksum().add([hashed(key) for key in order])


def test_it_says_where_it_is() -> None:
    assert repr(TreeChecksum()) == "<TreeChecksum 1 folders open>"
