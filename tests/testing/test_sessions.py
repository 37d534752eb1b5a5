"""NWB files, recordings and light-sheet assets of twins: what in their layout readers stumble over is there.

Trap numbers are those of nwb.md, aind.md and pasteur_exaspim.md.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from tests.integration.folders import files_below

from emasync.testing import aind, ephys, pasteur, visual_coding
from emasync.testing.nwb import RAW_CHUNK, SMALL_CHUNK, write_nwb
from emasync.testing.nwb_session import FRAMES, Session
from emasync.testing.nwb_zarr import write_nwb_zarr
from emasync.testing.open_data import REPOSITORY

SERIES = "acquisition/ElectricalSeries/data"


@pytest.fixture(scope="module")
def nwb(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("nwb") / "a.nwb"
    return path, write_nwb(path)


def chunks_of(dataset: Any) -> list[Any]:
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    return found


# --- HDF5 ---------------------------------------------------------------------------------------------------------


def test_every_array_reads_as_it_was_made(nwb: tuple[Path, dict[str, Any]]) -> None:
    path, truth = nwb
    with h5py.File(path) as file:
        for name, values in truth.items():
            np.testing.assert_array_equal(file[name][...], values)
        series = file[SERIES]
        assert (series.compression, series.shuffle, series.shape[0] % series.chunks[0]) == ("gzip", True, 392)
        assert file["acquisition/running_speed/data"].id.get_offset() is not None, "contiguous"
        assert file["acquisition/checked/data"].fletcher32


def test_the_same_session_gives_the_same_bytes(nwb: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    write_nwb(tmp_path / "again.nwb")
    write_nwb(tmp_path / "other.nwb", Session(seed=1))
    assert (tmp_path / "again.nwb").read_bytes() == nwb[0].read_bytes() != (tmp_path / "other.nwb").read_bytes()


def test_nwb_traps_1_and_2_and_16_subject_zone_and_age(tmp_path: Path) -> None:
    for number, session in enumerate(visual_coding.SESSIONS.values()):
        write_nwb(tmp_path / f"{number}.nwb", session)
        with h5py.File(tmp_path / f"{number}.nwb") as file:
            start = file["session_start_time"].asstr()[()]
            assert start == session.start
            assert start[-6] in "+-", "the zone is kept"
            assert ("general/subject" in file) is (session.subject is not None)
            if session.subject is not None:
                assert file["general/subject/age"].asstr()[()] == session.age
    assert {session.age for session in visual_coding.SESSIONS.values()} >= {"P147DT82800S", "P170DT12212S"}
    assert None in {session.subject for session in visual_coding.SESSIONS.values()}


def test_nwb_trap_3_the_first_version_keeps_its_number_in_a_dataset(tmp_path: Path) -> None:
    write_nwb(tmp_path / "old.nwb", first_version=True)
    with h5py.File(tmp_path / "old.nwb") as file:
        assert "nwb_version" not in file.attrs
        assert file["nwb_version"].asstr()[()] == "NWB-1.0.6"


def test_nwb_trap_4_references_and_compounds_lead_where_they_should(nwb: tuple[Path, dict[str, Any]]) -> None:
    with h5py.File(nwb[0]) as file:
        groups = file["general/extracellular_ephys/electrodes/group"]
        assert h5py.check_ref_dtype(groups.dtype) is h5py.Reference
        assert file[groups[0]].name == "/general/extracellular_ephys/shank0"
        rows = file["intervals/trials/timeseries"]
        assert rows.dtype.names == ("idx_start", "count", "timeseries")
        assert file[rows[3]["timeseries"]].name == "/acquisition/running_speed"
        assert file[file["acquisition/ElectricalSeries/electrodes"].attrs["table"]].attrs["colnames"][0] == "location"


@pytest.mark.parametrize("user_block_bytes", [0, 512, 4096])
def test_nwb_trap_5_the_user_block_counts_once(tmp_path: Path, user_block_bytes: int) -> None:
    path = tmp_path / "a.nwb"
    truth = write_nwb(path, user_block_bytes=user_block_bytes)
    assert path.read_bytes()[user_block_bytes:].startswith(b"\x89HDF")
    with h5py.File(path) as file:
        mixed, plain = file["acquisition/mixed/data"], file["acquisition/running_speed/data"]
        raw = next(chunk for chunk in chunks_of(mixed) if chunk.filter_mask)
        offset, starts = plain.id.get_offset(), raw.chunk_offset[0]
    data = path.read_bytes()
    wanted = truth["acquisition/mixed/data"][starts : starts + SMALL_CHUNK]
    # measured with HDF5 2.0: offsets of chunks and of contiguous arrays are both those of the file
    assert data[raw.byte_offset : raw.byte_offset + raw.size] == wanted.tobytes()
    assert data[offset : offset + 8 * FRAMES] == truth["acquisition/running_speed/data"].tobytes()


def test_nwb_trap_6_masks_differ_within_one_dataset(nwb: tuple[Path, dict[str, Any]]) -> None:
    with h5py.File(nwb[0]) as file:
        found = {chunk.chunk_offset[0] // SMALL_CHUNK: chunk for chunk in chunks_of(file["acquisition/mixed/data"])}
    assert {number: chunk.filter_mask for number, chunk in found.items()} == {
        number: int(number == RAW_CHUNK) for number in range(-(-FRAMES // SMALL_CHUNK))
    }
    data = nwb[0].read_bytes()
    packed = found[0]
    values = np.frombuffer(zlib.decompress(data[packed.byte_offset :][: packed.size]), "<i4")
    np.testing.assert_array_equal(values, nwb[1]["acquisition/mixed/data"][:SMALL_CHUNK])


def test_nwb_traps_7_and_8_arrays_without_an_offset(nwb: tuple[Path, dict[str, Any]]) -> None:
    with h5py.File(nwb[0]) as file:
        unallocated, compact = file["acquisition/unallocated/data"].id, file["acquisition/compact/data"].id
        assert (unallocated.get_create_plist().get_layout(), unallocated.get_offset()) == (h5py.h5d.CONTIGUOUS, None)
        assert (compact.get_create_plist().get_layout(), compact.get_offset()) == (h5py.h5d.COMPACT, None)
        assert file["acquisition/sparse/data"].id.get_num_chunks() == 1, "what was not written is not there"
    assert not nwb[1]["acquisition/unallocated/data"].any()
    assert nwb[1]["acquisition/compact/data"].all()


def test_nwb_trap_9_a_link_into_another_file(tmp_path: Path) -> None:
    write_nwb(tmp_path / "a.nwb", external_link=True)
    with h5py.File(tmp_path / "a.nwb") as file:
        link = file.get("acquisition/elsewhere", getlink=True)
        assert (link.filename, link.path) == ("elsewhere.h5", "/data")
        with pytest.raises(KeyError, match="can't open file"):
            file["acquisition/elsewhere"]


# --- NWB in Zarr --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nwb_trap_12_both_formats_of_zarr(tmp_path: Path, zarr_format: Any) -> None:
    truth = write_nwb_zarr(tmp_path / "a.zarr", zarr_format=zarr_format)
    root = zarr.open_group(tmp_path / "a.zarr", mode="r", use_consolidated=False)
    assert root.metadata.zarr_format == zarr_format
    assert root.attrs["nwb_version"] == "2.7.0"
    for name, values in truth.items():
        array = root[name]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(array[...], values)
    location = root["general/extracellular_ephys/electrodes/location"]
    assert isinstance(location, zarr.Array)
    assert np.asarray(location[...]).tolist() == ["VISp"] * 8


def test_nwb_trap_13_references_are_pickles_and_everything_else_is_none(tmp_path: Path) -> None:
    write_nwb_zarr(tmp_path / "a.zarr")
    found = files_below(tmp_path / "a.zarr")
    filters = {
        path.removesuffix("/.zarray"): [item["id"] for item in json.loads(data)["filters"] or []]
        for path, data in found.items()
        if path.endswith(".zarray")
    }
    pickled = {path for path, ids in filters.items() if "pickle" in ids}
    assert pickled == {"general/extracellular_ephys/electrodes/group", "intervals/trials/timeseries"}
    assert all(found[f"{path}/0"].startswith(b"\x80") for path in pickled)
    assert filters["session_start_time"] == ["vlen-bytes"]
    assert filters["identifier"] == ["vlen-utf8"]
    assert json.loads(found["identifier/.zattrs"])["zarr_dtype"] == "scalar"
    assert f"{SERIES}/0.0" in found, "a dot between coordinates"
    consolidated = json.loads(found[".zmetadata"])["metadata"]
    documents = {path for path in found if path.rpartition("/")[2] in (".zgroup", ".zarray", ".zattrs")}
    assert consolidated == {path: json.loads(found[path]) for path in documents}


# --- recordings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["0.97.1", "0.105.3"])
def test_binary_folders_have_the_files_of_their_release(tmp_path: Path, generation: Any) -> None:
    """Trap 11: one of the properties cannot be loaded without unpickling."""
    traces = ephys.write_recording(tmp_path / "r", generation=generation, channels=6, samples=100)
    old = generation == "0.97.1"
    found = files_below(tmp_path / "r")
    assert {name for name in found if "/" not in name} == {
        "binary.json",
        "si_folder.json",
        "provenance.json",
        ephys.TRACES,
        *(["probe.json"] if old else ["probegroup.json", "annotations.json"]),
    }
    kwargs = json.loads(found["binary.json"])["kwargs"]
    assert kwargs["num_chan" if old else "num_channels"] == 6
    assert len(found[ephys.TRACES]) == traces.nbytes == 100 * 6 * 2 + kwargs["file_offset"]
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "r/properties/channel_name.npy")
    assert np.load(tmp_path / "r/properties/gain_to_uV.npy").tolist() == [0.195] * 6


# --- light sheet --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    twin = aind.exaspim(tmp_path_factory.mktemp("aind"), shape=(20, 34, 36), levels=2)
    return {path.removeprefix(f"{aind.BUCKET}/"): data for path, data in twin.objects().items()}


def test_aind_traps_4_to_6_names_versions_and_numbers_of_v1(assets: dict[str, bytes]) -> None:
    acquisition = json.loads(assets[f"{aind.RAW}/acquisition.json"])
    description = json.loads(assets[f"{aind.RAW}/data_description.json"])
    assert [tile["file_name"] for tile in acquisition["tiles"]] == [
        f"tile_x_000{number}_y_0000_z_0000_ch_488.ims" for number in (0, 1)
    ], "and zarr in the bucket"
    assert f"{aind.RAW}/SPIM.ome.zarr/tile_x_0001_y_0000_z_0000_ch_488.zarr/.zattrs" in assets
    assert description["name"] == aind.RAW.lower() != aind.RAW
    assert (acquisition["schema_version"], description["schema_version"]) == ("0.5.2", "0.10.0")
    places = [tile["coordinate_transformations"][1]["translation"][0] for tile in acquisition["tiles"]]
    assert places == ["0.0", "9.0232736"], "text"


def test_tiles_of_other_chunks(tmp_path: Path) -> None:
    size: Any = {"shape": (20, 40, 40), "levels": 1, "chunk": (8, 16, 20)}
    found = aind.exaspim(tmp_path, **size).objects()
    plain = json.loads(found[f"{aind.BUCKET}/{aind.FUSED}/fused.zarr/tile_x_0000_y_0000_z_0000_ch_488.zarr/0/.zarray"])
    sharded = json.loads(found[f"{aind.BUCKET}/{aind.NEW}/SPIM.ome.zarr/tile_000001_ch_561.zarr/0/zarr.json"])
    assert plain["chunks"] == [1, 1, 8, 16, 20]
    assert sharded["chunk_grid"]["configuration"]["chunk_shape"] == [1, 1, 16, 32, 40]
    assert sharded["codecs"][0]["configuration"]["chunk_shape"] == [1, 1, 8, 16, 20]


def test_aind_trap_9_both_zarr_formats_stand_under_the_same_name(assets: dict[str, bytes]) -> None:
    assert f"{aind.RAW}/SPIM.ome.zarr/.zgroup" in assets
    new = json.loads(assets[f"{aind.NEW}/SPIM.ome.zarr/tile_000000_ch_561.zarr/0/zarr.json"])
    assert new["codecs"][0]["name"] == "sharding_indexed"
    assert f"{aind.FUSED}/fused.zarr/.zgroup" in assets


def test_aind_traps_14_and_16_null_fields_and_the_order_of_transforms(assets: dict[str, bytes]) -> None:
    old = json.loads(assets[f"{aind.RAW}/metadata.nd.json"])
    new = json.loads(assets[f"{aind.NEW}/metadata.nd.json"])
    assert (old["rig"], old["processing"], new["quality_control"], new["model"]) == (None,) * 4
    assert (old["metadata_status"], new["object_type"]) == ("Invalid", "Metadata")
    (stream,) = new["acquisition"]["data_streams"]
    images = stream["configurations"][0]["images"]
    kinds = [item["object_type"] for item in images[1]["image_to_acquisition_transform"]]
    tile = old["acquisition"]["tiles"][1]["coordinate_transformations"]
    assert (kinds, [item["type"] for item in tile]) == (["Translation", "Scale"], ["scale", "translation"])
    assert new["acquisition"]["acquisition_start_time"] == "2026-02-10T11:06:18-08:00"


def test_pasteur_traps_3_to_8_layout_of_a_brain(tmp_path: Path) -> None:
    twin = pasteur.interhemispheric(tmp_path / "known", shape=(20, 34, 36))
    found = twin.objects()
    assert {path.split("/")[1] for path in found} == {pasteur.RAW, pasteur.STITCHED}
    for asset, image in pasteur.IMAGES.items():
        (multiscale,) = json.loads(found[f"{pasteur.BUCKET}/{asset}/{image}/.zattrs"])["multiscales"]
        assert multiscale["version"] == "0.4"
        assert [level["path"] for level in multiscale["datasets"]] == ["0", "1", "2"]
        assert f"{pasteur.BUCKET}/{asset}/instrument.json" not in found
        sizes = json.loads(found[f"{pasteur.BUCKET}/{asset}/acquisition.json"])["voxel_size_um"]
        assert set(sizes) == {"before_expansion_correction", "after_expansion_correction"}
    assert (tmp_path / f"known/{REPOSITORY}/{pasteur.SLUG}.yaml").is_file()
    pasteur.interhemispheric(tmp_path / "unknown", shape=(20, 34, 36), registered=False)
    assert [path.name for path in (tmp_path / "unknown").iterdir()] == [pasteur.BUCKET]
