"""Headers are read once: an unchanged file is taken over from the older index, with all of its columns."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.hooks.index.places import all_places, indexed

from emasync.testing.tiff import write_pages
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.interface import ChunkPlaces

DATA = np.random.default_rng(7).integers(0, 9, (40, 30), dtype=np.int16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with an HDF5 file of every kind of chunk map, and a stack of pages."""
    root = tmp_path_factory.mktemp("made")
    (root / "d").mkdir()
    with h5py.File(root / "d/b.h5", "w") as file:
        file["plain"] = DATA
        file.create_dataset("chunked", data=DATA, chunks=(10, 10), compression="gzip", shuffle=True)
        mixed = file.create_dataset("mixed", DATA.shape, "<i2", chunks=(10, 10), compression="gzip")
        mixed[:10] = DATA[:10]
        mixed.id.write_direct_chunk((10, 0), DATA[10:20, :10].tobytes(), filter_mask=1)
        sparse = file.create_dataset("sparse", (1 << 21,), "u1", chunks=(1,))
        places = np.arange(0, 1 << 21, 63)
        for start in range(0, len(places), 4096):  # one in 63 is enough for a table
            for at in places[start : start + 4096].tolist():
                sparse.id.write_direct_chunk((at,), b"\x01")
        file["text"] = "no numbers"
    write_pages(root / "d/a.tif", DATA.reshape(4, 10, 30).astype("uint16"), pixel_nm=5)
    indexed(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "root"))


def places(index: DatasetIndex) -> dict[tuple[str, str], tuple[str, ChunkPlaces]]:
    return {(array.asset, array.path): (array.chunks.kind, all_places(array)) for array in index.arrays()}


def spoil(path: Path) -> None:
    """Other bytes, and nothing that a stat tells."""
    facts = path.stat()
    path.write_bytes(b"\0" * facts.st_size)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_what_did_not_change_is_taken_over_and_not_read(root: Path) -> None:
    before = open_index(root, "d")
    known, said = places(before), before.notes
    spoil(root / "d/b.h5")
    write_pages(root / "d/0.tif", np.ones((2, 5, 5), "uint8"), pixel_nm=5)  # all files get other numbers
    after, _ = indexed(root)
    found = places(after)
    assert after.columns.folder != before.columns.folder
    assert {kind for kind, _ in known.values()} == {"affine", "pages", "dense", "sparse"}
    for name, (kind, expected) in known.items():
        assert found[name][0] == kind
        for column in ("starts", "sizes", "skipped", "crc32c"):
            old, new = getattr(expected, column), getattr(found[name][1], column)
            assert (old is None) == (new is None)
            assert old is None or (old == new).all(), (name, column)
        files = found[name][1].files
        assert ((files < 0) == (expected.files < 0)).all()
        assert {after.files.path(file) for file in set(files[files >= 0].tolist())} == {f"d/{name[0]}"}
    assert found["b.h5", "mixed"][1].skipped is not None
    assert found["b.h5", "mixed"][1].skipped.tolist()[3] == 1
    assert [note for note in after.notes if "text" in note] == [note for note in said if "text" in note]


def test_text_beside_numbers_is_no_news(root: Path) -> None:
    index, report = indexed(root)
    assert [note for note in index.notes if "text: it holds text" in note]
    assert report.notes == ()


def test_what_changed_is_read_again(root: Path) -> None:
    spoil(root / "d/b.h5")
    os.utime(root / "d/b.h5")
    after, report = indexed(root)
    assert {asset for asset, _ in places(after)} == {"a.tif"}
    assert any("b.h5" in note for note in report.notes)


def test_nothing_is_taken_over_when_the_manifest_says_something_else(root: Path) -> None:
    spoil(root / "d/b.h5")
    after, _ = indexed(root, metadata={"voxel_size": [1.0, 1.0, 1.0], "unit": "nm"})
    assert {asset for asset, _ in places(after)} == {"a.tif"}
