"""The main job on real files: a manifest over OME-Zarr, TIFF and DM3, from nginx and from moto's S3."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import emasync
from emasync.model.receipt import Receipt
from emasync.testing.peers import MotoS3, Nginx

FOLDERS = ("ome_zarr_04", "ome_zarr_05", "tiff_multipage", "dm3")

DATA = Path("data")


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def downloaded(root: Path, dataset: str) -> dict[str, bytes]:
    return files_below(root / dataset)


@pytest.fixture(scope="module", params=FOLDERS)
def real(request: pytest.FixtureRequest, fixtures_folder: Path) -> tuple[str, dict[str, bytes]]:
    return request.param, files_below(fixtures_folder / request.param)


def check_complete(receipt: Receipt, expected: dict[str, bytes], root: Path, dataset: str) -> None:
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert downloaded(root, dataset) == expected


def test_nginx_serves_plain_files(
    nginx: Nginx, real: tuple[str, dict[str, bytes]], tmp_path: Path, fixtures_folder: Path
) -> None:
    name, expected = real
    shutil.copytree(fixtures_folder / name, nginx.root / name, dirs_exist_ok=True)
    manifest: dict[str, Any] = {
        "version": 1,
        "datasets": [
            {
                "id": "files",
                "source": "web",
                "files": [
                    {"url": f"{nginx.url}/{name}/{quote(path)}", "path": path, "size": len(data)}
                    for path, data in expected.items()
                ],
            }
        ],
    }

    first = emasync.run(manifest, root=tmp_path)
    check_complete(first, expected, tmp_path, "files")
    assert first.totals.bytes_reused == 0

    before = len(nginx.requests())
    again = emasync.run(manifest, root=tmp_path)
    check_complete(again, expected, tmp_path, "files")
    assert again.totals.requests == 0
    assert again.totals.bytes_reused == sum(map(len, expected.values()))
    assert len(nginx.requests()) == before

    gone = min(expected)
    (tmp_path / "files" / gone).unlink()
    check_complete(emasync.run(manifest, root=tmp_path), expected, tmp_path, "files")
    assert len(nginx.requests()) == before + 1


def test_moto_serves_a_bucket(moto_s3: MotoS3, real: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    name, expected = real
    bucket = name.replace("_", "-")
    for path, data in expected.items():
        moto_s3.put(bucket, f"pre/{path}", data)
    manifest = {
        "version": 1,
        "mirrors": {f"s3://{bucket}": f"{moto_s3.url}/{bucket}"},
        "datasets": [{"id": "objects", "source": "bucket", "url": f"s3://{bucket}/pre"}],
    }

    check_complete(emasync.run(manifest, root=tmp_path), expected, tmp_path, "objects")

    again = emasync.run(manifest, root=tmp_path)
    check_complete(again, expected, tmp_path, "objects")
    assert again.totals.requests == 0

    gone = max(expected)
    (tmp_path / "objects" / gone).unlink()
    mended = emasync.run(manifest, root=tmp_path)
    check_complete(mended, expected, tmp_path, "objects")
    assert mended.totals.requests == 1
