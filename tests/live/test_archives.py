"""The true archives, asked over the network: one small thing of each, through the public API, against known facts.

Off by default; ``pytest -m network tests/live`` asks them. About 35 MB come, 30 of them one slice of EMPIAR.
Facts are those of the catalog: sizes, digests and shapes that publishers or others have put on record.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import emasync
from emasync.sources.catalog import catalog_entry

pytestmark = [pytest.mark.network, pytest.mark.timeout(300)]


def fetched(root: Path, **dataset: Any) -> emasync.Receipt:
    """Run a manifest of one dataset named ``d``."""
    receipt = emasync.run({"version": 1, "datasets": [{"id": "d", **dataset}]}, root=root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    return receipt


def planned_bytes(**dataset: Any) -> int:
    """Bytes that a run would fetch; nothing is fetched."""
    with emasync.plan({"version": 1, "datasets": [{"id": "d", **dataset}]}) as plan:
        document = plan.to_dict()
    assert document["failures"] == []
    return int(document["bytes"])


def loaded(path: Path) -> Any:
    return json.loads(path.read_bytes())


# --- electron microscopy ----------------------------------------------------------------------------------------------

EPFL = "https://documents.epfl.ch/groups/c/cv/cvlab-unit/www/data/%20ElectronMicroscopy_Hippocampus"


@pytest.mark.parametrize(
    ("name", "size_bytes"),
    [("volumedata", 3_353_674_357), ("training", 129_919_357), ("testing_groundtruth", 129_919_357)],
)
def test_epfl_serves_files_of_the_known_sizes(name: str, size_bytes: int) -> None:
    """The smallest file has 130 MB: it is asked how large it is, and left there."""
    (row,) = emasync.ls(f"{EPFL}/{name}.tif")
    assert (row.size_bytes, row.error) == (size_bytes, None)


def test_empiar_lists_what_it_is_known_for(tmp_path: Path) -> None:
    assert planned_bytes(source="empiar", entry=11759, include=["data/*"]) == 488_985_701
    fetched(tmp_path, source="empiar", entry=11759, include=["data/F57-8_test1.xml.gz"], allow_missing=["data/*.dm3"])
    assert (tmp_path / "d" / "data" / "F57-8_test1.xml.gz").read_bytes().startswith(b"\x1f\x8b")


def test_the_pixels_of_an_empiar_slice(tmp_path: Path) -> None:
    """A third party put SHA-256 sums of five slices' pixels on record; they begin 152,855 bytes into this one."""
    name = "data/F57-8_test1_3VBSED_slice_0005.dm3"
    fetched(tmp_path, source="empiar", entry=11759, include=[name])
    data = (tmp_path / "d" / name).read_bytes()
    pixels = data[152_855 : 152_855 + 5496 * 5500]
    assert hashlib.sha256(pixels).hexdigest() == "9b37907f0dbe656bf7e0f0878b24bc8418c901bd05ad86a4618359bd6ca2e02a"


def test_idr_knows_where_its_image_lies(tmp_path: Path) -> None:
    assert planned_bytes(source="idr", images=[9846137]) == 159_884_524
    url = "https://livingobjects.ebi.ac.uk/idr/zarr/v0.4/idr0048A/9846151.zarr/0/.zattrs"
    fetched(tmp_path, source="web", files=[{"url": url}])
    assert loaded(tmp_path / "d" / ".zattrs")["multiscales"]


def test_openorganelle_serves_the_quickstart(tmp_path: Path) -> None:
    receipt = emasync.run(_manifest(tmp_path, "quickstart"), root=tmp_path / "data")
    assert receipt.failures == ()
    group = tmp_path / "data" / "nacc-2-overview" / "recon-2" / "em" / "fibsem-int16"
    shapes = {level: loaded(group / level / ".zarray")["shape"] for level in ("s6", "s7", "s8")}
    assert shapes == {"s6": [8, 39, 40], "s7": [4, 19, 20], "s8": [2, 9, 10]}
    array = loaded(group / "s6" / ".zarray")
    assert (array["dtype"], array["compressor"]["id"], array["zarr_format"]) == ("<i2", "zstd", 2)


BRAIN = "neuroglancer-janelia-flyem-hemibrain/emdata/clahe_yz/jpeg"


def test_hemibrain_serves_one_chunk_out_of_a_shard(tmp_path: Path) -> None:
    crop = {"start": [18112, 20160, 15680], "shape": [64, 64, 64]}
    fetched(tmp_path, source="bucket", url=f"gs://{BRAIN}", format="precomputed", scales=[0], crop=crop)
    (chunk,) = (path for path in (tmp_path / "d").rglob("*_*_*") if path.is_file())
    assert chunk.name == "15680-15744_20160-20224_18112-18176"
    assert chunk.read_bytes()[:2] == b"\xff\xd8"
    (original,) = (tmp_path / "d.source-metadata").rglob("info")
    scale = loaded(original)["scales"][0]
    assert (scale["size"], scale["encoding"], scale["chunk_sizes"]) == ([34427, 39725, 41394], "jpeg", [[64, 64, 64]])


# --- neurophysiology --------------------------------------------------------------------------------------------------


def test_dandi_serves_files_with_the_known_digests(tmp_path: Path) -> None:
    include = ["dataset_description.json", "participants.tsv"]
    receipt = fetched(tmp_path, source="dandi", dandiset="000243", version="draft", include=include)
    digests = {path: hashlib.sha256((tmp_path / "d" / path).read_bytes()).hexdigest() for path in include}
    assert digests == {
        "dataset_description.json": "34aee720858dbc4c723a50285971c74fa2b0142d361685956833e9beb9754f24",
        "participants.tsv": "71325022324b7756ac8e8e58b5ecfd33faa5b13c9b258313a7e876d885d3532d",
    }
    assert receipt.datasets[0].verified.published == len(include)
    assert receipt.datasets[0].bytes == 263 + 26


def test_dandi_knows_the_size_of_a_zarr() -> None:
    """1,325 files; the archive's checksum says how many bytes they have."""
    include = ["sub-S01/anat/sub-S01_T2w.ome.zarr/**"]
    assert planned_bytes(source="dandi", dandiset="000243", version="draft", include=include) == 3_024_625_521


def test_aind_serves_a_sidecar(tmp_path: Path) -> None:
    asset = "exaSPIM_654308_2023-11-02_14-07-20"
    fetched(tmp_path, source="aind", assets=[asset], include=["acquisition.json", "subject.json"])
    assert loaded(tmp_path / "d" / asset / "subject.json")["subject_id"] == "654308"
    assert len(loaded(tmp_path / "d" / asset / "acquisition.json")["tiles"]) == 15


def test_the_registry_leads_to_the_benchmark(tmp_path: Path) -> None:
    session = "aind-np2/595262_2022-02-21_15-18-07_ProbeA"
    registry = "allen-nd-ephys-compression"
    fetched(tmp_path, source="open_data", registry=registry, format="raw", include=[f"{session}/*.json"])
    described = loaded(tmp_path / "d" / session / "binary.json")
    assert described["kwargs"]["sampling_frequency"] > 0


def test_pasteur_is_there_or_said_to_be_missing(tmp_path: Path) -> None:
    receipt = emasync.run(_manifest(tmp_path, "pasteur-exaspim"), root=tmp_path / "data")
    assert receipt.ok or all("registry slug unknown" in failure.message for failure in receipt.failures)


def _manifest(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(catalog_entry(name).text)
    return path
