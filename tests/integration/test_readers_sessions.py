"""NWB files and recordings after a real run, opened by readers that are not ours: pynwb, SpikeInterface, MEArec."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from tests.integration.readers import fetched

from emasync.testing import ephys, visual_coding
from emasync.testing.mearec import RATE_HZ

SPIKEINTERFACE = """
import hashlib, json, sys
import spikeinterface.core as core

for folder in map(str, sys.argv[1:]):
    with open(folder + "/binary.json") as file:
        kwargs = json.load(file)["kwargs"]
    if "num_chan" in kwargs:  # older than what this release loads by itself
        recording = core.read_binary(
            folder + "/" + kwargs["file_paths"][0],
            sampling_frequency=kwargs["sampling_frequency"],
            num_channels=kwargs["num_chan"],
            dtype=kwargs["dtype"],
        )
        found = {}
    else:
        recording = core.load(folder)
        found = {"gains": recording.get_channel_gains().tolist(), "contacts": len(recording.get_probe().contact_ids)}
    traces = recording.get_traces()
    found |= {"shape": traces.shape, "dtype": str(traces.dtype), "sha256": hashlib.sha256(traces.tobytes()).hexdigest()}
    print(json.dumps(found))
"""


def test_nwb_by_pynwb(tmp_path: Path) -> None:
    """One session by another: data in every layout, references, compounds, a file without a subject."""
    from pynwb import NWBHDF5IO

    twin = visual_coding.dandiset(tmp_path / "made")
    folder = fetched(twin, tmp_path / "root", source="dandi", dandiset="000728", version=visual_coding.PUBLISHED)
    for path, session in visual_coding.SESSIONS.items():
        with NWBHDF5IO(folder / path, "r", load_namespaces=False) as file:
            found = file.read()
            assert (found.identifier, found.session_start_time.isoformat()) == (session.identifier, full(session.start))
            assert (found.subject and found.subject.age) == (session.subject and session.age)
            for name, series in found.acquisition.items():
                np.testing.assert_array_equal(series.data[...], twin.truth[f"{path}/acquisition/{name}/data"])
            assert found.acquisition["ElectricalSeries"].electrodes.to_dataframe()["group_name"].unique() == ["shank0"]
            (reference,) = found.trials["timeseries"][3]
            assert (reference.idx_start, reference.count, reference.timeseries.name) == (180, 60, "running_speed")


def full(moment: str) -> str:
    """With all six digits of a fraction."""
    head, _, tail = moment.partition(".")
    return f"{head}.{tail[:-6]:0<6}{tail[-6:]}"


def test_nwb_in_zarr_by_zarr(tmp_path: Path) -> None:
    """Pickles come along and are not decoded; no release of hdmf-zarr for this zarr can be had."""
    twin = visual_coding.dandiset(tmp_path / "made", hdf5=False)
    folder = fetched(twin, tmp_path / "root", source="dandi", dandiset="000728", version="draft")
    root = zarr.open_group(folder / visual_coding.ZARR, mode="r", use_consolidated=False)
    for path, values in twin.truth.items():
        array = root[path.removeprefix(f"{visual_coding.ZARR}/")]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(array[...], values)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, npt.NDArray[Any]]]:
    place = tmp_path_factory.mktemp("benchmark")
    twin = ephys.benchmark(place / "made", channels=6, samples=2_000)
    folder = fetched(twin, place / "root", source="open_data", registry=ephys.SLUG, format="binary")
    return folder, {path.removeprefix(f"{ephys.BUCKET}/{ephys.PREFIX}/"): truth for path, truth in twin.truth.items()}


def test_binary_folders_by_spikeinterface(benchmark: tuple[Path, dict[str, npt.NDArray[Any]]]) -> None:
    """In a process of its own: what its import brings along need not be as strict as this suite."""
    if importlib.util.find_spec("spikeinterface") is None:
        pytest.skip("pip install --no-deps spikeinterface tqdm threadpoolctl: it asks for zarr < 3, without need here")
    folder, truths = benchmark
    names = [name for name in truths if not name.endswith(".h5")]
    command = [sys.executable, "-c", SPIKEINTERFACE, *(str(folder / name) for name in names)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout
    for name, line in zip(names, told.splitlines(), strict=True):
        found = json.loads(line)
        assert (found["shape"], found["dtype"]) == ([2_000, 6], "int16")
        assert found["sha256"] == sha256(truths[name].tobytes()).hexdigest()
        if name.startswith("ibl"):
            assert (found["gains"], found["contacts"]) == ([0.195] * 6, 6)


def test_binary_folders_by_numpy_and_probeinterface(benchmark: tuple[Path, dict[str, npt.NDArray[Any]]]) -> None:
    import probeinterface

    folder, truths = benchmark
    for name, traces in truths.items():
        if name.endswith(".h5"):
            continue
        read = np.fromfile(folder / name / ephys.TRACES, "<i2").reshape(-1, 6)
        np.testing.assert_array_equal(read, traces)
        (probe_file,) = (folder / name).glob("probe*.json")
        (probe,) = probeinterface.read_probeinterface(probe_file).probes
        assert probe.contact_positions[5].tolist() == [32.0, 30.0]


def test_simulated_recordings_by_mearec(benchmark: tuple[Path, dict[str, npt.NDArray[Any]]]) -> None:
    import MEArec
    import probeinterface

    folder, truths = benchmark
    for name in (name for name in truths if name.endswith(".h5")):
        generator = MEArec.load_recordings(folder / name, return_h5_objects=False)
        np.testing.assert_array_equal(generator.recordings, truths[name])
        assert generator.info["recordings"]["fs"] == RATE_HZ
        assert len(generator.spiketrains) == 3
        assert probeinterface.read_mearec(folder / name).contact_positions[5].tolist() == [32.0, 30.0]
