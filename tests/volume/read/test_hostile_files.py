"""Files that were made to hang, to fill the memory or to crash readers: an error of ours, within 2 s and 512 MiB each.

Each is indexed and read to its end in a process of its own, which the kernel ends where it takes more.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.volume.read.confined import MOST_BYTES, MOST_PROCESSOR_S

from emasync.errors import ErrorKind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and pages are those of Linux")

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of it is read: the index says why in a note, opening it is an error."""

    why: str
    kind: ErrorKind = ErrorKind.INPUT


@dataclass(frozen=True, slots=True)
class Read:
    """What reading each of its arrays comes to: voxels, or the kind of an error; and what the index notes."""

    kinds: frozenset[str]
    why: str = ""


VOXELS: Final = Read(frozenset({"voxels"}))
NOT_BUILT: Final = Read(frozenset({"not_built"}))
UNKNOWN: Final = Read(frozenset({"unknown_chunk"}))
"""Chunks that no run remembers, of stores that hold none."""

NO_DTD: Final = Read(frozenset({"voxels"}), "OME-XML does not parse: DTDForbidden")
"""Nothing is expanded and nobody is asked; the pages are there without what the document would say of them."""

EXPECTED: Final[Mapping[str, Refused | Read]] = {
    "hostile_tiff/pillow__crash-0da*": NOT_BUILT,
    "hostile_tiff/pillow__crash-0e1*": Refused("byte 4909: 10980 bytes of strip or tile 0 do not fit"),
    "hostile_tiff/pillow__crash-115*": Refused("byte 4909: 10980 bytes of strip or tile 0 do not fit"),
    "hostile_tiff/pillow__crash-2020*": Refused("byte 3070: field 257 must have a number"),
    "hostile_tiff/pillow__crash-4f0*": Refused("byte 4909: 10980 bytes of strip or tile 0 do not fit"),
    "hostile_tiff/pillow__crash-63b*": Refused("byte 2746: field 257 must have a number"),
    "hostile_tiff/pillow__crash-74d*": NOT_BUILT,
    "hostile_tiff/pillow__multipage_multiple_frame_loop*": Refused("byte 284: .* runs in a loop to byte 28"),
    "hostile_tiff/pillow__multipage_single_frame_loop*": Refused("byte 28: .* runs in a loop to byte 28"),
    "hostile_tiff/pillow__tiff_overflow*": Refused("byte 522: strip or tile 0 has 8062 bytes, its pixels 103972"),
    "hostile_tiff/pillow__tiff_wrong_bits*": VOXELS,
    "hostile_tiff/pillow__total-pages-zero*": NOT_BUILT,
    "hostile_hdf5/*/gh-4431-poc-03.h5": Refused("byte 16777215: 16 bytes were expected, the file ends at byte 824"),
    "hostile_hdf5/*/gh-4432-poc-05.h5": Refused("'/' cannot be read as HDF5"),
    "hostile_hdf5/*/gh-4433-poc-08.h5": Refused("16 bytes were expected, the file ends at byte 2865"),
    "hostile_hdf5/*/gh-4434-poc-09.h5": Refused("cannot be read as HDF5: .*checksum"),
    "hostile_hdf5/*/gh-4435-poc-10.h5": Refused("byte 4294967295: 16 bytes were expected"),
    "hostile_hdf5/*/gh-4585.h5": Refused("its first bytes are not those of hdf5"),
    "hostile_hdf5/*/gh_2649_flawed.h5": Refused("cannot be read as HDF5: .*ENUM datatype size"),
    "hostile_hdf5/*/gh_2649_plain_model.h5": VOXELS,
    "hostile_zarr/*/invalid_stores/array_v3_corrupt*": Refused(r"zarr\.json: array metadata without shape"),
    "hostile_zarr/*/invalid_stores/arrays_in_groups_missing*": UNKNOWN,
    "hostile_zarr/*/invalid_stores/arrays_in_groups_node*": Read(UNKNOWN.kinds, r"foo/zarr\.json: node_type is 1"),
    "hostile_zarr/*/invalid_stores/single_array_missing*": Refused(""),
    "hostile_zarr/*/invalid_stores/single_array_node*": Refused(r"zarr\.json: node_type is 42"),
    "hostile_zarr/*/valid_stores/arrays_in_groups*": UNKNOWN,
    "hostile_zarr/*/valid_stores/single_array*": VOXELS,
    "hostile_text/defusedxml__simple*": VOXELS,
    "hostile_text/defusedxml__[!s]*": NO_DTD,
    "hdf5/jhdf__test_byteshuffle_compressed_datasets_latest.hdf5": Read(VOXELS.kinds, "a writer left it open"),
}
"""Everything that ``TRUTH.json`` calls hostile, or that another reader refuses."""

HALVES: Final[Mapping[str, str]] = {
    "bigtiff/image-tiff__BigTIFF.tif": "byte 12304: 8 bytes were expected, the file ends at byte 6240",
    "bigtiff/imagecodecs__gray.bigtiff.u1.tif": "195 bytes of strip or tile 3 do not fit",
    "dm3/rosettasciio__multi_signal.dm3": "a value of 524288 bytes does not fit into the file",
    "dm4/rosettasciio__test-MonarcCL_mono-image.dm4": "a value of 589824 bytes does not fit into the file",
    "hdf5/kerchunk__air.nc": "truncated file: eof = 37889",
    "hdf5/jhdf__chunked_v4_datasets.hdf5": "truncated file: eof = 659205",
    "mrc/mrcfile__EMD-3001.map": "the file ends before its voxels",
    "nwb_hdf5/pynwb__2.1.0_imageseries_non_external_format.nwb": "truncated file: eof = 91136",
    "ome_tiff/webknossos-libs__multi-channel-z-series.ome.tif": "the file ends at byte 564001",
    "tiff_compressed/imagecodecs__gray.zstd.u2.tif": "394 bytes of strip or tile 3 do not fit",
    "tiff_multipage/imagecodecs__gray.depth.u1.tif": "12288 bytes of strip or tile 4 do not fit",
}
"""Healthy files, of which the first half arrived."""


@pytest.fixture(scope="module")
def outcomes(fixtures_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What came of each file, by its path: one program reads all of them."""
    asked = {
        str(path): "xml" if path.suffix == ".xml" else "copy"
        for pattern in EXPECTED
        for path in sorted(fixtures_folder.glob(pattern))
    }
    asked |= {str(fixtures_folder / name): "half" for name in HALVES}
    asked[str(fixtures_folder / "hostile_text/JSONTestSuite")] = "documents"
    command = [sys.executable, "-m", "tests.volume.read.confined", str(tmp_path_factory.mktemp("hostile"))]
    lines = "".join(f"{reader}\t{path}\n" for path, reader in asked.items())
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, cwd=root, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = map(json.loads, done.stdout.splitlines())
    return dict(zip(asked, found, strict=True))


def test_no_file_takes_more_than_it_may(outcomes: dict[str, Outcome]) -> None:
    assert len(outcomes) > 45
    for path, outcome in outcomes.items():
        assert outcome["status"] == 0, f"{path}: ended by {os.waitstatus_to_exitcode(outcome['status'])}"
        assert "foreign" not in outcome, f"{path}: {outcome['foreign']}"
        assert max(outcome["bytes"], outcome["children_bytes"]) <= MOST_BYTES, path
        assert outcome["processor_s"] <= MOST_PROCESSOR_S, path


@pytest.mark.parametrize("pattern", EXPECTED)
def test_hostile_files_come_to_what_is_expected(
    fixtures_folder: Path, outcomes: dict[str, Outcome], pattern: str
) -> None:
    paths = sorted(fixtures_folder.glob(pattern))
    assert paths
    for path in paths:
        came_to(outcomes[str(path)], EXPECTED[pattern])


@pytest.mark.parametrize("name", HALVES)
def test_halves_of_files_are_refused_with_what_is_missing(
    fixtures_folder: Path, outcomes: dict[str, Outcome], name: str
) -> None:
    came_to(outcomes[str(fixtures_folder / name)], Refused(HALVES[name]))


def came_to(outcome: Outcome, expected: Refused | Read) -> None:
    notes = "\n".join(outcome["notes"])
    assert re.search(expected.why, notes) is not None, notes
    assert bool(notes) == bool(expected.why), notes
    if isinstance(expected, Refused):
        assert outcome["read"] == {"": expected.kind}
    else:
        assert set(outcome["read"].values()) == expected.kinds


def test_hostile_documents_are_objects_or_refused(fixtures_folder: Path, outcomes: dict[str, Outcome]) -> None:
    folder = fixtures_folder / "hostile_text/JSONTestSuite"
    found = outcomes[str(folder)]["read"]
    assert len(found) > 300
    for name, came in found.items():
        sound = name.startswith("y_") and isinstance(json.loads((folder / name).read_bytes()), dict)
        assert came == ("object" if sound else "format") or name.startswith("i_"), name


def test_every_hostile_file_is_expected(fixtures_folder: Path) -> None:
    told = {str(path) for pattern in EXPECTED for path in fixtures_folder.glob(pattern)}
    there = [path for kind in ("tiff", "hdf5", "text") for path in fixtures_folder.glob(f"hostile_{kind}/**/*.*")]
    there += fixtures_folder.glob("hostile_zarr/*/*/*")
    assert {str(path) for path in there if path.suffix != ".json"} <= told
