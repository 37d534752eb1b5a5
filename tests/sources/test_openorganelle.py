"""An OpenOrganelle bucket through the whole program, opened by zarr-python. Trap numbers are those of openorganelle.md.

11 is in test_n5.py. That 8 is about copies of other people means: bytes and codec here are the publisher's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from tests.integration.folders import files_below, run_within

from emasync.errors import ErrorKind
from emasync.model.receipt import Receipt
from emasync.testing import Archive, MemoryStore
from emasync.testing.content import BucketRules
from emasync.testing.volumes import Written, write_ome_zarr_04

BUCKET = "janelia-cosem-datasets"
CONTAINER = "jrc_mus-nacc-2/jrc_mus-nacc-2.zarr"
EM = "recon-2/em/fibsem-int16"
SHAPES = [(35, 157, 162), (17, 78, 81), (8, 39, 40), (4, 19, 20)]
"""Four of the nine levels: floor halving drops a plane now and then."""

Start = Callable[..., Archive]


class Container:
    """The container's two reconstructions, and what is in the image of the second one."""

    def __init__(self, folder: Path) -> None:
        self.written: Written = write_ome_zarr_04(
            folder / EM, shape=SHAPES[0], chunks=(16, 64, 64), levels=4, scale=(2.96, 4.0, 4.0), seed=2
        )
        write_ome_zarr_04(folder / EM.replace("2", "1", 1), shape=(8, 8, 8), chunks=(8, 8, 8), levels=1)
        attributes = json.loads((folder / EM / ".zattrs").read_text())
        (image,) = attributes["multiscales"]
        image |= {"name": "", "type": None, "metadata": None}
        image["coordinateTransformations"] = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
        image["datasets"][2]["coordinateTransformations"][0]["scale"][0] = 11.840000000000002
        (folder / EM / ".zattrs").write_text(json.dumps(attributes))
        self.objects = {f"{BUCKET}/{CONTAINER}/{path}": data for path, data in files_below(folder).items()}

    def files(self, prefix: str = EM) -> dict[str, bytes]:
        """Objects of the image, by key below the container."""
        lead = f"{BUCKET}/{CONTAINER}/"
        return {key[len(lead) :]: data for key, data in self.objects.items() if key.startswith(f"{lead}{prefix}/")}


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    return Container(tmp_path_factory.mktemp("container"))


def fetched(server: Archive, root: Path, **choice: Any) -> Receipt:
    dataset = {"id": "nacc", "source": "bucket", "url": f"s3://{BUCKET}/{CONTAINER}", "arrays": [EM], **choice}
    mirrors = {f"s3://{BUCKET}": f"{server.url}/{BUCKET}"}
    # one connection: asking what a denial means must do with it
    hosts = {"127.0.0.1": {"max_attempts": 1, "give_up_after": "500ms", "max_connections": 1}}
    return run_within({"version": 1, "mirrors": mirrors, "settings": {"hosts": hosts}, "datasets": [dataset]}, root)


def whole(receipt: Receipt, root: Path) -> Path:
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    return root / "nacc" / EM


def values(image: Path, level: int) -> Any:
    """Any: number type and shape are the test's matter."""
    return np.asarray(zarr.open_array(image / f"s{level}", mode="r")[...])


def transforms(image: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Scale and translation by level."""
    (entry,) = json.loads((image / ".zattrs").read_text())["multiscales"]
    found = {}
    for dataset in entry["datasets"]:
        told = {item["type"]: item[item["type"]] for item in dataset["coordinateTransformations"]}
        found[dataset["path"]] = (told["scale"], told["translation"])
    return found


def test_trap_1_the_manifest_says_which_reconstruction(archive: Start, container: Container, tmp_path: Path) -> None:
    server = archive(container.objects)
    whole(fetched(server, tmp_path, scales=[2]), tmp_path)
    assert not [seen.path for seen in server.requests if "recon-1" in seen.path]
    receipt = fetched(server, tmp_path / "none", arrays=["recon-3/em/fibsem-int16"], scales=[2])
    (failure,) = receipt.failures
    assert (receipt.exit_code, failure.kind) == (1, ErrorKind.SOURCE)
    assert "recon-3/em/fibsem-int16: no Zarr array or group here" in failure.message


def test_traps_2_and_4_nulls_and_tired_floats_are_no_reason_to_refuse(
    archive: Start, container: Container, tmp_path: Path
) -> None:
    """``name: ""``, ``type: null``, ``metadata: null``; 11.840000000000002 is four times 2.96."""
    box = {"start": [16, 64, 64], "shape": [8, 32, 32], "scale": 0}
    image = whole(fetched(archive(container.objects), tmp_path, scales=[0, 2], crop=box), tmp_path)
    assert zarr.open_array(image / "s0", mode="r").shape == (16, 64, 64)
    (entry,) = json.loads((image / ".zattrs").read_text())["multiscales"]
    assert (entry["name"], entry["type"], entry["metadata"]) == ("", None, None)
    fine, coarse = container.written.levels[0], container.written.levels[2]
    np.testing.assert_array_equal(values(image, 0), fine[16:32, 64:128, 64:128])
    np.testing.assert_array_equal(values(image, 2), coarse[0:8, 0:39, 0:40])


@pytest.mark.parametrize(
    "rules", [BucketRules(), BucketRules(missing_is_403=True), BucketRules(missing_is_403=True, list_denied=True)]
)
def test_trap_3_a_chunk_that_is_left_out_is_fill_value_however_that_is_said(
    archive: Start, container: Container, tmp_path: Path, rules: BucketRules
) -> None:
    """Where listing is not allowed, S3 answers 403 for what is missing."""
    assert f"{EM}/s0/2/2/2" not in container.files()
    server = archive(container.objects, buckets={BUCKET: rules})
    box = {"start": [20, 70, 70], "shape": [15, 87, 92], "scale": 0}
    image = whole(fetched(server, tmp_path, scales=[0], crop=box), tmp_path)
    np.testing.assert_array_equal(values(image, 0), container.written.levels[0][16:, 64:, 64:])


def test_trap_3_without_metadata_nothing_is_fill_value(archive: Start, container: Container, tmp_path: Path) -> None:
    server = archive(container.objects, buckets={BUCKET: BucketRules(private=True)})
    receipt = fetched(server, tmp_path, scales=[0], crop={"start": [0, 0, 0], "shape": [1, 1, 1]})
    (failure,) = receipt.failures
    assert (receipt.exit_code, files_below(tmp_path / "nacc")) == (1, {})
    assert failure.kind in (ErrorKind.ACCESS_DENIED, ErrorKind.SOURCE)


def test_trap_5_levels_are_half_a_voxel_apart_and_stay_so(archive: Start, container: Container, tmp_path: Path) -> None:
    box = {"start": [16, 64, 64], "shape": [8, 32, 32], "scale": 0}
    image = whole(fetched(archive(container.objects), tmp_path, scales=[0, 1], crop=box), tmp_path)
    found = transforms(image)
    assert found["s0"][0] == [2.96, 4.0, 4.0]
    assert found["s0"][1] == pytest.approx([16 * 2.96, 64 * 4.0, 64 * 4.0])
    assert found["s1"][0] == [5.92, 8.0, 8.0]
    assert found["s1"][1] == pytest.approx([1.48, 2.0, 2.0]), "its hull begins at the first chunk"


def test_traps_6_7_and_9_shapes_order_and_sign_are_those_of_the_arrays(
    archive: Start, container: Container, tmp_path: Path
) -> None:
    """Floor halving, z before x, and values below zero."""
    image = whole(fetched(archive(container.objects), tmp_path, scales=[0, 1, 2, 3]), tmp_path)
    for level, shape in enumerate(SHAPES):
        found = values(image, level)
        assert (found.shape, found.dtype) == (shape, np.dtype("<i2"))
        np.testing.assert_array_equal(found, container.written.levels[level])
    assert values(image, 0).min() < 0


def test_trap_8_bytes_and_codec_are_the_publishers(archive: Start, container: Container, tmp_path: Path) -> None:
    image = whole(fetched(archive(container.objects), tmp_path, scales=[1]), tmp_path)
    chunks = {key: data for key, data in container.files(f"{EM}/s1").items() if not key.endswith(".zarray")}
    on_disk = files_below(tmp_path / "nacc")
    assert chunks
    assert {key: on_disk[key] for key in chunks} == chunks
    assert json.loads((image / "s1/.zarray").read_text())["compressor"] == {"id": "zstd", "level": 1}


# --- layouts that were read as empty by other tools ---------------------------------------------------------------


def written_as(folder: Path, version: Any, encoding: Any) -> np.ndarray[Any, Any]:
    """A small array in one of the layouts, and what is in it (Any: literal types of zarr-python)."""
    made = np.arange(60, dtype="<i2").reshape(3, 4, 5) - 7
    array = zarr.create_array(
        folder, shape=made.shape, chunks=(2, 2, 2), dtype=made.dtype, zarr_format=version, chunk_key_encoding=encoding
    )
    array[...] = made
    return made


LAYOUTS: dict[str, tuple[int, Mapping[str, str], str]] = {
    "zarr_ome trap 1: dots in version 3": (3, {"name": "default", "separator": "."}, "c.1.1.2"),
    "version 3": (3, {"name": "default", "separator": "/"}, "c/1/1/2"),
    "zarr_ome trap 2: slashes in version 2": (2, {"name": "v2", "separator": "/"}, "1/1/2"),
    "version 2": (2, {"name": "v2", "separator": "."}, "1.1.2"),
}


@pytest.mark.parametrize("chosen", [{}, {"scales": [0]}, {"crop": {"start": [1, 0, 0], "shape": [2, 4, 5]}}])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_trap_10_keys_of_every_layout_are_found(
    archive: Start, tmp_path: Path, layout: str, chosen: Mapping[str, Any]
) -> None:
    """And ``zarr_ome`` trap 3: objects that only say that a folder exists lie among the chunks."""
    version, encoding, key = LAYOUTS[layout]
    made = written_as(tmp_path / "x", version, encoding)
    files = files_below(tmp_path / "x")
    assert key in files
    objects = {f"{BUCKET}/{CONTAINER}/{EM}/{path}": data for path, data in files.items()}
    markers = {f"{BUCKET}/{CONTAINER}/{EM}/{folder}": b"" for folder in ("", "1/", "c/", "c/1/")}
    server = archive(MemoryStore(objects | markers))
    found = whole(fetched(server, tmp_path / "root", **chosen), tmp_path / "root")
    np.testing.assert_array_equal(np.asarray(zarr.open_array(found, mode="r")[...])[-2:], made[-2:])
    assert not [path for path in found.rglob("*") if path.is_file() and not path.stat().st_size]
