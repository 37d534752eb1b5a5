"""Documents of archives and writers, each read for what it says."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tests.hooks.metadata.desk import Content, described
from tests.hooks.metadata.tables import conflict, values, vector
from tests.hooks.metadata.test_bad_values import ngff

VOXEL, SHAPE = "voxel_size_{}_nm", "shape_{}"


# --- hierarchies -----------------------------------------------------------------------------------------------------


def test_n5_trap_one_grid_described_twice_in_opposite_orders_and_they_differ(tmp_path: Path) -> None:
    """N5 of Janelia: ``transform`` is z, y, x and ``pixelResolution`` x, y, z."""
    array = {
        "dimensions": [6, 5, 4],
        "blockSize": [6, 5, 4],
        "dataType": "uint16",
        "compression": {"type": "gzip"},
        "pixelResolution": {"dimensions": [4.0, 4.0, 3.24], "unit": "nm"},
        "transform": {
            "axes": ["z", "y", "x"],
            "units": ["nm", "nm", "nm"],
            "scale": [3.24, 4.0, 5.0],
            "translate": [0.0, 0.0, 0.0],
        },
    }
    group = {"multiscales": [{"name": "em", "datasets": [{"path": "s0", "transform": array["transform"]}]}]}
    files: dict[str, Content] = {"attributes.json": {"n5": "4.0.0"}, "em/attributes.json": group}
    files["em/s0/attributes.json"] = array
    (one,) = described(tmp_path, files).asset("d", "em")["arrays"]
    assert vector(one, SHAPE) == [4, 5, 6]
    assert vector(one, VOXEL) == [3.24, 4.0, 5.0]
    assert values(one, "byte_order", "codec_chain", "format") == ["big", "gzip", "n5"]
    assert [other["value"] for other in conflict(one, "voxel_size_x_nm")["others"]] == [4.0]
    assert {item["field"] for item in one["conflicts"]} == {"voxel_size_x_nm"}


def test_zarr_v3_shards_inner_chunks_codecs_and_byte_order(tmp_path: Path) -> None:
    inner = [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "zstd", "configuration": {"level": 3}}]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    shards = {"chunk_shape": [4, 4, 4], "codecs": inner, "index_codecs": index, "index_location": "end"}
    array = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [8, 8, 8],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 8, 8]}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": shards}],
        "dimension_names": ["z", "y", "x"],
    }
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5, 0.5]}]}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (one,) = described(tmp_path, {"zarr.json": group, "0/zarr.json": array}).asset("d")["arrays"]
    assert vector(one, "chunk_{}") == [4, 4, 4]
    assert vector(one, "shard_{}") == [8, 8, 8]
    assert vector(one, VOXEL) == [1000.0, 500.0, 500.0]
    assert values(one, "codec_chain", "byte_order") == ["sharding_indexed(bytes, zstd:3)", "big"]
    assert values(one, "metadata_convention", "format_version") == ["OME-NGFF 0.5", "3"]


def test_labels_of_an_image_are_labels(tmp_path: Path) -> None:
    files: dict[str, Content] = dict(ngff([8, 4, 4]))
    files |= {"labels/.zgroup": {"zarr_format": 2}, "labels/.zattrs": {"labels": ["cells"]}}
    files |= {f"labels/cells/{path}": data for path, data in ngff([8, 4, 4]).items()}
    root = described(tmp_path, files)
    assert values(root.asset("d", "labels/cells")["arrays"][0], "is_label") == [True]
    assert values(root.asset("d", "d")["arrays"][0], "is_label") == [None]


def test_jpeg_is_lossy_and_png_is_not(tmp_path: Path) -> None:
    scale = {"chunk_sizes": [[64, 64, 64]], "resolution": [8, 8, 8], "size": [64, 64, 64], "voxel_offset": [0, 0, 0]}
    for encoding, lossy in (("jpeg", True), ("png", False), ("compressed_segmentation", False)):
        more = {"compressed_segmentation_block_size": [8, 8, 8]} if encoding.startswith("comp") else {}
        told = {"type": "segmentation", "data_type": "uint64" if more else "uint8", "num_channels": 1}
        info = told | {"scales": [{**scale, **more, "key": "8", "encoding": encoding}]}
        (one,) = described(tmp_path / encoding, {"info": info}).asset("d")["arrays"]
        assert values(one, "lossy", "codec_chain", "is_label") == [lossy, encoding, True]


# --- files -----------------------------------------------------------------------------------------------------------


def test_ome_tiff_tells_sizes_channels_and_instrument(tmp_path: Path) -> None:
    told = {"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.1, "Name": "cell"}
    told |= {"PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 300, "PhysicalSizeZUnit": "nm", "Channel": {"Name": ["DAPI"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((5, 16, 18), np.uint16), ome=True, metadata=told)
    asset = described(tmp_path / "root", {"a.ome.tif": (tmp_path / "a.ome.tif").read_bytes()}).asset("d")
    (one,) = asset["arrays"]
    assert vector(one, VOXEL) == [300.0, 100.0, 100.0]
    assert vector(one, SHAPE) == [5, 16, 18]
    assert values(asset, "channels", "title") == [["DAPI"], "cell"]
    assert values(one, "metadata_convention") == ["OME-TIFF"]


def test_dots_per_inch_without_a_unit_are_no_calibration(tmp_path: Path) -> None:
    """epfl.md trap 8: never write 1.0."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 16, 18), np.uint8), resolution=(1, 1), resolutionunit=1)
    (one,) = described(tmp_path / "root", {"a.tif": (tmp_path / "a.tif").read_bytes()}).asset("d")["arrays"]
    assert vector(one, VOXEL) == [None, None, None]


def mrc(order: str, statistics: tuple[float, float, float], cell: tuple[float, float, float]) -> bytes:
    """4 x 3 x 2 voxels of 16 bits."""
    head = struct.pack(
        f"{order}10i6f3i3f2i", 4, 3, 2, 1, 0, 0, 0, 4, 3, 2, *cell, 90, 90, 90, 1, 2, 3, *statistics, 1, 0
    )
    stamp = b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0"
    head = head.ljust(208, b"\0") + b"MAP " + stamp + struct.pack(f"{order}fi", 0, 1) + b"a label of ours".ljust(80)
    return head.ljust(1024, b"\0") + bytes(48)


@pytest.mark.parametrize("order", ["<", ">"])
def test_mrc_angstrom_become_nanometres_and_unset_statistics_are_unknown(tmp_path: Path, order: str) -> None:
    asset = described(tmp_path, {"a.mrc": mrc(order, (-1.0, 7.0, 3.0), (40.0, 30.0, 0.0))}).asset("d")
    (one,) = asset["arrays"]
    assert vector(one, VOXEL) == [None, 1.0, 1.0], "a cell of 0 is unset, and no size of 0"
    assert values(one, "value_min", "value_max", "value_mean", "dtype") == [-1.0, 7.0, 3.0, "int16"]
    assert values(asset, "description") == ["a label of ours"]
    (other,) = described(tmp_path / "x", {"a.mrc": mrc(order, (0.0, -1.0, -2.0), (40, 30, 20))}).asset("d")["arrays"]
    assert values(other, "value_min", "value_max", "value_mean") == [None, None, None]


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def mp4(handlers: tuple[bytes, ...] = (b"soun", b"vide")) -> bytes:
    """Two tracks: 300 frames of 640 x 480 in 10 s, beside sound."""
    tracks = []
    for handler in handlers:
        entry = bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", 640, 480) + bytes(50)
        stsd = box(b"stsd", bytes(4), struct.pack(">I", 1), struct.pack(">I4s", 8 + len(entry), b"avc1"), entry)
        stbl = box(b"stbl", stsd, box(b"stsz", bytes(4), struct.pack(">II", 0, 300)))
        mdhd = box(b"mdhd", bytes(12), struct.pack(">II", 600, 6000), bytes(4))
        hdlr = box(b"hdlr", bytes(8), handler, bytes(12))
        tracks.append(box(b"trak", box(b"mdia", mdhd, hdlr, box(b"minf", stbl))))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", *tracks) + box(b"mdat", bytes(100))


def test_a_video_tells_size_frames_rate_and_codec_of_its_pictures(tmp_path: Path) -> None:
    avih = struct.pack("<14I", 33_333, 0, 0, 0, 90, 0, 1, 0, 320, 240, 0, 0, 0, 0)
    strl = b"LIST" + struct.pack("<I", 4 + 8 + 56) + b"strl" + b"strh" + struct.pack("<I", 56) + b"vidsMJPG" + bytes(48)
    hdrl = b"hdrl" + b"avih" + struct.pack("<I", 56) + avih + strl
    avi = b"RIFF" + struct.pack("<I", 4 + 8 + len(hdrl)) + b"AVI " + b"LIST" + struct.pack("<I", len(hdrl)) + hdrl
    root = described(tmp_path, {"a.mp4": mp4(), "b.avi": avi, "c.mp4": mp4()[:200]})
    (one,) = root.asset("d", "a.mp4")["arrays"]
    assert values(one, "shape_t", "shape_y", "shape_x", "frame_rate_hz") == [300, 480, 640, 30.0]
    assert values(one, "duration_s", "codec_chain", "lossy", "format") == [10.0, "avc1", True, "mp4"]
    (two,) = root.asset("d", "b.avi")["arrays"]
    assert values(two, "shape_t", "shape_y", "shape_x", "codec_chain") == [90, 240, 320, "MJPG"]
    assert root.asset("d", "c.mp4")["notes"], "cut off"


# --- documents -------------------------------------------------------------------------------------------------------


def test_bids_microscopy_sidecar_tables_and_description(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 16, 18), np.uint8))
    name = "sub-01/micr/sub-01_sample-A_SEM"
    told = {"PixelSize": [4, 5], "PixelSizeUnits": "nm", "Manufacturer": "Hitachi", "ManufacturersModelName": "S-4800"}
    files: dict[str, Content] = {
        "dataset_description.json": {"Name": "Cord", "BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["A", "B"]},
        "participants.tsv": "participant_id\tspecies\tsex\tage\nsub-01\tRattus norvegicus\tM\tn/a\nsub-02\tx\tF\t3\n",
        f"{name}.tif": (tmp_path / "a.tif").read_bytes(),
        f"{name}.json": told | {"SampleEnvironment": "ex vivo", "SampleFixation": "PFA"},
    }
    asset = described(tmp_path / "root", files).asset("d", f"{name}.tif")
    (one,) = asset["arrays"]
    assert vector(one, VOXEL) == [None, 5.0, 4.0]
    assert one["fields"]["voxel_size_x_nm"]["source"] == "sidecar"
    assert values(asset, "organism", "sex", "age", "subject_id") == ["Rattus norvegicus", "male", None, "01"]
    assert values(asset, "title", "license_spdx", "authors") == ["Cord", "CC0-1.0", ["A", "B"]]
    assert values(asset, "instrument", "preparation") == ["Hitachi S-4800", "ex vivo; PFA"]


def test_aind_schema_2_details_of_the_subject_and_tiles_by_type_not_by_position(tmp_path: Path) -> None:
    images = [
        {
            "file_name": "tile_1.ims",
            "channel_name": "488",
            "image_to_acquisition_transform": [
                {"object_type": "Translation", "translation": [9, 9, 9]},
                {"object_type": "Scale", "scale": [1.8, 1.8, 2.0]},
            ],
        }
    ]
    acquisition = {
        "object_type": "Acquisition",
        "acquisition_start_time": "2025-01-02T03:04:05-08:00",
        "instrument_id": "SmartSPIM1",
        "coordinate_system": {"axis_unit": "micrometer"},
        "data_streams": [{"configurations": [{"images": images}]}],
    }
    details = {
        "sex": "Female",
        "genotype": "wt/wt",
        "species": {"name": "Mus musculus", "registry_identifier": "NCBI:txid10090"},
        "strain": {"name": "C57BL/6J"},
    }
    files: dict[str, Content] = {
        "a/acquisition.json": acquisition,
        "a/subject.json": {"object_type": "Subject", "subject_id": "7", "subject_details": details},
        "a/tile_1.zarr/.zarray": ngff([1, 1, 1])["0/.zarray"],
        "a/metadata.nd.json": {"metadata_status": "Invalid", "subject": {"subject_id": "other"}, "rig": None},
    }
    asset = described(tmp_path, files).asset("d", "a/tile_1.zarr")
    assert vector(asset["arrays"][0], VOXEL) == [2000.0, 1800.0, 1800.0]
    assert values(asset, "acquired_at", "channels") == ["2025-01-02T03:04:05-08:00", ["488"]]
    assert values(asset, "organism", "ncbi_taxon", "strain", "sex") == ["Mus musculus", 10090, "C57BL/6J", "female"]
    assert values(asset, "subject_id") == ["7"], "the aggregate is read for what does not lie beside it"
    assert asset["conflicts"] == []


def test_tiles_of_one_scale_say_it_of_the_asset_and_moments_a_minute_apart_agree(tmp_path: Path) -> None:
    name = "exaSPIM_1_2024-01-02_03-04-05"

    def tile(number: int, size: float) -> dict[str, Any]:
        scale = {"type": "scale", "scale": [size, size, 1]}
        return {"file_name": f"tile_{number}.ims", "coordinate_transformations": [scale]}

    same = {"tiles": [tile(0, 0.748), tile(1, 0.748)], "session_start_time": "2024-01-02T03:04:30-08:00"}
    asset = described(tmp_path / "a", {f"{name}/acquisition.json": same}).asset("d")
    assert vector(asset, VOXEL) == [1000.0, 748.0, 748.0], "of sidecars alone, too"
    assert values(asset, "acquired_at") == ["2024-01-02T03:04:30-08:00"]
    assert asset["conflicts"] == []
    other = {"tiles": [tile(0, 0.748), tile(1, 1.5)], "session_start_time": "2024-01-02T05:04:05-08:00"}
    files: dict[str, Content] = {f"{name}/acquisition.json": other}
    files[f"{name}/tile_1.zarr/.zarray"] = ngff([1, 1, 1])["0/.zarray"]
    asset = described(tmp_path / "b", files).asset("d")
    assert vector(asset["arrays"][0], VOXEL) == [1000.0, 1500.0, 1500.0], "its own"
    assert [item["field"] for item in asset["conflicts"]] == ["acquired_at"], "two hours apart"


def test_dandi_participant_session_and_sample(tmp_path: Path) -> None:
    record = {
        "wasAttributedTo": [
            {
                "schemaKey": "Participant",
                "identifier": "a1b2",
                "sex": {"name": "Male"},
                "age": {"value": "P170DT12212S"},
                "species": {
                    "identifier": "http://purl.obolibrary.org/obo/NCBITaxon_9606",
                    "name": "Homo sapiens - Human",
                },
            }
        ],
        "wasGeneratedBy": [{"schemaKey": "Session", "identifier": "XYZ", "startDate": "2020-08-31T15:58:28-04:00"}],
        "wasDerivedFrom": [{"identifier": "cell01", "sampleType": {"name": "cell"}}],
    }
    originals: dict[str, Content] = {
        "dandi/dandiset.json": {"identifier": "DANDI:000004", "name": "N", "license": ["spdx:CC-BY-4.0"]},
        "dandi/assets-00001.json": [{"path": "a.tif", "metadata": record}, {"path": "gone.tif", "metadata": {}}],
    }
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 16, 18), np.uint8))
    files: dict[str, Content] = {"a.tif": (tmp_path / "a.tif").read_bytes()}
    asset = described(tmp_path / "root", files, originals).asset("d")
    assert values(asset, "subject_id", "age", "organism", "ncbi_taxon") == [
        "a1b2",
        "P170DT12212S",
        "Homo sapiens",
        9606,
    ]
    assert values(asset, "session_id", "acquired_at") == ["XYZ", "2020-08-31T15:58:28-04:00"]
    assert values(asset, "sample", "tissue", "license_spdx") == ["cell01", "cell", "CC-BY-4.0"]
    assert asset["fields"]["organism"]["original"] == "Homo sapiens - Human"


def test_idr_traps_2_and_3_a_list_of_one_and_no_distance_of_planes(tmp_path: Path) -> None:
    size = {"Unit": "MICROMETER", "Value": 0.02}
    pixels = {"SizeX": 19, "SizeY": 16, "SizeZ": 5, "PhysicalSizeX": size, "Type": {"value": "uint8"}}
    originals: dict[str, Content] = {
        "idr/image-7.json": {"data": [{"@id": 7, "Name": "n", "Pixels": pixels}]},
        "idr/imgData-7.json": {"pixel_size": {"x": 0.04, "y": None, "z": None}, "size": {"width": 18}},
        "idr/original_file_paths-7.json": {"client": ["uod/idr/filesets/s/a.tif"]},
        "idr/annotations-7.json": {"annotations": [{"values": [["Cell Line", "U2-OS"], ["Data DOI", "10.17867/1"]]}]},
    }
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 16, 18), np.uint8))
    asset = described(tmp_path / "root", {"s/a.tif": (tmp_path / "a.tif").read_bytes()}, originals).asset("d")
    (one,) = asset["arrays"]
    assert vector(one, VOXEL) == [None, None, 20.0]
    assert [other["value"] for other in conflict(one, "voxel_size_x_nm")["others"]] == [40.0]
    assert [other["value"] for other in conflict(one, "shape_x")["others"]] == [19], "the bytes decide"
    assert values(asset, "tissue", "doi_data") == ["U2-OS", ["10.17867/1"]]


@pytest.mark.parametrize(
    ("said", "spdx", "url"),
    [
        ("CC-BY-4.0", "CC-BY-4.0", None),
        ("spdx:CC0-1.0", "CC0-1.0", None),
        ("cc by 4.0", "CC-BY-4.0", None),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
        (
            "[CC-BY-4.0](https://creativecommons.org/licenses/by/4.0/)",
            "CC-BY-4.0",
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ("CC-BY-4.0, but ask us first", None, None),
        ("There are no restrictions", None, None),
    ],
)
def test_a_licence_is_an_identifier_only_as_a_whole(
    tmp_path: Path, said: str, spdx: str | None, url: str | None
) -> None:
    asset = described(tmp_path, {"x.bin": b""}, metadata={"license": said}).asset("d")
    assert values(asset, "license_spdx", "license_url") == [spdx, url]
    assert (values(asset, "license_text") == [said]) == (spdx is None)


def test_a_date_with_dots_is_day_and_month(tmp_path: Path) -> None:
    """empiar.md trap 5."""
    from emasync.hooks.metadata.claims import Claims
    from emasync.hooks.metadata.extract_dm import moment_claims

    claims = Claims("header", "x")
    moment_claims({"DataBar/Acquisition Date": "11.06.2018"}, claims, "")
    moment_claims({"DataBar/Acquisition Date": "11/06/2018"}, claims, "")
    first, second = claims.found
    assert (first.value, first.original) == ("2018-06-11", "11.06.2018")
    assert (second.value, second.rejected) == (None, "month and day cannot be told apart")


def test_yaml_of_a_registry_cannot_do_anything(tmp_path: Path) -> None:
    originals: dict[str, Content] = {
        "registry/a.yaml": "Name: !!python/object/apply:os.system ['echo']\n",
        "registry/b.yaml": "Name: Fine\nLicense: 'See [there](https://example.org)'\nDeprecated: true\n",
        "registry/c.yaml": "a: &a [x, x]\nb: &b [*a, *a]\nName: [*b, *b]\n",
    }
    root = described(tmp_path, {"x.bin": b""}, originals)
    assert values(root.dataset("d"), "title", "license_text") == ["Fine", "See [there](https://example.org)"]
    notes = root.dataset("d")["notes"]
    assert any("a.yaml does not parse" in note for note in notes)
    assert any("deprecated" in note for note in notes)


def test_a_nested_series_of_tags_in_json_is_not_read_for_ever(tmp_path: Path) -> None:
    deep: Any = {}
    for _ in range(60):
        deep = {"a": deep}
    root = described(tmp_path, {"a/data_description.json": json.dumps({"name": "n", "x": deep})})
    assert values(root.asset("d"), "title") == ["n"]


def test_open_ephys_streams_that_are_cut_off_or_not_here(tmp_path: Path) -> None:
    """Real ones are in ``test_real_files.py``."""
    channels = [{"channel_name": "CH1", "bit_volts": 0.195}, {"channel_name": "CH2", "bit_volts": 0.5}]
    stream = {"num_channels": 2, "sample_rate": 30000.0, "channels": channels}
    told = {"GUI version": "0.6.0", "continuous": [{**stream, "folder_name": name} for name in ("a/", "b/")]}
    files: dict[str, Content] = {"r/structure.oebin": told, "r/continuous/a/continuous.dat": bytes(7)}
    files |= {"s/structure.oebin": b"{", "s/subject.json": {"subject_id": "7"}}
    root = described(tmp_path, files)
    asset = root.asset("d", "r")
    assert asset["notes"] == ["1 of its 2 streams are not here"]
    cut, gone = asset["arrays"]
    assert "no whole number of frames" in conflict(cut, "n_samples")["others"][0]["rejected"]
    assert values(cut, "sampling_rate_hz", "n_channels", "value_scale") == [30000.0, 2, None], "channels differ"
    assert values(gone, "n_channels", "n_samples") == [2, None]
    broken = root.asset("d", "s")
    assert "structure.oebin" in broken["notes"][0]
    assert values(broken, "subject_id") == ["7"]
