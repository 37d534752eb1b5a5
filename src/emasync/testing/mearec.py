"""Simulated recordings in HDF5 as MEArec writes them; needs h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 30_000.0


def positions(channels: int) -> NDArray[np.float64]:
    """Contacts of a Neuropixels 2.0 shank: two columns, 32 um apart, rows every 15 um."""
    number = np.arange(channels)
    return np.stack([number % 2 * 32.0, number // 2 * 15.0], axis=1)


def write_mearec(
    path: Path, *, channels: int = 16, samples: int = 15_000, units: int = 3, seed: int = 0
) -> NDArray[np.float32]:
    """Write a simulated recording as MEArec 1.9 does (``MEArec/tools.py``); gives the traces, (sample, channel).

    Parameters
    ----------
    path : Path
    channels, samples, units : int
    seed : int
    """
    import h5py  # noqa: PLC0415 - an extra; the other recordings do without

    rng = np.random.default_rng(seed)
    traces = rng.normal(scale=10, size=(samples, channels)).astype(np.float32)
    seconds = samples / RATE_HZ
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", track_order=False) as file:
        file.attrs["mearec_version"] = "1.9.0"
        file.attrs["date"] = "22-04-13 12:00:00"
        for key, value in _mearec_info(channels, units, seconds, seed).items():
            file[f"info/{key}"] = value
        file["channel_positions"] = np.insert(positions(channels), 0, 0.0, axis=1)
        file["recordings"] = traces
        file["timestamps"] = np.arange(samples) / RATE_HZ
        for unit in range(units):
            train = f"spiketrains/{unit}"
            file[f"{train}/times"] = np.sort(rng.uniform(0, seconds, 20))
            file[f"{train}/t_stop"] = seconds
            file[f"{train}/annotations/cell_type"] = "E"
    return traces


def _mearec_info(channels: int, units: int, seconds: float, seed: int) -> dict[str, Any]:
    """Parameters of the simulation, by path (Any: of several types); what is not set is the text "null"."""
    return {
        "electrodes/description": "Neuropixels, in little",
        "electrodes/dim": channels,
        "electrodes/electrode_name": "Neuropixels-16",
        "electrodes/plane": "yz",
        "electrodes/shape": "square",
        "electrodes/size": 6.0,
        "electrodes/sortlist": "null",
        "electrodes/type": "mea",
        "recordings/adc_bit_depth": "null",
        "recordings/dtype": "float32",
        "recordings/duration": seconds,
        "recordings/fs": RATE_HZ,
        "recordings/n_neurons": units,
        "recordings/noise_level": 10,
        "recordings/noise_mode": "uncorrelated",
        "seeds/noise": seed,
        "spiketrains/duration": seconds,
        "spiketrains/process": "poisson",
    }
