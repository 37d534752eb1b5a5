"""Refusals of what stands beside the datasets, ids, sources: line:column: path: rule (``@``: ``datasets[0].``)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

HEAD = "version: 1\ndatasets:\n"
BUCKET = HEAD + "- id: a\n  source: bucket\n  url: s3://bucket/x\n"

TABLE = [
    # the document
    ("- 1\n", ["1:1: a manifest is a mapping"]),
    ("hello\n", ["1:1: a manifest is a mapping"]),
    ("datasets: [{id: a, source: idr, images: [1]}]\n", ["1:1: version: is missing"]),
    ("version: 2\nnew_key: 1\n", ["1:10: version: this version of emasync reads version 1"]),
    ("version: 0\ndatasets: [{id: a, source: idr, images: [1]}]\n", ["1:10: version: expected 1; got 0"]),
    ("version: one\ndatasets: [{id: a, source: idr, images: [1]}]\n", ["1:10: version: expected a whole number"]),
    ("version: true\ndatasets: [{id: a, source: idr, images: [1]}]\n", ["1:10: version: expected a whole number"]),
    ("version: 1\n", ["1:1: datasets: is missing"]),
    ("version: 1\ndatasets: []\n", ["2:11: datasets: expected a list of at least one dataset"]),
    ("version: 1\ndatasets: {a: 1}\n", ["2:11: datasets: expected a list of at least one dataset"]),
    (HEAD + "- a\n", ["3:3: datasets[0]: expected a mapping with id: and source:"]),
    ("verion: 1\n" + BUCKET, ["1:1: verion: unknown key; did you mean version?"]),
    ("zzz: 1\n" + BUCKET, ["1:1: zzz: unknown key; known here: layout, mirrors, root, settings, state_dir, version"]),
    ("root: [x]\n" + BUCKET, ["1:7: root: expected text; got a list"]),
    ('root: ""\n' + BUCKET, ["1:7: root: expected the path of a folder"]),
    # settings
    ("settings: 3\n" + BUCKET, ["1:11: settings: expected a mapping; got 3"]),
    ("settings: {max_bandwidth: fast}\n" + BUCKET, ["1:27: settings.max_bandwidth: expected a rate such as"]),
    (
        "settings: {bandwidth_timetable: [{start: 25:00, rate: 1MB/s}, {stop: 08:00}]}\n" + BUCKET,
        [
            "1:42: settings.bandwidth_timetable[0].start: expected a time of the day such as 08:00 or 24:00",
            "1:63: settings.bandwidth_timetable[1].rate: is missing",
        ],
    ),
    (
        "settings: {bandwidth_timetable: [{stop: 12:00, rate: 0}, {start: 12:00, rate: 0MB/s}]}\n" + BUCKET,
        ["1:33: settings.bandwidth_timetable: expected hours that leave some time"],
    ),
    (
        "settings: {bandwidth_timetable: [{stop: 12:00, rate: -1}]}\n" + BUCKET,
        ["1:54: settings.bandwidth_timetable[0].rate: expected a rate such as 20MB/s, or 0 for nothing at all"],
    ),
    ("settings: {max_bandwidth: 0}\n" + BUCKET, ["1:27: settings.max_bandwidth: expected a rate such as"]),
    ("settings: {max_bandwidth: .inf}\n" + BUCKET, ["1:27: settings.max_bandwidth: expected a rate such as"]),
    ("settings: {max_memory: 1MiB}\n" + BUCKET, ["1:24: settings.max_memory: expected at least 4194304; got '1MiB'"]),
    ("settings: {max_total: -1}\n" + BUCKET, ["1:23: settings.max_total: expected bytes or a size such as"]),
    ("settings: {max_total: [1]}\n" + BUCKET, ["1:23: settings.max_total: expected text; got a list"]),
    ("settings: {workers: many}\n" + BUCKET, ["1:21: settings.workers: expected a number of processes"]),
    ("settings: {checksums: md5}\n" + BUCKET, ["1:23: settings.checksums: expected 'published', 'sha256' or 'size'"]),
    (
        "settings:\n  hosts:\n    h: {stall_timout: 1s, max_connections: 0, connect_timeout: 12:30}\n" + BUCKET,
        [
            "3:9: settings.hosts.h.stall_timout: unknown key; did you mean stall_timeout?",
            "3:44: settings.hosts.h.max_connections: expected at least 1; got 0",
            "3:64: settings.hosts.h.connect_timeout: expected a duration such as",
        ],
    ),
    ("settings: {hosts: {h: {stall_timeout: null}}}\n" + BUCKET, ["1:39: settings.hosts.h.stall_timeout: null says"]),
    ('settings: {hosts: {"h/x": {}}}\n' + BUCKET, ['1:20: settings.hosts["h/x"]: expected s3://bucket, gs://bucket']),
    ("settings: {hosts: {H: {}, h: {}}}\n" + BUCKET, ["1:27: settings.hosts.h: means the same as another key"]),
    ("settings: {hosts: {h: 3}}\n" + BUCKET, ["1:23: settings.hosts.h: expected a mapping; got 3"]),
    # mirrors, layout
    ("mirrors: {'s3://b/x': 'https://m'}\n" + BUCKET, ['1:11: mirrors["s3://b/x"]: expected a whole bucket']),
    ("mirrors: {'s3://b': 'gs://m'}\n" + BUCKET, ['1:21: mirrors["s3://b"]: expected an http(s)://']),
    ("mirrors: {'file:///x': 'https://m'}\n" + BUCKET, ['1:11: mirrors["file:///x"]: expected a whole bucket']),
    (
        "mirrors: {'https://h/a': 'https://m', 'https://H/a/': 'https://n'}\n" + BUCKET,
        ['1:39: mirrors["https://H/a/"]: means the same as another key'],
    ),
    ("mirrors: [1]\n" + BUCKET, ["1:10: mirrors: expected a mapping; got a list"]),
    ("layout: sideways\n" + BUCKET, ["1:9: layout: expected mirror, or a mapping with kind"]),
    ("layout: {kind: flexiznam}\n" + BUCKET, ["1:9: layout.project: is missing"]),
    ("layout: {kind: flexiznam, project: a/b}\n" + BUCKET, ["1:36: layout.project: expected one name"]),
    (
        "layout: {kind: flexiznam, project: p, sample: s, session: S1}\n" + BUCKET,
        ["1:47: layout.sample: name a sample or a session, not both"],
    ),
    (
        "layout: {kind: flexiznam, project: p, session: R123456_x}\n" + BUCKET,
        ["1:48: layout.session: for flexiznam this is the name of a rec"],
    ),
    (
        "layout: {kind: flexiznam, project: p, sample: brain/S12}\n" + BUCKET,
        ["1:47: layout.sample: for flexiznam this is the name of a ses"],
    ),
    ("layout: {kind: flexiznam, project: p, flavor: v0.4}\n" + BUCKET, ["1:39: layout.flavor: unknown key; did you"]),
    # ids, sources
    (HEAD + "- source: bucket\n  url: s3://bucket\n", ["3:3: @id: is missing"]),
    (HEAD + "- id: a\n", ["3:3: @source: is missing; one of web, bucket,"]),
    (HEAD + "- id: a\n  source: ftp\n", ["4:11: @source: expected one of web, bucket,"]),
    (
        HEAD + "- id: a b\n  source: ftp\n  host: x\n  scales: 4\n",  # host: whose key that is nobody knows
        ["3:7: @id: expected letters", "4:11: @source: expected one of web", "6:11: @scales: expected a list"],
    ),
    (BUCKET.replace("id: a", "id: a b"), ["3:7: @id: expected letters, digits, dot"]),
    (BUCKET.replace("id: a", "id: .a"), ["3:7: @id: expected letters, digits, dot"]),
    (BUCKET.replace("id: a", "id: null"), ["3:7: @id: expected text; got null"]),
    (BUCKET.replace("id: a", f"id: {'a' * 201}"), ["3:7: @id: expected letters, digits, dot"]),
    (BUCKET.replace("id: a", "id: Metadata"), ["3:7: @id: this name is used for something else"]),
    (BUCKET.replace("id: a", "id: receipt.json"), ["3:7: @id: this name is used for something else"]),
    (BUCKET.replace("id: a", "id: METADATA_SUMMARY.md"), ["3:7: @id: this name is used for something"]),
    (BUCKET.replace("id: a", "id: x.Source-Metadata"), ["3:7: @id: this name is used for something else"]),
    (
        BUCKET + "- id: A\n  source: idr\n  images: [1]\n",
        ["6:7: datasets[1].id: is also the id of datasets[0], but for"],
    ),
    (BUCKET + "- id: a\n  source: idr\n  images: [1]\n", ["6:7: datasets[1].id: is also the id of datasets[0]"]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_what_is_told(text: str, expected: list[str], problems: Callable[[str], list[str]]) -> None:
    told = problems(text)
    assert len(told) == len(expected), told
    for message, prefix in zip(told, expected, strict=True):
        assert message.startswith("m.yaml:" + prefix.replace("@", "datasets[0].")), message
