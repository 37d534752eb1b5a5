"""Blocks that hold data and blocks that do not, of every writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emasync.errors import FormatError
from emasync.formats.content import ChunkBytes, ContentTest, NoDecoderError, TellsContent
from emasync.formats.n5 import N5Format, N5Walk
from emasync.formats.n5.block import BlockHeader
from emasync.testing.n5 import COMPRESSIONS, write_attributes, write_dataset

Discover = Callable[..., Any]  # the fixture's class lives in conftest, which is no module to import

BLOCKS = (4, 6, 5)


def looker(discover: Discover, folder: Path) -> ContentTest:
    (array,) = discover(folder, walk_of=N5Walk).arrays.values()
    form = N5Format()
    assert isinstance(form, TellsContent)
    return form.content_test(array, array.documents)


def block(folder: Path, key: str) -> ChunkBytes:
    return ChunkBytes(key, BLOCKS, (folder / key).read_bytes())


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_block_holds_data_when_one_voxel_does(
    tmp_path: Path, discover: Discover, compression: str, dtype: str
) -> None:
    voxels = np.zeros((8, 6, 7), dtype)
    voxels[0, 0, 4], voxels[7, 5, 6] = 3, 1
    write_dataset(tmp_path, voxels, blocks=BLOCKS, compression=compression)
    holds_data = looker(discover, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("[0-9]") if path.is_file()) == ["0", "1"]
    assert holds_data(block(tmp_path, "0/0/0"))
    assert holds_data(block(tmp_path, "1/0/1")), "cut at the edge: its header says that it has two columns"
    _, compress = COMPRESSIONS[compression]
    nothing = BlockHeader((4, 6, 2)).to_bytes() + compress(np.zeros(48, dtype).tobytes())
    assert not holds_data(ChunkBytes("0/0/0", BLOCKS, nothing))


def test_a_zero_with_a_sign_is_a_zero(tmp_path: Path, discover: Discover) -> None:
    write_dataset(tmp_path, np.ones(BLOCKS, "float32"), blocks=BLOCKS, compression="raw")
    data = BlockHeader(BLOCKS).to_bytes() + np.full(BLOCKS, -0.0, ">f4").tobytes()
    assert not looker(discover, tmp_path)(ChunkBytes("0/0/0", BLOCKS, data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-9], "ends early"),
        (lambda data: data[:16] + b"no gzip", "is no gzip"),
        (lambda data: b"\0\1" + data[2:], "mode 1 (varlength)"),
        (lambda data: BlockHeader((4, 6, 4)).to_bytes() + data[16:], "more than 96 bytes"),
        (lambda data: BlockHeader((3, 6, 5)).to_bytes() + data[16:], "more than 90 bytes"),
        (lambda data: data[:10], "less than its header"),
    ],
)
def test_a_damaged_block_is_named_and_no_empty_one(
    tmp_path: Path, discover: Discover, change: Callable[[bytes], bytes], words: str
) -> None:
    voxels = np.random.default_rng(1).integers(1, 255, BLOCKS, "uint8")
    write_dataset(tmp_path, voxels, blocks=BLOCKS)
    whole = (tmp_path / "0/0/0").read_bytes()
    with pytest.raises(FormatError) as caught:
        looker(discover, tmp_path)(ChunkBytes("0/0/0", BLOCKS, change(whole)))
    assert words in caught.value.message
    assert "0/0/0" in caught.value.message


def test_a_raw_block_that_is_cut_off(tmp_path: Path, discover: Discover) -> None:
    write_dataset(tmp_path, np.ones(BLOCKS, "uint8"), blocks=BLOCKS, compression="raw")
    with pytest.raises(FormatError, match="has 119 bytes of voxels, 120 were expected"):
        looker(discover, tmp_path)(ChunkBytes("0/0/0", BLOCKS, (tmp_path / "0/0/0").read_bytes()[:-1]))


def test_what_nothing_here_decodes_is_named(tmp_path: Path, discover: Discover) -> None:
    members = {"dimensions": [8, 8], "blockSize": [4, 4], "dataType": "object", "compression": {"type": "raw"}}
    write_attributes(tmp_path, members)
    with pytest.raises(NoDecoderError, match="voxels of type object"):
        looker(discover, tmp_path)
