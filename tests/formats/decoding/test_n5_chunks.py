"""What writers of N5 write is what comes out; Java's are among the trees of other people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.decoding.whole import of_tree, tensorstore_open, voxels

from emasync.formats.n5.attributes import read_attributes, read_dataset


@pytest.mark.parametrize(
    "compression",
    [
        {"type": "raw"},
        {"type": "gzip"},
        {"type": "gzip", "useZlib": True},
        {"type": "bzip2"},
        {"type": "xz"},
        {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
        {"type": "zstd"},
    ],
    ids=lambda compression: "-".join(map(str, compression.values())),
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_n5_of_tensorstore_whose_edges_are_padded(tmp_path: Path, dtype: str, compression: dict[str, Any]) -> None:
    metadata = {"dimensions": [11, 9, 7], "blockSize": [4, 5, 6], "dataType": dtype, "compression": compression}
    expected = voxels((7, 9, 11), dtype)
    tensorstore_open(tmp_path, {"driver": "n5", "metadata": metadata})[...] = expected.T
    documents = {"attributes.json": (tmp_path / "attributes.json").read_bytes()}
    attributes = read_attributes("", documents)
    assert attributes is not None
    assert np.array_equal(of_tree(tmp_path, read_dataset("", attributes, documents)), expected)
