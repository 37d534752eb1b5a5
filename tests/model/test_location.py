from __future__ import annotations

import pytest

from emasync.errors import InputError
from emasync.model.location import Location


@pytest.mark.parametrize(
    ("text", "canonical", "origin", "name"),
    [
        ("s3://bucket/a/b c.tif", "s3://bucket/a/b c.tif", "s3://bucket", "b c.tif"),
        ("gs://bucket/a%20b", "gs://bucket/a%20b", "gs://bucket", "a%20b"),
        ("S3://bucket/", "s3://bucket/", "s3://bucket", ""),
        (
            "https://documents.epfl.ch/data/%20Electron/volumedata.tif",
            "https://documents.epfl.ch/data/%20Electron/volumedata.tif",
            "https://documents.epfl.ch",
            "volumedata.tif",
        ),
        ("http://Host:80/a b/é?x=1#part", "http://host/a%20b/%C3%A9?x=1", "http://host", "é"),
        ("https://host:8443", "https://host:8443/", "https://host:8443", ""),
        ("http://[::1]:8080/x", "http://[::1]:8080/x", "http://[::1]:8080", "x"),
        ("https://bucket.s3.amazonaws.com/k/x", "https://bucket.s3.amazonaws.com/k/x", "s3://bucket", "x"),
        ("https://bkt.s3.us-west-2.amazonaws.com/k", "https://bkt.s3.us-west-2.amazonaws.com/k", "s3://bkt", "k"),
        ("https://s3.eu-west-1.amazonaws.com/b/k", "https://s3.eu-west-1.amazonaws.com/b/k", "s3://b", "k"),
        ("https://storage.googleapis.com/b/k", "https://storage.googleapis.com/b/k", "gs://b", "k"),
        ("https://s3.amazonaws.com/", "https://s3.amazonaws.com/", "https://s3.amazonaws.com", ""),
        ("file:///data/a%20b", "file:///data/a%20b", "file://", "a b"),
    ],
)
def test_urls_are_read_as_people_paste_them(text: str, canonical: str, origin: str, name: str) -> None:
    location = Location.parse(text)

    assert str(location) == canonical
    assert location.origin == origin
    assert location.name == name
    assert Location.parse(canonical) == location


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://host/x", "expected s3://"),
        ("host/x", "expected s3://"),
        ("s3:///key", "names no bucket"),
        ("https:///x", "names no host"),
        ("https://host:port/x", "Port could not be cast"),
        ("https://user:secret@host/x", "credentials"),
        ("file://relative", "absolute"),
        ("https://host/a\nb", "control characters"),
    ],
)
def test_urls_that_must_not_be_used_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        Location.parse(text)

    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("base", "key", "expected"),
    [
        ("s3://b", "k", "s3://b/k"),
        ("s3://b/p/", "k/../%20", "s3://b/p/k/../%20"),
        ("https://host/p", "a b/%", "https://host/p/a%20b/%25"),
        ("https://host/p?x=1", "k", "https://host/p/k"),
        ("file:///d", "a b", "file:///d/a%20b"),
        ("s3://b/p", "", "s3://b/p"),
    ],
)
def test_keys_are_appended_as_they_are(base: str, key: str, expected: str) -> None:
    assert str(Location.parse(base).join(key)) == expected


def test_a_bucket_is_one_thing_in_all_spellings() -> None:
    spellings = [
        "s3://bucket/a b/k",
        "https://bucket.s3.amazonaws.com/a%20b/k",
        "https://bucket.s3-us-west-2.amazonaws.com/a%20b/k",
        "https://s3.us-west-2.amazonaws.com/bucket/a%20b/k",
    ]

    assert {str(Location.parse(text).as_bucket()) for text in spellings} == {"s3://bucket/a b/k"}
    assert Location.parse("https://example.org/bucket/k").as_bucket() is None
    assert Location.parse("https://bucket.s3.amazonaws.com:8443/k").as_bucket() is None
    assert Location.parse("file:///x").as_bucket() is None
