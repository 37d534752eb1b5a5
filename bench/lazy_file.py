"""What opening an NWB file that is not here costs, 40 ms away: time, requests and bytes by the size of a block.

    python bench/lazy_file.py [--blocks 64,128,256,512,1024] [--traces-mb 200]

The file is pynwb's: traces of a probe with 384 channels, a table of its electrodes, 300 units with spike times and
some behaviour. Three things are done in turn, in a root that has nothing of it: open it with h5py and list all that is
in it, open it with pynwb, and read a second of traces.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from shaped import shaped

import emasync
from emasync.api.planned_files import PlannedFiles
from emasync.model.digest import Span
from emasync.volume import lazy_files, lazy_stream
from emasync.volume.lazy_files import HeldFile

RATE_HZ = 30_000.0
CHANNELS = 384


def write_session(path: Path, traces_mb: int) -> None:
    """A session of an acute recording; traces of noise do not compress, as true ones hardly do."""
    random = np.random.default_rng(3)
    session = NWBFile("s", "id", datetime(2026, 1, 1, tzinfo=UTC))
    probe = session.create_device("probe")
    shank = session.create_electrode_group("shank", "d", "V1", probe)
    for channel in range(CHANNELS):
        session.add_electrode(x=0.0, y=float(channel), z=0.0, imp=1.0, location="V1", filtering="none", group=shank)
    region = session.create_electrode_table_region(list(range(CHANNELS)), "all")
    traces = random.integers(-200, 200, (traces_mb * 1_000_000 // 2 // CHANNELS, CHANNELS), np.int16)
    stored = H5DataIO(traces, compression="gzip", compression_opts=1, chunks=(7_500, 64))
    session.add_acquisition(
        ElectricalSeries(name="ap", data=stored, electrodes=region, starting_time=0.0, rate=RATE_HZ)
    )
    for number in range(20):
        series = TimeSeries(name=f"behaviour {number}", data=random.random(20_000), unit="m", rate=100.0)
        session.add_acquisition(series)
    session.add_unit_column("quality", "of the unit")
    for _ in range(300):
        session.add_unit(spike_times=np.sort(random.random(2_000) * 1_000), quality="good")
    with NWBHDF5IO(path, "w") as io:
        io.write(session)


def list_all(file: IO[bytes]) -> None:
    """Every object with its attributes."""
    with h5py.File(file, "r") as h5:
        h5.visititems(lambda _, item: dict(item.attrs) and None)


def open_with_pynwb(file: IO[bytes]) -> None:
    """The session, its table of units read."""
    with h5py.File(file, "r") as h5, NWBHDF5IO(file=h5, mode="r") as io:
        assert len(io.read().units["quality"][:]) == 300  # noqa: S101,PLR2004 - as written


def read_second(file: IO[bytes]) -> None:
    """A second of ten channels."""
    with h5py.File(file, "r") as h5:
        assert h5["acquisition/ap/data"][30_000:60_000, :10].any()  # noqa: S101 - it is noise


DEEDS: dict[str, Callable[[IO[bytes]], None]] = {
    "h5py, list all": list_all,
    "pynwb, open": open_with_pynwb,
    "h5py, a second": read_second,
}


def planned(folder: Path, url: str, file: Path) -> Path:
    """A root whose one file is planned and not here: the server has lost it while it is fetched."""
    root, manifest = folder / "root", folder / "manifest.yaml"
    entry = {"id": "a", "source": "web", "files": [{"url": f"{url}/x.nwb"}]}
    manifest.write_text(json.dumps({"version": 1, "datasets": [entry]}))
    file.rename(file.with_suffix(".lost"))
    emasync.run(manifest, root=root)
    file.with_suffix(".lost").rename(file)
    return root


def measured(root: Path, deed: Callable[[IO[bytes]], None]) -> tuple[float, int, int]:
    """Seconds, fetches and bytes of one deed."""
    before, began_s = dict(FETCHED), time.perf_counter()
    with emasync.open_file(root, "a", "x.nwb", lazy=True) as file:
        deed(file)
    took_s = time.perf_counter() - began_s
    return took_s, FETCHED["calls"] - before["calls"], FETCHED["bytes"] - before["bytes"]


FETCHED = {"calls": 0, "bytes": 0}


def count_fetches() -> None:
    """Count what is asked for, and how often."""
    fetch = PlannedFiles.parts

    def counted(files: PlannedFiles, wants: Mapping[str, Sequence[Span]]) -> Mapping[str, HeldFile]:
        FETCHED["calls"] += any(wants.values())
        FETCHED["bytes"] += sum(span.size_bytes for spans in wants.values() for span in spans)
        return fetch(files, wants)

    PlannedFiles.parts = counted  # type: ignore[method-assign] # what it does is the same


def main() -> None:
    """Print a row a block size and deed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", default="64,128,256,512,1024")
    parser.add_argument("--traces-mb", type=int, default=200)
    options = parser.parse_args()
    count_fetches()
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        write_session(files / "x.nwb", options.traces_mb)
        print(f"x.nwb: {(files / 'x.nwb').stat().st_size:,} bytes")
        with shaped("objectstore", files, folder) as url:
            for kib in map(int, options.blocks.split(",")):
                lazy_files.BLOCK_BYTES = lazy_stream.BLOCK_BYTES = kib << 10  # type: ignore[misc] # what is measured
                for title, deed in DEEDS.items():
                    with TemporaryDirectory() as fresh:
                        took_s, calls, size = measured(planned(Path(fresh), url, files / "x.nwb"), deed)
                    print(f"{kib:>5} KiB  {title:<16}{took_s:7.2f} s {calls:4} fetches {size / 1e6:8.2f} MB")


if __name__ == "__main__":
    main()
