"""Asset records as the archive gives them, and what is taken from them."""

from __future__ import annotations

from typing import Any

import pytest

from emasync.errors import SourceError
from emasync.model.digest import Digest
from emasync.model.location import Location
from emasync.sources.dandi_assets import Asset, read_asset

API = Location.parse("https://api.dandiarchive.org/api")
ASSET_ID = "6223689f-7b4e-4096-9f15-493efe1135b3"
BLOB = "2eb0278e-199f-454a-b625-83fe5f9a52cf"
ZARR = "7723d02f-1f71-4553-a7b0-47bda1ae8b42"
DOWNLOAD = f"https://api.dandiarchive.org/api/assets/{ASSET_ID}/download/"
BLOB_URL = f"https://dandiarchive.s3.amazonaws.com/blobs/2eb/027/{BLOB}"
SHA256 = "34aee720858dbc4c723a50285971c74fa2b0142d361685956833e9beb9754f24"


def metadata(**changes: Any) -> dict[str, Any]:
    """Of a file of dandiset 000243, schema 0.6.3, shortened."""
    return {
        "access": [{"schemaKey": "AccessRequirements", "status": "dandi:OpenAccess"}],
        "contentSize": 263,
        "contentUrl": [DOWNLOAD, BLOB_URL],
        "digest": {"dandi:dandi-etag": "190a4eebd0c0d8797f1ea1709a788920-1", "dandi:sha2-256": SHA256},
        "encodingFormat": "application/json",
        "id": f"dandiasset:{ASSET_ID}",
        "identifier": ASSET_ID,
        "path": "dataset_description.json",
        "schemaVersion": "0.6.3",
        **changes,
    }


def read(record: Any, **options: Any) -> Asset:
    return read_asset(record, api=options.pop("api", API), **options)


def test_a_record_of_a_manifest() -> None:
    assert read(metadata()) == Asset(
        asset_id=ASSET_ID,
        path="dataset_description.json",
        size_bytes=263,
        zarr=False,
        zarr_id=None,
        embargoed=False,
        stored=Location("s3", "dandiarchive", f"blobs/2eb/027/{BLOB}"),
        digests=(Digest("sha256", SHA256), Digest("dandi-etag", "190a4eebd0c0d8797f1ea1709a788920-1")),
    )


def test_trap_15_a_row_of_a_page_says_the_same() -> None:
    """Without ``zarr``, or with null in its place; with ``Z`` or ``+00:00`` at the end of times."""
    row = {"asset_id": ASSET_ID, "blob": BLOB, "path": "dataset_description.json", "size": 263}
    assert read({**row, "created": "2022-05-10T14:07:34.134564+00:00", "metadata": metadata()}) == read(metadata())
    assert read({**row, "zarr": None, "created": "2023-09-27T17:08:32Z", "metadata": metadata()}) == read(metadata())


def test_a_zarr() -> None:
    checksum = "74c5b53e6d66fccc3260b64511bd376b-1325--3024625521"
    found = read(
        metadata(
            contentUrl=[DOWNLOAD, f"https://dandiarchive.s3.amazonaws.com/zarr/{ZARR}/"],
            digest={"dandi:dandi-zarr-checksum": checksum},
            encodingFormat="application/x-zarr",
        )
    )
    assert (found.zarr, found.zarr_id, found.digests) == (True, ZARR, ())
    assert found.stored == Location("s3", "dandiarchive", f"zarr/{ZARR}/")
    assert found.promise is not None
    assert (found.promise.objects, found.promise.size_bytes) == (1_325, 3_024_625_521)


def test_open_data_trap_12_zarrs_of_the_archive_lie_below_zarr() -> None:
    """``zarr/``, where the registry's text says ``zarrs/``: for rows that tell an id and no place."""
    old = metadata(path="x.zarr", contentUrl=[DOWNLOAD], encodingFormat="application/x-zarr", digest={})
    row = {"asset_id": ASSET_ID, "zarr": ZARR, "path": "x.zarr", "size": 1, "metadata": old}
    assert read(row, bucket="dandiarchive").stored == Location("s3", "dandiarchive", f"zarr/{ZARR}/")


def test_an_old_record_names_the_api_only_and_begins_its_path_with_a_slash() -> None:
    """Schema 0.3.2."""
    old = metadata(path="/path/for/asset", contentUrl=[DOWNLOAD], schemaVersion="0.3.2")
    found = read(old)
    assert (found.path, found.stored) == ("path/for/asset", None)
    row = {"asset_id": ASSET_ID, "blob": BLOB, "zarr": None, "path": "path/for/asset", "size": 1, "metadata": old}
    assert read(row, bucket="dandiarchive").stored == Location("s3", "dandiarchive", f"blobs/2eb/027/{BLOB}")


def test_trap_8_a_signature_in_a_url_is_cut_off() -> None:
    found = read(metadata(contentUrl=[DOWNLOAD, f"{BLOB_URL}?X-Amz-Signature=dead"]))
    assert found.stored == Location("s3", "dandiarchive", f"blobs/2eb/027/{BLOB}")


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/blobs/x", "http://169.254.169.254/latest", "file:///etc/passwd", "gs://b/k", "not a url"],
)
def test_bytes_are_not_asked_for_wherever_a_record_says(url: str) -> None:
    assert read(metadata(contentUrl=[DOWNLOAD, url])).stored is None


def test_a_bucket_beside_an_archive_of_ones_own_is_believed() -> None:
    local = Location.parse("http://localhost:8000/api")
    bucket = "http://localhost:9000/dandi-dandisets/blobs/2eb/027/x"
    urls = ["http://localhost:8000/api/assets/x/download/", f"{bucket}?X-Amz-Signature=dead"]
    found = read(metadata(contentUrl=urls), api=local)
    assert found.stored == Location.parse(bucket)


@pytest.mark.parametrize("digest", [None, {}, {"dandi:sha2-256": None}, {"dandi:sha2-256": "zz"}, {"dandi:md5": "0"}])
def test_trap_9_digests_may_be_missing(digest: Any) -> None:
    assert read(metadata(digest=digest)).digests == ()


def test_an_embargoed_one() -> None:
    access = [{"schemaKey": "AccessRequirements", "status": "dandi:EmbargoedAccess"}]
    assert read(metadata(access=access)).embargoed
    assert not read(metadata(access=None)).embargoed


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (None, "not as it should be"),
        ("text", "not as it should be"),
        ([], "not as it should be"),
        (metadata(path=None), "lacks its path"),
        (metadata(path="/"), "lacks its path"),
        (metadata(identifier=None), "lacks its id"),
        (metadata(identifier="../../x"), "lacks its id"),
        (metadata(contentSize="large"), "contentSize"),
        (metadata(contentUrl={"a": 1}), "contentUrl"),
        ({"metadata": "text", "asset_id": ASSET_ID}, "not as it should be"),
        ({"asset_id": 5, "metadata": metadata()}, "asset_id"),
    ],
)
def test_what_makes_no_sense_is_refused(record: Any, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        read(record)


def test_a_size_below_zero_is_none() -> None:
    assert read(metadata(contentSize=-1)).size_bytes is None
