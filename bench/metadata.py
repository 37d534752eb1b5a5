"""Time of the metadata hook: a thousand assets described, 10^5 rows written, memory.

Run with ``python bench/metadata.py``; prints one line a case, time on the clock and of the processor. Targets: 20 s on
two cores for each kind of asset, 5 s and 300 MiB for the rows.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from emasync import api
from emasync.disk.sink import LocalSink
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.description import describe
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.writers import TableWriter
from emasync.testing.nwb import write_nwb

ASSETS, LEVELS = 1_000, 5
ROWS_AN_ASSET = 100


def main() -> None:
    """Measure everything; the rows first, for their peak of memory."""
    rows()
    for name, fill in (("tiff", tiffs), ("ome-zarr", images), ("nwb", sessions)):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            facts = {"id": "d", "folder": "d", "location": "s3://bucket/d", "source": "bucket", "series": None}
            (root / "d.source-metadata").mkdir()
            (root / "d.source-metadata/dataset.json").write_text(json.dumps({"version": 1, **facts}))
            fill(root / "d")
            for which in ("first", "again"):
                began = time.perf_counter(), processor_s()
                counts = api.hook(root, "metadata").counts
                told = f"{counts['assets']:,} assets, {counts['rows']:,} rows"
                print(f"{name} {which}: {told} {since(began)}")


def processor_s() -> float:
    """Processor time of this process and of those that it started and that ended, seconds."""
    return sum(os.times()[:4])


def since(began: tuple[float, float]) -> str:
    """Times since two readings, for people."""
    return f"in {time.perf_counter() - began[0]:.2f} s, {processor_s() - began[1]:.2f} s of processor"


def tiffs(folder: Path) -> None:
    """Stacks of ImageJ."""
    folder.mkdir()
    example = folder / "000000.tif"
    told = {"spacing": 0.02, "unit": "um"}
    tifffile.imwrite(example, np.zeros((20, 64, 64), np.uint8), imagej=True, resolution=(50, 50), metadata=told)
    _copies(example, ASSETS)


def sessions(folder: Path) -> None:
    """NWB files."""
    folder.mkdir()
    example = folder / "000000.nwb"
    write_nwb(example)
    _copies(example, ASSETS)


def _copies(example: Path, count: int) -> None:
    data = example.read_bytes()
    for number in range(1, count):
        example.with_name(f"{number:06d}{example.suffix}").write_bytes(data)


def images(folder: Path) -> None:
    """OME-Zarr images of several levels, without chunks."""
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    levels = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [2.0**level] * 3}]}
        for level in range(LEVELS)
    ]
    array = {"zarr_format": 2, "chunks": [64] * 3, "dtype": "<u2", "order": "C", "fill_value": 0, "filters": None}
    for number in range(ASSETS):
        image = folder / f"sub-{number // 100}/{number}.zarr"
        image.mkdir(parents=True)
        (image / ".zgroup").write_text('{"zarr_format": 2}')
        multiscale = {"version": "0.4", "axes": axes, "datasets": levels}
        (image / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
        for level in range(LEVELS):
            (image / str(level)).mkdir()
            told = array | {"shape": [256 >> level] * 3, "compressor": {"id": "zstd", "level": 1}}
            (image / str(level) / ".zarray").write_text(json.dumps(told))


def rows() -> None:
    """The tables alone."""
    arrays = tuple(_array(level % 10) for level in range(ROWS_AN_ASSET))
    record = AssetRecord(path="image", kind="image", format="zarr", arrays=arrays)
    nothing = [None] * ROWS_AN_ASSET
    asset = describe(record, dataset="d", name="image", around=[], own=[], override=frozenset(), coverages=nothing)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter(), processor_s()
        table = TableWriter(Path(folder))
        table.begin({"id": "d", "complete": True, "notes": []})
        for number in range(ASSETS):
            table.add(asset, f"metadata/d/{number}.json")
        table.end()
        sink = LocalSink(Path(folder))
        table.finish(sink)
        table.close()
        sink.close()
        took = since(began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"rows: {table.rows:,} written {took}, peak memory {peak} MiB")


def _array(level: int) -> ArrayRecord:
    claims = Claims("header", f"image/s{level}", "image")
    for axis in "zyx":
        claims.claim(f"shape_{axis}", 512 >> level, "shape")
        claims.claim(f"chunk_{axis}", 64, "chunks")
        claims.voxel(axis, 4.0 * 2**level, "nanometer", "coordinateTransformations")
        claims.length(f"origin_{axis}_nm", 0.5, "nanometer", "coordinateTransformations")
    claims.text("dtype", "uint8", "dtype")
    return ArrayRecord(path=f"s{level}", scale=level, claims=tuple(claims.found))


if __name__ == "__main__":
    main()
