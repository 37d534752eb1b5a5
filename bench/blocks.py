"""Random 128³ crops of one volume in many layouts: emasync and the readers that people use, crop by crop in turn.

``python bench/blocks.py --quick`` prints a table and verdicts, and writes ``bench/results/blocks-quick.{json,md}``;
without ``--quick`` more crops of a larger volume are read. Nobody keeps decoded chunks; files are in the page cache.
Processor time is that of all threads of the process: it tells what a reader costs where many of them share a machine.
Layouts that are published most are read with all crops, every other format and codec with a few. Needs
``pip install 'emasync[test]'``; peers that are missing are named, with what installs them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, this folder is no package

from bench.block_codecs import CHUNK
from bench.block_data import LAYOUTS, MAIN, fetched, kept
from bench.block_memory import worker_memory
from bench.block_peers import Block, Reader, missing, readers
from bench.block_report import EACH_CODEC, BlockResults, Race, Took, write
from bench.block_safety import first_block_s, safety
from bench.machine import machine, revision

import emasync
from emasync.volume.volume import Volume

BLOCK = 128
PACKAGES = (
    "emasync", "numpy", "numcodecs", "imagecodecs", "zstandard", "tensorstore", "zarr", "tifffile", "mrcfile", "h5py",
    "hdf5plugin", "ncempy", "z5py", "cloud-volume",
)  # fmt: skip
NEIGHBOURS = [(z, y, x) for z in (0, 32) for y in (0, 32) for x in (0, 32)]
"""Eight crops that overlap by three quarters on each axis, as a sampler of patches takes them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is read."""

    size: int
    crops: int
    layouts: list[str]


def crops(size: int, count: int, *, aligned: bool, seed: int = 7) -> Iterator[tuple[slice, ...]]:
    """Boxes inside of the volume."""
    for start in np.random.default_rng(seed).integers(0, size - BLOCK + 1, (count, 3)):
        low = start // CHUNK * CHUNK if aligned else start
        yield tuple(slice(int(at), int(at) + BLOCK) for at in low)


def raced(contestants: Mapping[str, Reader], boxes: Sequence[tuple[slice, ...]]) -> dict[str, Took]:
    """What each crop took, a reader; all must agree.

    The order is drawn anew for each crop: who always came after the same other one would find what that left behind.
    """
    names, took = list(contestants), {name: Took([], []) for name in contestants}
    for name in names:
        contestants[name](boxes[0])
    order = np.random.default_rng(13)
    for box in boxes:
        found = []
        for name in order.permutation(names).tolist():
            with took[name].measured():
                found.append(contestants[name](box))
        if any(not np.array_equal(found[0].view(np.uint8), block.view(np.uint8)) for block in found[1:]):
            raise SystemExit(f"readers disagree about {box}")
    return took


def races(plan: Plan, root: Path, places: Mapping[str, Path]) -> Iterator[Race]:
    """All layouts; those that are published most unaligned and aligned."""
    for layout, place in places.items():
        contestants = readers(root, layout.replace(" ", "-"), place, LAYOUTS[layout].peers)
        if layout not in MAIN:
            boxes = list(crops(plan.size, max(4, plan.crops // 8), aligned=False))
            yield Race(layout, EACH_CODEC, raced(contestants, boxes))
            continue
        for aligned in (False, True):
            boxes = list(crops(plan.size, plan.crops, aligned=aligned))
            yield Race(layout, "aligned" if aligned else "unaligned", raced(contestants, boxes))


def neighbours(plan: Plan, root: Path, layouts: Sequence[str]) -> Iterator[Race]:
    """Eight neighbouring crops in one batch, and one by one, into the same memory; who begins changes."""
    random = np.random.default_rng(11)
    room = np.empty((len(NEIGHBOURS), BLOCK, BLOCK, BLOCK), np.uint8)
    for layout in layouts:
        volume = emasync.open_volume(root, layout.replace(" ", "-"), cache_bytes=0)
        ways = [partial(_batch, volume, room.view(volume.dtype)), partial(_singly, volume, room.view(volume.dtype))]
        took = {"batch": Took([], []), "one by one": Took([], [])}
        for turn in range(max(6, plan.crops // 4)):
            first = random.integers(0, plan.size - BLOCK - 32 + 1, 3)
            for one, way in list(zip(took.values(), ways, strict=True))[:: -1 if turn % 2 else 1]:
                with one.measured():
                    way((first + NEIGHBOURS).tolist())
        yield Race(layout, "eight neighbours", took)


def _batch(volume: Volume, out: Block, starts: list[list[int]]) -> None:
    volume.read_many(starts, (BLOCK,) * 3, out=out)


def _singly(volume: Volume, out: Block, starts: list[list[int]]) -> None:
    for start, block in zip(starts, out, strict=True):
        volume.read(start, (BLOCK,) * 3, out=block)


def opened_ms(root: Path, layout: str) -> float:
    """Median time to open a volume."""
    took_s = []
    for _ in range(50):
        began_s = time.perf_counter()
        emasync.open_volume(root, layout.replace(" ", "-"))
        took_s.append(time.perf_counter() - began_s)
    return float(np.median(took_s)) * 1e3


def layouts_here(chosen: Sequence[str]) -> list[str]:
    """Layouts that some peer reads which is here; tells of others, and what installs their peers."""
    gone = missing()
    for name, how in gone.items():
        print(f"{name} is missing: {how}", file=sys.stderr)
    return [name for name in chosen if not set(LAYOUTS[name].peers) <= gone.keys()]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="256³ voxels, few crops")
    parser.add_argument("--crops", type=int, help="of each layout; 100, or 24 with --quick")
    parser.add_argument("--only", nargs="*", choices=list(LAYOUTS), help="layouts")
    parser.add_argument("--folder", type=Path, help="where volumes are written, and kept for the next time")
    options = parser.parse_args()
    crop_count = options.crops or (24 if options.quick else 100)
    plan = Plan(256 if options.quick else 512, crop_count, layouts_here(options.only or list(LAYOUTS)))
    with tempfile.TemporaryDirectory(prefix="blocks-") as temporary:
        folder = (options.folder or Path(temporary)) / str(plan.size)
        volume = kept(folder / "volume.npy", plan.size)
        places = fetched(folder, plan.layouts, volume)
        root = folder / "root"
        main_layouts = [name for name in plan.layouts if name in MAIN]
        found = [*races(plan, root, places), *neighbours(plan, root, main_layouts)]
        figures = {"time to the first block, s": first_block_s()}
        for name in main_layouts:
            figures |= worker_memory(root, name.replace(" ", "-"))
        for name in main_layouts[:1]:
            figures[f"opening {name}, ms"] = opened_ms(root, name)
        results = BlockResults(
            facts={
                **machine({"disk": folder}),
                "load": [round(load, 1) for load in os.getloadavg()],
                "revision": revision(Path(__file__).parents[1]),
                "versions": {name: version(name) for name in PACKAGES if find_spec(name.replace("-", ""))},
                "missing": missing(),
                "volume": f"{plan.size}³ uint8, crops of {BLOCK}³, chunks of {CHUNK}³",
            },
            races=found,
            figures=figures,
            safety=next((safety(root, name, volume) for name in main_layouts if name != "mrc"), {}),  # of int8
        )
    print(write(results, Path(__file__).parent / "results", "blocks-quick" if options.quick else "blocks"))


if __name__ == "__main__":
    main()
