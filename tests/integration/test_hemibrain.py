"""The hemibrain in its true grid, 9, 6 and 15 bits of sharding, 1000 voxels cubed: what it costs, and what it leaves.

Regions of 512^3 voxels share a minishard: 512 chunks with bytes that follow each other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.folders import run_within

from emasync.model.digest import Span
from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.content import BucketRules
from emasync.testing.precomputed import read_precomputed
from emasync.testing.shipped import hemibrain
from emasync.testing.shipped.encodings import jpeg_file, jpeg_scan
from emasync.testing.shipped.shards import ShardLayout
from emasync.testing.stores import MemoryStore

pytest.importorskip("tensorstore")

BUCKET = hemibrain.BUCKET
EM = f"{BUCKET}/em"
SIZE = hemibrain.IMAGE_SIZE
GRID = (538, 621, 647)
"""Chunks of 64^3 voxels, x, y, z."""

FIRST = (248, 312, 288)
"""First chunk of the regions that are served, x, y, z: three of eight chunks on each axis."""

REGIONS = 3
DATA_BYTES = 20_000
"""More than any index has, less than the chunks of a quarter of a region."""


GREYS = np.arange(20, 180, 20, dtype=np.uint8)
"""Of a row of blocks: eight voxels of x each."""

SCAN = jpeg_scan(np.tile(GREYS, (512, 1)))


def chunk_of(cell: tuple[int, int, int]) -> bytes:
    """A JPEG of 64 columns and 4,096 rows that says where it belongs."""
    return jpeg_file(SCAN, rows=4096, columns=64, comment="-".join(map(str, cell)))


@pytest.fixture(scope="module")
def served() -> Iterator[Archive]:
    """Three regions on each axis, all their chunks; nothing else of 216 million."""
    columns, rows, planes = (range(first, first + 8 * REGIONS) for first in FIRST)
    cells = list(product(columns, rows, planes))
    shards = ShardLayout(grid=GRID).shards({cell: chunk_of(cell) for cell in cells})
    scale = {
        "key": "8.0x8.0x8.0",
        "size": list(SIZE),
        "resolution": [8, 8, 8],
        "chunk_sizes": [[64, 64, 64]],
        "encoding": "jpeg",
        "sharding": ShardLayout(grid=GRID).described(),
    }
    info = {"type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale]}
    objects = {f"{EM}/info": json.dumps(info).encode()}
    objects |= {f"{EM}/8.0x8.0x8.0/{name}": data for name, data in shards.items()}
    twin = ArchiveTwin(
        store=MemoryStore(objects),
        stands_for={f"gs://{BUCKET}": BUCKET},
        buckets={BUCKET: BucketRules(kind="google")},
    )
    with twin.serve() as archive:
        yield archive


def manifest(archive: Archive, **crop: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "mirrors": {f"gs://{BUCKET}": f"{archive.url}/{BUCKET}"},
        "datasets": [{"id": "cube", "source": "bucket", "url": f"gs://{EM}", "scales": [0], "crop": crop}],
    }


def ranges(archive: Archive) -> list[tuple[str, Span]]:
    """Shard and range of every request for a part of a shard."""
    found = []
    for seen in archive.requests:
        if seen.path.endswith(".shard") and (text := seen.headers.get("range", "")):
            first, _, last = text.removeprefix("bytes=").partition("-")
            found.append((seen.path.rpartition("/")[2], Span(int(first), int(last) + 1)))
    return found


def boxes_of(told: list[Event]) -> dict[str, dict[str, Any]]:
    """What was told of the one array of each dataset."""
    rows = (dict(event.fields) for event in told if "box_start" in event.fields)
    return {str(row["dataset"]): row for row in rows}


def start_of(*chunks: int) -> list[int]:
    """z, y, x of a chunk, counted from the first that is served."""
    return [64 * (first + at) for first, at in zip(FIRST, chunks, strict=True)][::-1]


@pytest.mark.parametrize(
    ("first", "side", "regions"),
    [((0, 0, 0), 16, 2**3), ((3, 5, 7), 16, 3**3)],
    ids=["along regions", "across regions"],
)
def test_a_cube_costs_one_request_an_index_and_one_a_region(
    served: Archive, tmp_path: Path, first: tuple[int, int, int], side: int, regions: int
) -> None:
    """At most one for the index of a shard, one for that of a minishard, and one for what follows each other."""
    served.reset()
    receipt = run_within(manifest(served, start=start_of(*first), shape=[1000] * 3), tmp_path)
    assert receipt.failures == ()
    asked = ranges(served)
    heads = Counter(name for name, span in asked if span == Span(0, 1024))
    assert set(heads.values()) == {1}, "trap 7 and 4: the index of a shard is read once, 1,024 bytes"
    assert set(heads) == {name for name, _ in asked}
    data = [span for _, span in asked if span.size_bytes > DATA_BYTES]
    assert len(asked) - len(heads) - len(data) == regions, "one for the index of each minishard touched"
    assert len(data) <= regions
    assert len(asked) == len(set(asked)), "nothing twice"
    assert receipt.totals.requests <= len(asked) + 8, "info, a name that nobody wrote, listings"
    names = {path.name for path in (tmp_path / "cube" / "8.0x8.0x8.0").iterdir()}
    assert len(names) == side**3
    at = [low + step for low, step in zip(FIRST, first, strict=True)]
    for cell in (at, [low + side - 1 for low in at]):
        name = "_".join(f"{64 * low}-{64 * low + 64}" for low in cell)
        assert (tmp_path / "cube" / "8.0x8.0x8.0" / name).read_bytes() == chunk_of((cell[0], cell[1], cell[2]))


def test_a_cube_that_is_not_aligned_to_chunks_has_17_on_each_axis(served: Archive, tmp_path: Path) -> None:
    """One chunk more on each axis, three regions instead of two; metadata says what is there."""
    served.reset()
    start = [low + 30 for low in start_of(0, 0, 0)]
    receipt = run_within(manifest(served, start=start, shape=[1000] * 3), tmp_path)
    assert receipt.failures == ()
    assert len(list((tmp_path / "cube" / "8.0x8.0x8.0").iterdir())) == 17**3
    assert len([span for _, span in ranges(served) if span.size_bytes > DATA_BYTES]) <= 3**3
    info = json.loads((tmp_path / "cube" / "info").read_bytes())
    (scale,) = info["scales"]
    assert (scale["size"], scale["voxel_offset"]) == ([17 * 64] * 3, start_of(0, 0, 0)[::-1])


def test_a_cube_at_random_is_drawn_where_there_is_data(served: Archive, tmp_path: Path) -> None:
    """Most of the volume is not there; the box that is taken costs no index twice for having been looked at."""
    served.reset()
    low = [at - 2048 for at in start_of(0, 0, 0)]
    within = {"start": low, "shape": [4096 + 512 * REGIONS] * 3}
    told: list[Event] = []
    wanted = manifest(served, at="random", shape=[150] * 3, seed=20250720, within=within, min_nonzero=0.9)
    wanted["datasets"].append({**wanted["datasets"][0], "id": "borrowed", "crop": {"same_as": "cube"}})
    receipt = run_within(wanted, tmp_path, on_event=told.append)
    assert receipt.failures == ()
    fields, borrowed = (boxes_of(told)[name] for name in ("cube", "borrowed"))
    assert [borrowed[name] for name in ("box_start", "box_shape")] == [fields["box_start"], [150] * 3]
    assert fields["draws"] > 1
    assert fields["nonzero"] / fields["sampled"] >= 0.9
    indexes = Counter((name, span) for name, span in ranges(served) if span.size_bytes <= 1024)
    assert max(indexes.values()) <= 2, "once for each dataset, also of boxes that were drawn and not taken"
    voxels, first = read_precomputed(tmp_path / "cube")
    assert list(first) == fields["hull_start"]
    there = voxels[..., 0] > 0
    greys = np.tile(np.repeat(GREYS, 8), voxels.shape[2] // 64).astype(np.int16)
    assert there.mean() > 0.5
    assert (np.abs(voxels[..., 0].astype(np.int16) - greys) <= 1)[there].all(), "JPEG, as TensorStore reads it"
    kept = json.loads((tmp_path / "cube.source-metadata" / "boxes.json").read_bytes())
    (row,) = kept["images"].values()
    assert row["draw"] == {name: fields[name] for name in ("draws", "sampled", "nonzero")}
    assert row["arrays"][0]["box"] == {"start": fields["box_start"], "shape": [150] * 3}
    served.reset()
    again = run_within(wanted, tmp_path)
    assert (again.exit_code, again.totals.requests) == (0, 0)
