"""What is no matter of speed: forks, spawned workers and threads; and the time from a manifest to the first block."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zarr

import emasync
from emasync.testing import Archive
from emasync.volume.volume import Volume

DEADLINE_S = 60.0
SIDE = 64

Starts = list[list[int]]

_FIRST_BLOCK = """
import sys, emasync
manifest = {"version": 1, "datasets": [{"id": "a", "source": "bucket", "url": sys.argv[1]}]}
assert emasync.run(manifest, root=sys.argv[2]).ok
assert emasync.open_volume(sys.argv[2], "a").read((0, 20, 30), (128, 128, 128)).any()
"""


def read_sums(volume: Volume, starts: Starts) -> list[int]:
    """Sum of each block."""
    return [int(volume.read(start, (SIDE,) * 3).sum()) for start in starts]


def safety(root: Path, layout: str, data: npt.NDArray[np.uint8]) -> dict[str, str]:
    """Whether workers of each kind read what is there, in time."""
    volume = emasync.open_volume(root, layout.replace(" ", "-"))
    starts: Starts = np.random.default_rng(3).integers(0, data.shape[0] - SIDE, (24, 3)).tolist()
    expected = [int(data[z : z + SIDE, y : y + SIDE, x : x + SIDE].sum()) for z, y, x in starts]
    if read_sums(volume, starts) != expected:
        return {"parent": "wrong bytes"}
    found = {method: _in_processes(method, volume, starts, expected) for method in ("fork", "spawn")}
    with ThreadPoolExecutor(4) as pool:
        right = all(sums == expected for sums in pool.map(lambda _: read_sums(volume, starts), range(8)))
    return {**found, "threads": "right" if right else "wrong bytes"}


def _in_processes(method: str, volume: Volume, starts: Starts, expected: list[int]) -> str:
    pool: Pool = multiprocessing.get_context(method).Pool(2)
    with pool:
        try:
            answers = pool.starmap_async(read_sums, [(volume, starts)] * 4).get(timeout=DEADLINE_S)
        except multiprocessing.TimeoutError:
            return f"hangs (more than {DEADLINE_S:g} s)"
    return "right" if all(sums == expected for sums in answers) else "wrong bytes"


def first_block_s() -> float:
    """Seconds from the start of a program that fetches nine chunks to a decoded block of 128³."""
    with tempfile.TemporaryDirectory() as folder:
        array = zarr.create_array(
            f"{folder}/a.zarr", shape=(128, 192, 192), chunks=(128, 64, 64), dtype="u1", zarr_format=2
        )
        array[:] = np.random.default_rng(1).integers(1, 90, array.shape)
        files = [path for path in Path(folder, "a.zarr").rglob("*") if path.is_file()]
        store = {f"b/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
        with Archive.start(store, where="process") as archive:
            began_s = time.perf_counter()
            command = [sys.executable, "-c", _FIRST_BLOCK, f"{archive.url}/b/a.zarr", f"{folder}/root"]
            subprocess.run(command, check=True)
            return time.perf_counter() - began_s
