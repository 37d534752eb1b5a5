"""HDF5 files of strangers: what they say, and what they must not make anybody read."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from tests.hooks.metadata.desk import described
from tests.hooks.metadata.tables import values, vector

SECRET = b"not for the table"


def hostile(path: Path, secret: Path) -> None:
    """Every way in which a file can point at another one."""
    with h5py.File(secret / "other.h5", "w") as other:
        other["text"] = [SECRET]
        other["general/session_id"] = SECRET
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        outside = [(str(secret / "plain.txt"), 0, len(SECRET))]
        file.create_dataset("session_description", (1,), f"S{len(SECRET)}", external=outside)
        file["identifier"] = h5py.ExternalLink(str(secret / "other.h5"), "/text")
        file["elsewhere"] = h5py.ExternalLink(str(secret / "other.h5"), "/general")
        file["general"] = h5py.SoftLink("/elsewhere")
        layout = h5py.VirtualLayout((1,), f"S{len(SECRET)}")
        layout[0] = h5py.VirtualSource(str(secret / "other.h5"), "text", (1,))
        file.create_virtual_dataset("session_start_time", layout)
        file["acquisition/a/data"] = np.zeros((20, 4), "<i2")
        file["acquisition/a"].attrs["neurodata_type"] = "ElectricalSeries"
    (secret / "plain.txt").write_bytes(SECRET)


def test_no_other_file_is_read_whatever_a_file_points_at(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    hostile(tmp_path / "a.nwb", tmp_path / "secret")
    root = described(tmp_path / "root", {"a.nwb": (tmp_path / "a.nwb").read_bytes()})
    asset = root.asset("d", "a.nwb")
    assert SECRET.decode() not in (root.path / "metadata.json").read_text()
    assert values(asset, "description", "session_id", "acquired_at") == [None, None, None]
    assert values(asset["arrays"][0], "n_samples", "n_channels") == [20, 4], "what is in it is told"


def test_a_crash_costs_one_file_and_not_those_after_it(tmp_path: Path) -> None:
    """Damage makes the C library crash or go on for ever: another process reads the next file."""
    with h5py.File(tmp_path / "fine.h5", "w") as file:
        stack = file.create_dataset("volume", data=np.zeros((10, 20, 30), np.uint8))
        stack.attrs["element_size_um"] = [0.05, 0.01, 0.01]
    fine = (tmp_path / "fine.h5").read_bytes()
    broken = fine[:2000] + bytes(len(fine) - 2000)
    root = described(tmp_path / "root", {"a.h5": fine, "b.h5": broken, "c.h5": fine[:700], "d.h5": fine})
    assets = {asset["asset"]: asset for asset in root.dataset("d")["assets"]}
    for name in ("a.h5", "d.h5"):
        (array,) = assets[name]["arrays"]
        assert vector(array, "shape_{}") == [10, 20, 30]
        assert vector(array, "voxel_size_{}_nm") == [50.0, 10.0, 10.0]
    assert assets["c.h5"]["notes"]


def test_a_file_without_subject_and_with_an_imaging_plane(tmp_path: Path) -> None:
    """nwb.md traps 1 and 3: no subject, and a version that is a dataset in NWB 1."""
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["nwb_version"] = "NWB-1.0.6"
        file["session_start_time"] = "2016-01-07T13:44:20+01:00"
        plane = file.create_group("general/optophysiology/plane")
        plane["grid_spacing"] = np.array([0.5e-6, 0.5e-6, 2e-6])
        plane["grid_spacing"].attrs["unit"] = "meters"
        plane["imaging_rate"] = np.array([30.0])
        file["acquisition/frames/data"] = np.zeros((7, 5, 6), np.uint16)
    asset = described(tmp_path / "root", {"a.nwb": (tmp_path / "a.nwb").read_bytes()}).asset("d")
    (array,) = asset["arrays"]
    assert values(asset, "acquired_at", "subject_id") == ["2016-01-07T13:44:20+01:00", None]
    assert values(array, "metadata_convention", "sampling_rate_hz") == ["NWB 1.0.6", 30.0]
    assert vector(array, "voxel_size_{}_nm") == [2000.0, 500.0, 500.0]


def test_texts_that_are_no_utf_8_are_told_with_marks_in_their_place(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        text = h5py.string_dtype("utf-8")
        file.create_dataset("session_description", data=b"caf\xe9", dtype=text)
        file.attrs.create("comment", b"caf\xe9", dtype=text)
        file["general/subject/subject_id"] = "7"
        file["acquisition/a/data"] = np.zeros((20, 4), "<i2")
        file["acquisition/a"].attrs["neurodata_type"] = "ElectricalSeries"
    asset = described(tmp_path / "root", {"a.nwb": (tmp_path / "a.nwb").read_bytes()}).asset("d", "a.nwb")
    assert values(asset, "subject_id") == ["7"]
    assert values(asset, "description")[0].startswith("caf")
    assert values(asset["arrays"][0], "n_samples", "n_channels") == [20, 4]
