"""NWB files on their way: trap numbers are those of nwb.md. All but 10 to 13 are about reading what has arrived."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below
from tests.sources.dandi_desk import described, on_disk, run, twin_of

import emasync
from emasync.testing import Archive
from emasync.testing.nwb_zarr import write_nwb_zarr

Start = Callable[..., Archive]
NAME = "sub-1/sub-1_ses-a_ecephys.nwb"
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 503, "code": "SlowDown"}, "throttled"),
        ({"forbidden": True}, "access_denied"),
        ({"html_error": True}, "refused"),
        ({"body": "<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"}, "size_mismatch"),
    ],
)
async def test_trap_10_the_body_of_an_error_is_never_taken_for_hdf5(
    archive: Start, tmp_path: Path, fault: dict[str, Any], kind: str
) -> None:
    twin = twin_of({NAME: HDF5})
    server = archive(twin.store, apps=[twin], faults={"dandiarchive/blobs/*": [fault]})
    manifest = described(server.url, version="draft")
    manifest["settings"]["hosts"]["127.0.0.1"]["give_up_after"] = "200ms"
    receipt = await emasync.arun(manifest, root=tmp_path)
    (failure,) = receipt.datasets[0].failures
    assert (receipt.exit_code, failure.kind) == (1, kind)
    assert await asyncio.to_thread(on_disk, tmp_path) == {}
    server.set_faults({})
    assert (await emasync.arun(manifest, root=tmp_path)).ok
    assert await asyncio.to_thread(on_disk, tmp_path) == {NAME: HDF5}


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, (f"import os; os.mkdir({str(self.place)!r})",)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("choice", [{}, {"include": ["**/*.nwb.zarr/acquisition/**"]}])
async def test_traps_12_and_13_both_generations_come_as_they_are_and_pickles_are_only_copied(
    archive: Start, tmp_path: Path, zarr_format: Any, choice: dict[str, Any]
) -> None:
    """Object arrays of format 2 are pickled: who decodes one runs whatever is in it."""
    await asyncio.to_thread(write_nwb_zarr, tmp_path / "x.nwb.zarr", zarr_format=zarr_format)
    files = await asyncio.to_thread(files_below, tmp_path / "x.nwb.zarr")
    files["acquisition/bomb/0"] = pickle.dumps(Bomb(tmp_path / "exploded"))
    files["acquisition/bomb/.zarray"] = (
        b'{"zarr_format":2,"shape":[1],"chunks":[1],"dtype":"|O","compressor":null,"fill_value":null,"order":"C",'
        b'"filters":[{"id":"pickle","protocol":5}]}'
    )
    twin = twin_of({})
    twin.add_zarr("000027", "sub-1/x.nwb.zarr", files)
    receipt = await run(archive(twin.store, apps=[twin]), tmp_path / "root", version="draft", **choice)
    assert receipt.ok, receipt.failures
    wanted = {key: data for key, data in files.items() if not choice or key.startswith("acquisition/")}
    found = await asyncio.to_thread(on_disk, tmp_path / "root")
    assert found == {f"sub-1/x.nwb.zarr/{key}": data for key, data in wanted.items()}
    assert not (tmp_path / "exploded").exists()
    await asyncio.to_thread(pickle.loads, files["acquisition/bomb/0"])
    assert (tmp_path / "exploded").exists(), "whoever decodes it is hit"
