"""The shipped manifest of EPFL's hippocampus: plain files in a folder whose name begins with a space.

Trap numbers are those of epfl.md; 4 to 6 and 9 are about pages inside of the TIFF and no matter of fetching it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.folders import files_below, run_within

from emasync.api import RunOptions
from emasync.errors import ErrorKind, ManifestError
from emasync.manifest.load import load_manifest
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import Archive
from emasync.testing.volumes import write_multipage_tiff

MANIFEST = Path(__file__).resolve().parents[2] / "manifests" / "epfl.yaml"
HOST = "documents.epfl.ch"
FOLDER = f"{HOST}/groups/c/cv/cvlab-unit/www/data/ ElectronMicroscopy_Hippocampus"
"""As the server sees it, decoded."""


@pytest.fixture
def volume(tmp_path: Path) -> bytes:
    write_multipage_tiff(tmp_path / "volumedata.tif")
    return (tmp_path / "volumedata.tif").read_bytes()


def described(volume: bytes, **more: Any) -> dict[str, Any]:
    """The shipped manifest, with size and MD5 of a smaller volume."""
    manifest: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    (file,) = manifest["datasets"][0]["files"]
    file |= {"size": len(volume), "md5": hashlib.md5(volume).hexdigest(), **more}  # noqa: S324 - what is published
    return manifest


def served_at(archive: Any, volume: bytes, **more: Any) -> Archive:
    started: Archive = archive({f"{FOLDER}/volumedata.tif": volume}, **more)
    return started


def options(served: Archive) -> RunOptions:
    return RunOptions(mirrors={f"https://{HOST}": f"{served.url}/{HOST}"})


def test_trap_1_the_space_of_the_folder_is_sent_as_it_is(archive: Any, volume: bytes, tmp_path: Path) -> None:
    served = served_at(archive, volume)
    receipt = run_within(described(volume), tmp_path / "root", options=options(served))
    assert receipt.failures == ()
    assert files_below(tmp_path / "root/epfl-hippocampus") == {"volumedata.tif": volume}
    assert receipt.datasets[0].verified.published == 1
    assert {seen.path for seen in served.requests} == {f"{FOLDER}/volumedata.tif"}
    assert "www/data/%20ElectronMicroscopy_Hippocampus/" in MANIFEST.read_text()


def test_trap_2_and_3_links_as_the_page_holds_them(archive: Any, volume: bytes, tmp_path: Path) -> None:
    """A raw space in most links and ``%20`` in one, the same link several times: one file, asked for once."""
    raw = yaml.safe_load(MANIFEST.read_text())["datasets"][0]["files"][0]["url"].replace("%20", " ")
    served = served_at(archive, volume)
    receipt = run_within(described(volume, url=raw), tmp_path / "root", options=options(served))
    assert receipt.failures == ()
    assert {seen.path for seen in served.requests} == {f"{FOLDER}/volumedata.tif"}
    twice = described(volume)
    twice["datasets"][0]["files"].append({"url": raw})
    with pytest.raises(ManifestError, match=r"files\[1\]\.url: goes to the same path as files\[0\]"):
        run_within(twice, tmp_path / "root", options=options(served))


def test_trap_10_another_file_of_the_same_size_is_refused(archive: Any, volume: bytes, tmp_path: Path) -> None:
    """Ground truth and images are of one size, only a digest tells them apart."""
    served = served_at(archive, bytes(reversed(volume)))
    receipt = run_within(described(volume), tmp_path / "root", options=options(served))
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.CHECKSUM_MISMATCH
    assert files_below(tmp_path / "root/epfl-hippocampus") == {}


def test_trap_11_the_first_byte_may_take_long(archive: Any, volume: bytes, tmp_path: Path) -> None:
    """Longer than a stall may take: waiting for an answer is another wait than waiting within one."""
    policy = Settings().policy(Location.parse(f"https://{HOST}/x"))
    assert (policy.max_connections, policy.first_byte_timeout_s, policy.stall_timeout_s) == (16, 20.0, 15.0)
    served = served_at(archive, volume, latency_s=0.6)
    patient = {"first_byte_timeout": "20s", "stall_timeout": "300ms", "max_attempts": 1}
    manifest = {**described(volume), "settings": {"hosts": {"127.0.0.1": patient}}}
    assert run_within(manifest, tmp_path / "root", options=options(served)).failures == ()


def test_trap_7_and_8_the_manifest_says_what_no_file_says() -> None:
    """There is no voxel size in the TIFF, and the page counts z, x, y."""
    (entry,) = load_manifest(MANIFEST, environ={}).datasets
    assert (entry.metadata.voxel_size, entry.metadata.unit, entry.metadata.axes) == ((5, 5, 5), "nanometer", "zyx")
