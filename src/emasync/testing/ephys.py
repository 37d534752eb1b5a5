"""AIND's compression benchmark: binary folders of SpikeInterface, simulated recordings, the entry in the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.folder import FolderStore
from emasync.testing.mearec import RATE_HZ, positions, write_mearec
from emasync.testing.objects import ObjectStore
from emasync.testing.open_data import bucket_resource, entry_text, write_registry
from emasync.testing.pixels import DriftingVolume
from emasync.testing.sparse import LayeredStore, SparseStore
from emasync.testing.volumes import Volume

BUCKET = "aind-benchmark-data"
PREFIX = "ephys-compression"
SLUG = "allen-nd-ephys-compression"
TRACES = "traces_cached_seg0.raw"

Generation = Literal["0.97.1", "0.105.3"]
"""Releases of SpikeInterface whose folders differ."""

_SESSIONS: dict[str, Generation] = {
    "aind-np2/595262_2022-02-21_15-18-07_ProbeA": "0.97.1",
    "aind-np2/612962_2022-04-13_19-18-04_ProbeB": "0.97.1",
    "aind-np1/625749_2022-08-03_15-15-06_ProbeA": "0.97.1",
    "ibl-np1/CSHZAD026_2020-09-04_probe00": "0.105.3",
}
_SIMULATED = ("mearec/mearec_NP1.h5", "mearec/mearec_NP2.h5")
_CORE = "spikeinterface.core"


def benchmark(folder: Path, *, channels: int = 16, samples: int = 15_000, simulated: bool = True) -> ArchiveTwin:
    """The benchmark's bucket with some sessions of each kind, and its entry in the Registry of Open Data.

    Parameters
    ----------
    folder : Path
        Empty; is written to and served from.
    channels, samples : int
        Of each recording: 384 channels and 30,000 samples a second in the true ones.
    simulated : bool
        With the two files of MEArec; they need h5py.
    """
    root = folder / BUCKET / PREFIX
    truth: dict[str, Volume] = {
        f"{BUCKET}/{PREFIX}/{name}": write_recording(
            root / name, generation=generation, channels=channels, samples=samples, seed=number
        )
        for number, (name, generation) in enumerate(_SESSIONS.items())
    }
    for number, name in enumerate(_SIMULATED if simulated else ()):
        traces = write_mearec(root / name, channels=channels, samples=samples, seed=number)
        truth[f"{BUCKET}/{PREFIX}/{name}"] = traces
    return _served(folder, FolderStore(folder), truth)


def long_session(folder: Path, *, channels: int = 384, samples: int = 108_000_000, seed: int = 0) -> ArchiveTwin:
    """The bucket with one session of true length: an hour, 83 GB of traces that are made when they are read.

    Parameters
    ----------
    folder : Path
        Empty; what is small is written to it.
    channels, samples : int
    seed : int
        Of :func:`traces_of`.
    """
    session = next(iter(_SESSIONS))
    _describe(folder / BUCKET / PREFIX / session, _SESSIONS[session], channels)
    traces = traces_of(channels=channels, samples=samples, seed=seed).page(0)
    made = SparseStore({f"{BUCKET}/{PREFIX}/{session}/{TRACES}": traces})
    return _served(folder, LayeredStore((made, FolderStore(folder))), {})


def traces_of(*, channels: int, samples: int, seed: int = 0) -> DriftingVolume:
    """Traces as a formula: one page, a row a sample, a column a channel."""
    return DriftingVolume((1, samples, channels), "<i2", seed)


def _served(folder: Path, store: ObjectStore, truth: dict[str, Volume]) -> ArchiveTwin:
    """A bucket behind the registry."""
    write_registry(folder, {SLUG: entry_text([bucket_resource(f"arn:aws:s3:::{BUCKET}/{PREFIX}")])})
    places = {"https://raw.githubusercontent.com": "", f"s3://{BUCKET}": BUCKET}
    return ArchiveTwin(store=store, stands_for=places, truth=truth)


def write_recording(
    folder: Path, *, generation: Generation = "0.97.1", channels: int = 4, samples: int = 3000, seed: int = 0
) -> NDArray[np.int16]:
    """Write a binary folder as that release of SpikeInterface does; gives the traces, (sample, channel).

    ``properties/channel_name.npy`` needs pickle to be loaded: such files are copied, never read.

    Parameters
    ----------
    folder : Path
        Made.
    generation : {"0.97.1", "0.105.3"}
    channels, samples : int
    seed : int
    """
    _describe(folder, generation, channels)
    traces = np.random.default_rng(seed).integers(-500, 500, (samples, channels)).astype("<i2")
    (folder / TRACES).write_bytes(traces.tobytes())
    return traces


def _describe(folder: Path, generation: Generation, channels: int) -> None:
    """Write everything but the traces."""
    properties = _properties(channels)
    (folder / "properties").mkdir(parents=True)
    for name, values in properties.items():
        np.save(folder / "properties" / f"{name}.npy", values, allow_pickle=True)
    for name, document in _documents(generation, channels, properties).items():
        (folder / name).write_text(json.dumps(document, indent=4))


def _properties(channels: int) -> dict[str, NDArray[Any]]:
    """One value a channel (Any: of several types)."""
    return {
        "group": np.zeros(channels, np.int64),
        "location": positions(channels),
        "gain_to_uV": np.full(channels, 0.195),
        "offset_to_uV": np.zeros(channels),
        "channel_name": np.array([f"AP{number}" for number in range(channels)], object),
    }


def _documents(generation: Generation, channels: int, properties: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The folder's JSON files, by name (Any: JSON); the traces' own know the names of properties only."""
    old = generation == "0.97.1"
    numbers: list[Any] = list(range(channels))
    kwargs: dict[str, Any] = {
        "file_paths": [TRACES],
        "sampling_frequency": RATE_HZ,
        "t_starts": None,
        "num_chan" if old else "num_channels": channels,
        "dtype": "<i2",
        "channel_ids": numbers if old else [str(number) for number in numbers],
        "time_axis": 0,
        "file_offset": 0,
        "gain_to_uV": None,
        "offset_to_uV": None,
        "is_filtered": None if old else True,
    }
    traces, folder = "binaryrecordingextractor.BinaryRecordingExtractor", "binaryfolder.BinaryFolderRecording"
    told = {name: values.tolist() for name, values in properties.items()}
    return {
        "binary.json": _dumped(traces, generation, kwargs, dict.fromkeys(properties)),
        "si_folder.json": _dumped(folder, generation, {"folder_path": "."}, told),
        "probe.json" if old else "probegroup.json": _probe(generation, channels),
        "provenance.json": {"warning": "the provenace is not dumpable!!!"},
        **({} if old else {"annotations.json": {"is_filtered": True, "name": "SyntheticRecording"}}),
    }


def _dumped(name: str, generation: Generation, kwargs: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    old = generation == "0.97.1"
    return {
        "class": f"{_CORE}.{name}",
        "module": "spikeinterface",
        "version": generation,
        "kwargs": kwargs,
        **({"dumpable": True} if old else {}),
        "relative_paths": True,
        "annotations": {"is_filtered": not old},
        "properties": properties,
    }


def _probe(generation: Generation, channels: int) -> dict[str, Any]:
    """A probe group (probeinterface, "probeinterface format"); Any: JSON."""
    old = generation == "0.97.1"
    far = float(positions(channels)[-1, 1])
    probe = {
        "ndim": 2,
        "si_units": "um",
        "annotations": {"name": "Neuropixels 2.0"},
        "contact_annotations": {},
        "contact_positions": positions(channels).tolist(),
        "contact_plane_axes": [[[1.0, 0.0], [0.0, 1.0]]] * channels,
        "contact_shapes": ["square"] * channels,
        "contact_shape_params": [{"width": 12.0}] * channels,
        "probe_planar_contour": [[-11.0, far + 20], [-11.0, -11.0], [24.0, -186.0], [59.0, -11.0], [59.0, far + 20]],
        "device_channel_indices": list(range(channels)),
        "contact_ids": [f"e{number}" for number in range(channels)],
        "shank_ids": ["0"] * channels,
    }
    return {"specification": "probeinterface", "version": "0.2.17" if old else "0.4.2", "probes": [probe]}
