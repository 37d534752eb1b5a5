"""Refusals of what single sources may say: line:column: path: what is right (``@`` is ``datasets[0].``)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

HEAD = "version: 1\ndatasets:\n"
BUCKET = HEAD + "- id: a\n  source: bucket\n  url: s3://bucket/x\n"
WEB = HEAD + "- id: a\n  source: web\n"
FILE = WEB + "  files: [{url: "

TABLE = [
    # bucket
    (HEAD + "- id: a\n  source: bucket\n", ["3:3: @url: is missing"]),
    (BUCKET.replace("s3://bucket/x", "ftp://bucket/x"), ["5:8: @url: not a URL that can be fetched"]),
    (BUCKET.replace("s3://bucket/x", "'s3://[BUCKET-NAME-TBD]/x'"), ["5:8: @url: expected the name of a bucket"]),
    (BUCKET.replace("s3://bucket/x", "https://h/x?y=1"), ["5:8: @url: a bucket's URL has no query"]),
    (BUCKET + "  anonymous: 1\n", ["6:14: @anonymous: expected true or false; got 1"]),
    (BUCKET + "  anonymous: no\n", ["6:14: @anonymous: expected true or false; got 'no'"]),
    (BUCKET + "  requester_pays: true\n", ["6:19: @requester_pays: who pays must be known"]),
    (BUCKET + "  region: US East\n", ["6:11: @region: expected the name of a region"]),
    (BUCKET.replace("s3:", "gs:") + "  region: us-east-1\n", ["6:11: @region: only S3 asks for a region"]),
    # archives
    (HEAD + "- {id: a, source: empiar, entry: EMPIAR-x}\n", ["3:34: @entry: expected a whole number"]),
    (HEAD + "- {id: a, source: idr}\n", ["3:3: datasets[0]: name images: [number, ...] or dataset: number"]),
    (HEAD + "- {id: a, source: idr, images: [1], dataset: 2}\n", ["3:46: @dataset: name images: [number"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 728}\n", ["3:36: @dandiset: expected six digits such as"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 000728, version: 1.0}\n", ["3:53: @version: expected draft"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 000728, instance: mine}\n", ["3:54: @instance: expected dandi"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 000728, instance: 'https://'}\n", ["3:54: @instance: expected"]),
    (HEAD + "- {id: a, source: aind}\n", ["3:3: datasets[0]: name assets: [name, ...] or filter"]),
    (HEAD + "- {id: a, source: aind, assets: [a/b]}\n", ["3:34: @assets[0]: expected one name"]),
    (HEAD + "- {id: a, source: aind, bucket: '[TBD]', assets: [x]}\n", ["3:33: @bucket: expected the name"]),
    (HEAD + "- {id: a, source: aind, filter: {after: 2024-13-01}}\n", ["3:41: @filter.after: expected a date"]),
    (
        HEAD + "- {id: a, source: aind, filter: {after: 2024-04-02, before: 2024-04-02}}\n",
        ["3:61: @filter.before: before must be later than after"],
    ),
    (HEAD + "- {id: a, source: open_data}\n", ["3:3: @registry: is missing"]),
    # web
    (WEB, ["3:3: @files: is missing"]),
    (WEB + "  files: []\n", ["5:10: @files: expected at least one, this list is empty"]),
    (WEB + "  files: https://h/x\n", ["5:10: @files: expected a list; got 'https://h/x'"]),
    (WEB + "  files: [https://h/x]\n", ["5:11: @files[0]: expected a mapping; got 'https://h/x'"]),
    (WEB + "  scales: [0]\n  files: [{url: 'https://h/x'}]\n", ["5:11: @scales: files are taken whole here"]),
    (WEB + "  files: [{path: x}]\n", ["5:11: @files[0].url: is missing"]),
    (FILE + "'https://h/x', sze: 3}]\n", ["5:32: @files[0].sze: unknown key; did you mean size?"]),
    (FILE + "'https://h/x', w: 0..1}]\n", ["5:32: @files[0].w: unknown key"]),
    (FILE + "'https://h/x', md5: abc}]\n", ["5:37: @files[0].md5: expected a md5 of 32"]),
    (FILE + "'https://h/x', crc32c: AAAA!A==}]\n", ["5:40: @files[0].crc32c: expected a crc32c"]),
    (FILE + "'https://h/x', etag: W/x}]\n", ["5:38: @files[0].etag: a weak entity tag"]),
    (FILE + "'https://h/x', etag: '\"\"'}]\n", ["5:38: @files[0].etag: expected an entity tag"]),
    (FILE + "'https://h/{z}'}]\n", ["5:17: @files[0].url: a placeholder has no values"]),
    (FILE + "'https://h/{z!r}'}]\n", ["5:17: @files[0].url: a placeholder is {name}"]),
    (FILE + "'https://h/{z:099}'}]\n", ["5:17: @files[0].url: a placeholder is {name}"]),
    (FILE + "'https://h/{z}', z: 5..3}]\n", ["5:37: @files[0].z: expected a range such as 0..15"]),
    (FILE + "'https://h/{z}', z: 00..15}]\n", ["5:37: @files[0].z: expected a range such as"]),
    (FILE + "'https://h/{z}', z: 0..99999999}]\n", ["5:37: @files[0].z: expected a range such as"]),
    (FILE + "'https://h/{z}', z: 3}]\n", ["5:37: @files[0].z: expected a range such as"]),
    (FILE + "'https://h/{z}', z: x}]\n", ["5:37: @files[0].z: expected a range such as"]),
    (FILE + "'https://h/{z}', z: []}]\n", ["5:37: @files[0].z: expected a range such as"]),
    (FILE + "'https://h/{z}', z: [a, a]}]\n", ["5:37: @files[0].z: a value stands twice"]),
    (FILE + "'https://h/{z}', z: [1.5]}]\n", ["5:37: @files[0].z: expected a list of numbers"]),
    (
        FILE + "'https://h/{z}{w}', z: 0..1, path: '{w}', w: 0..1}]\n",
        ["5:52: @files[0].path: {z} is not in the file's path"],
    ),
    (FILE + "'https://h/{z}/x', z: 0..1}]\n", ["5:17: @files[0].url: {z} is not in the file's"]),
    (FILE + "'https://h/x', path: 'x{w}', w: 0..1}]\n", ["5:46: @files[0].w: not in url"]),
    (
        FILE + "'https://h/{a}{b}', a: 0..9999, b: 0..9999}]\n",
        ["5:11: @files[0]: stands for 100,000,000 files; at most 10,000,000"],
    ),
    (
        WEB + "  files:\n" + "  - {url: 'https://h/{a}', a: 1..6000000}\n" * 2,
        ["6:3: @files: more than 10,000,000 files"],
    ),
    (
        FILE + "'https://h/{z}', z: 0..1, md5: 14fc2fb6a5061ea4ea9b69a090c327c9}]\n",
        ["5:48: @files[0].md5: one digest cannot fit many files"],
    ),
    (FILE + "'https://h/x/'}]\n", ["5:17: @files[0].url: the URL ends in no file name"]),
    (FILE + "'https://h/x', path: ../x}]\n", ["5:38: @files[0].path: expected a relative path"]),
    (FILE + "'https://h/x', path: a/}]\n", ["5:38: @files[0].path: expected the path of a file"]),
    (FILE + "'https://h/a%2F..%2Fx'}]\n", ["5:17: @files[0].url: gives a file a path that leaves"]),
    (
        WEB
        + "  files:\n  - url: https://h/a/x.tif\n  - url: https://h/b/x.tif\n  - {url: 'https://h/c', path: x.tif}\n",
        [
            "7:10: @files[1].url: goes to the same path as files[0]",
            "8:32: @files[2].path: goes to the same path as files[0]",
        ],
    ),
    (
        FILE + "'https://h/{a}{b}', a: [1, 11], b: [1, 11]}]\n",
        ["5:17: @files[0].url: goes to the same path as another of its own files"],
    ),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_what_is_told(text: str, expected: list[str], problems: Callable[[str], list[str]]) -> None:
    told = problems(text)
    assert len(told) == len(expected), told
    for message, prefix in zip(told, expected, strict=True):
        assert message.startswith("m.yaml:" + prefix.replace("@", "datasets[0].")), message
