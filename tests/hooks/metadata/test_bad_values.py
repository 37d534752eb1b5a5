"""Missing, contradictory, non-numeric and absurd values: kept with a note, never guessed, never fatal for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tests.hooks.metadata.desk import Content, described
from tests.hooks.metadata.tables import conflict, values, vector

VOXEL = "voxel_size_{}_nm"


def ngff(sizes: list[Any], unit: str | None = "nanometer", **more: Any) -> dict[str, Any]:
    """One level of an image, and its array."""
    axes = [{"name": axis, "type": "space"} | ({"unit": unit} if unit else {}) for axis in "zyx"]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": sizes}]}]
    array = {"zarr_format": 2, "shape": [4, 5, 6], "chunks": [4, 5, 6], "dtype": "<u2", "order": "C"}
    return {
        ".zgroup": {"zarr_format": 2},
        ".zattrs": {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}], **more},
        "0/.zarray": array | {"fill_value": 0, "filters": None, "compressor": None},
    }


@pytest.mark.parametrize(
    ("size", "unit", "why"),
    [
        (-8.0, "nanometer", "not positive"),
        (0.0, "nanometer", "not positive"),
        (8.0, None, "no unit is given"),
        (8.0, "pixel", "the unit pixel is no unit of length"),
        (8.0, "kilometers per hour", "is no unit of length"),
        (5.0, "meter", ""),
        (50.0, "meter", "absurd"),
        (1e-9, "nanometer", "absurd"),
    ],
)
def test_a_voxel_size_that_cannot_be_is_unknown_and_what_was_said_is_kept(
    tmp_path: Path, size: float, unit: str | None, why: str
) -> None:
    (array,) = described(tmp_path, ngff([size, 4.0, 4.0], unit)).asset("d")["arrays"]
    if not why:
        assert vector(array, VOXEL)[0] == 5e9
        return
    about = conflict(array, "voxel_size_z_nm")
    assert about["chosen"] is None
    assert why in about["others"][0]["rejected"]
    assert str(size) in about["others"][0]["original"]
    assert vector(array, VOXEL)[0] is None
    assert values(array, "isotropic", "extent_z_um") == [None, None], "nothing follows from what is unknown"
    assert vector(array, "shape_{}") == [4, 5, 6]


def test_nan_is_no_number_and_the_image_is_described_all_the_same(tmp_path: Path) -> None:
    files = ngff([8.0, 4.0, 4.0])
    files[".zattrs"] = (
        b'{"multiscales": [{"version": "0.4", "axes": ["z", "y", "x"], "datasets": [{"path": "0",'
        b' "coordinateTransformations": [{"type": "scale", "scale": [NaN, 4, 4]}]}]}]}'
    )
    root = described(tmp_path, files)
    notes = root.dataset("d")["notes"]
    assert any("scale[0] is nan; expected a finite number" in note for note in notes), notes
    (array,) = root.asset("d")["arrays"]
    assert vector(array, "shape_{}") == [4, 5, 6]
    assert vector(array, VOXEL) == [None, None, None]


def test_a_number_in_quotes_is_taken_and_noted(tmp_path: Path) -> None:
    acquisition = {
        "tiles": [
            {
                "file_name": "tile_1.ims",
                "coordinate_transformations": [
                    {"type": "translation", "translation": ["1", "2", "3"]},
                    {"type": "scale", "scale": ["0.748", "1e400", "1,5"]},
                ],
            }
        ]
    }
    files = {"asset/tile_1.zarr/.zarray": ngff([8, 4, 4])["0/.zarray"], "asset/acquisition.json": acquisition}
    (array,) = described(tmp_path, files).asset("d", "asset/tile_1.zarr")["arrays"]
    x = array["fields"]["voxel_size_x_nm"]
    assert (x["value"], x["source"], x["original"]) == (748.0, "sidecar", "0.748 micrometer")
    assert x["note"] == "a number in quotes; no unit is stated: micrometre, the schema's default"
    for axis, said in (("y", "1e400"), ("z", "1,5")):
        about = conflict(array, f"voxel_size_{axis}_nm")
        assert (about["chosen"], about["others"][0]["rejected"]) == (None, "not a finite number")
        assert about["others"][0]["original"] == f"{said} micrometer"


def test_manifest_and_header_differ_and_both_are_kept(tmp_path: Path) -> None:
    said = {"voxel_size": [50, 8, 8], "unit": "nanometer"}
    (array,) = described(tmp_path, ngff([8.0, 8.0, 8.0]), metadata=said).asset("d")["arrays"]
    about = conflict(array, "voxel_size_z_nm")
    assert (about["chosen"]["value"], about["chosen"]["source"]) == (8.0, "header")
    assert [(one["value"], one["source"]) for one in about["others"]] == [(50.0, "manifest")]
    assert about["rule"].startswith("header over sidecar")


def test_a_person_who_knows_better_can_say_so(tmp_path: Path) -> None:
    said = {"voxel_size": [50, 8, 8], "unit": "nm", "override": ["voxel_size", "shape_z"], "shape_z": 99}
    (array,) = described(tmp_path, ngff([8.0, 8.0, 8.0]), metadata=said).asset("d")["arrays"]
    about = conflict(array, "voxel_size_z_nm")
    assert (about["chosen"]["value"], about["chosen"]["source"]) == (50.0, "manifest")
    assert [one["value"] for one in about["others"]] == [8.0]
    assert "override" in about["rule"]
    assert conflict(array, "shape_z")["chosen"]["value"] == 4, "the bytes decide"


@pytest.mark.parametrize("override", [[], ["subject_id"]])
def test_the_manifest_is_believed_over_a_document_that_lies_nearer_only_where_it_says_so(
    tmp_path: Path, override: list[str]
) -> None:
    files: dict[str, Content] = {
        "one/subject.json": {"subject_id": "1"},
        "one/a.zarr/0/.zarray": ngff([8.0] * 3)["0/.zarray"],
    }
    asset = described(tmp_path, files, metadata={"subject_id": "2", "override": override}).asset("d")
    assert values(asset, "subject_id") == ["2" if override else "1"]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[1, 2]",
        b"{",
        b'{"subject_id": ',
        b"\xff\xfe\x00",
        b'{"a":' * 3000,
        b'{"subject_id": {"x": [[]]}, "sex": 7}',
    ],
)
def test_a_broken_sidecar_is_a_note_and_others_are_read(tmp_path: Path, broken: bytes) -> None:
    files: dict[str, Content] = {
        "a/subject.json": broken,
        "a/data_description.json": {"name": "a", "license": "CC-BY-4.0"},
    }
    root = described(tmp_path, {**files, **{f"a/i.zarr/{path}": data for path, data in ngff([8, 4, 4]).items()}})
    asset = root.asset("d", "a/i.zarr")
    assert values(asset, "license_spdx", "subject_id") == ["CC-BY-4.0", None]
    assert vector(asset["arrays"][0], VOXEL) == [8.0, 4.0, 4.0]
    noted = any("a/subject.json" in note for note in root.dataset("d")["notes"])
    assert noted or b"sex" in broken


def test_a_damaged_file_is_a_row_with_a_note_and_the_others_are_described(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "fine.tif", np.zeros((5, 6, 7), np.uint8))
    fine = (tmp_path / "fine.tif").read_bytes()
    cut = b"II*\0" + (1 << 30).to_bytes(4, "little") + bytes(40)
    root = described(
        tmp_path / "root", {"a.tif": cut, "b.tif": fine, "c.tif": b"no tiff", "d.h5": b"\x89HDF\r\n\x1a\n" + bytes(99)}
    )
    assets = {asset["asset"]: asset for asset in root.dataset("d")["assets"]}
    assert set(assets) == {"a.tif", "b.tif", "c.tif", "d.h5"}
    assert "not those of tiff" in assets["c.tif"]["notes"][0]
    assert "byte" in assets["a.tif"]["notes"][0]
    assert assets["d.h5"]["notes"], "the process that read it told why it could not"
    assert vector(assets["b.tif"]["arrays"][0], "shape_{}") == [5, 6, 7]
    assert [row["n_notes"] for row in root.rows()] == ["1", "0", "1", "1"]


def test_strangers_texts_are_bounded_and_no_formula_or_markup_gets_out(tmp_path: Path) -> None:
    long = "x" * 100_000
    files = {
        "a/data_description.json": {
            "name": '=HYPERLINK("http://evil")',
            "data_summary": long,
            "license": "<script>|a|",
        },
        "a/subject.json": {"subject_id": "@SUM(A1)\x07\u202e", "genotype": "wt/wt"},
    }
    root = described(tmp_path, files)
    (row,) = root.rows()
    assert row["title"] == '\'=HYPERLINK("http://evil")'
    assert row["subject_id"].startswith("'@SUM(A1)")
    assert len(row["description"]) < 2_100
    (title,) = values(root.asset("d"), "title")
    assert title == '=HYPERLINK("http://evil")', "the nested document has it as it was said"
    summary = (root.path / "METADATA_SUMMARY.md").read_text()
    assert "<script>" not in summary
    assert "\\<script\\>" in summary


@pytest.mark.parametrize("dtype", ["=1+1", "int999", "O", "V8", "", None, "(2,)i2", "i2,i2"])
def test_a_type_that_is_none_leaves_the_length_of_a_recording_unknown(tmp_path: Path, dtype: str | None) -> None:
    kwargs = {"file_paths": ["t.raw"], "num_channels": 4, "dtype": dtype, "sampling_frequency": 30000.0}
    root = described(tmp_path, {"r/binary.json": {"kwargs": kwargs}, "r/t.raw": bytes(81)})
    asset = root.asset("d")
    (array,) = asset["arrays"]
    assert values(array, "sampling_rate_hz", "n_channels", "n_samples") == [30000.0, 4, None]
    assert not [note for note in (*root.dataset("d")["notes"], *asset["notes"]) if "report" in note]


def test_names_of_axes_and_codecs_are_bounded_too(tmp_path: Path) -> None:
    files = ngff([8.0, 4.0, 4.0])
    files[".zattrs"]["multiscales"][0]["axes"][0]["name"] = "y" * 100_000
    files["0/.zarray"] |= {"filters": [{"id": "f" * 90} for _ in range(1_000)]}
    (array,) = described(tmp_path, files).asset("d")["arrays"]
    assert all(len(value) < 2_100 for value in values(array, "axes", "codec_chain") if value is not None)
    assert len((tmp_path / "metadata.csv").read_text()) < 20_000


def test_tables_with_line_ends_of_any_system_and_one_field_that_is_a_book(tmp_path: Path) -> None:
    head, rows = "participant_id\tspecies", [f"sub-0{number}\tMus musculus" for number in range(3)]
    for number, end in enumerate(("\n", "\r\n", "\r")):
        table = end.join([head, *rows]) + end
        asset = described(tmp_path / f"{number}", {"participants.tsv": table, "sub-02/subject.json": {}}).asset("d")
        assert values(asset, "organism", "subject_id") == ["Mus musculus", "02"]
    long = "\n".join([head, rows[0], f"sub-09\t{'x' * 200_000}", rows[2]])
    root = described(tmp_path / "long", {"participants.tsv": long, "sub-00/subject.json": {}})
    assert values(root.asset("d"), "organism") == ["Mus musculus"]
    assert any("participants.tsv cannot be read beyond line" in note for note in root.dataset("d")["notes"])
