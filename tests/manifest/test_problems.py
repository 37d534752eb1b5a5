"""Wrong manifests and what is told of them: file, line, column, key path, what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emasync.errors import InputError, ManifestError, Problem
from emasync.manifest.load import load_manifest, manifest_from_object
from emasync.manifest.problems import MAX_PROBLEMS, clipped, key_path, manifest_error, shown

Problems = Callable[[str], list[str]]

HEAD = "version: 1\ndatasets:\n"
BUCKET = HEAD + "- id: a\n  source: bucket\n  url: s3://bucket/x\n"
WEB = HEAD + "- id: a\n  source: web\n"

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
    ("settings: {max_bandwidth: .inf}\n" + BUCKET, ["1:27: settings.max_bandwidth: expected a rate such as"]),
    ("settings: {max_memory: 1MiB}\n" + BUCKET, ["1:24: settings.max_memory: expected at least 4194304; got '1MiB'"]),
    ("settings: {max_total: -1}\n" + BUCKET, ["1:23: settings.max_total: expected bytes or a size such as"]),
    ("settings: {max_total: [1]}\n" + BUCKET, ["1:23: settings.max_total: expected text; got a list"]),
    ("settings: {workers: many}\n" + BUCKET, ["1:21: settings.workers: expected a number of processes"]),
    ("settings: {checksums: md5}\n" + BUCKET, ["1:23: settings.checksums: expected 'published', 'sha256' or 'size'"]),
    (
        "settings:\n  hosts:\n    h: {stall_timout: 1s, max_connections: 0, connect_timeout: 12:30}\n" + BUCKET,
        [
            '3:9: settings.hosts.h.stall_timout: unknown key; did you mean stall_timeout?',
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
    ("layout: {kind: flexiznam, project: p, flavor: v0.4}\n" + BUCKET, ["1:39: layout.flavor: unknown key; did you"]),
    # ids, sources
    (HEAD + "- source: bucket\n  url: s3://bucket\n", ["3:3: datasets[0].id: is missing"]),
    (HEAD + "- id: a\n", ["3:3: datasets[0].source: is missing; one of web, bucket,"]),
    (HEAD + "- id: a\n  source: ftp\n", ["4:11: datasets[0].source: expected one of web, bucket,"]),
    (BUCKET.replace("id: a", "id: a b"), ["3:7: datasets[0].id: expected letters, digits, dot"]),
    (BUCKET.replace("id: a", "id: .a"), ["3:7: datasets[0].id: expected letters, digits, dot"]),
    (BUCKET.replace("id: a", "id: null"), ["3:7: datasets[0].id: expected text; got null"]),
    (BUCKET.replace("id: a", f"id: {'a' * 201}"), ["3:7: datasets[0].id: expected letters, digits, dot"]),
    (BUCKET.replace("id: a", "id: Metadata"), ["3:7: datasets[0].id: this name is used for something else"]),
    (BUCKET.replace("id: a", "id: receipt.json"), ["3:7: datasets[0].id: this name is used for something else"]),
    (BUCKET.replace("id: a", "id: METADATA_SUMMARY.md"), ["3:7: datasets[0].id: this name is used for something"]),
    (BUCKET.replace("id: a", "id: x.Source-Metadata"), ["3:7: datasets[0].id: this name is used for something else"]),
    (BUCKET + "- id: A\n  source: idr\n  images: [1]\n", ["6:7: datasets[1].id: is also the id of datasets[0], but for"]),
    (BUCKET + "- id: a\n  source: idr\n  images: [1]\n", ["6:7: datasets[1].id: is also the id of datasets[0]"]),
    # what all datasets share
    (BUCKET + "  colour: red\n", ["6:3: datasets[0].colour: unknown key; known here: allow_missing, anonymous,"]),
    (BUCKET + "  format: tif\n", ["6:11: datasets[0].format: expected one of auto, zarr, n5,"]),
    (BUCKET + "  role: picture\n", ["6:9: datasets[0].role: expected 'image' or 'labels'; got 'picture'"]),
    (BUCKET + "  scales: [-1]\n", ["6:12: datasets[0].scales[0]: expected at least 0; got -1"]),
    (BUCKET + "  scales: 3\n", ["6:11: datasets[0].scales: expected a list; got 3"]),
    (BUCKET + "  scales: [3, 3]\n", ["6:11: datasets[0].scales: each of them once"]),
    (BUCKET + "  arrays: [../x]\n", ["6:12: datasets[0].arrays[0]: expected a relative path"]),
    (BUCKET + "  arrays: [/x]\n", ["6:12: datasets[0].arrays[0]: expected a relative path"]),
    (BUCKET + "  include: ['[a', 'ok', 'b/']\n", ["6:13: datasets[0].include[0]: not a glob", "6:25: datasets[0].include[2]"]),
    (BUCKET + "  include: data\n", ["6:12: datasets[0].include: expected a list; got 'data'"]),
    (BUCKET + "  allow_missing: ['a**']\n", ["6:19: datasets[0].allow_missing[0]: not a glob"]),
    (BUCKET + "  select: {z: 0}\n", ["6:11: datasets[0].select: z, y and x are chosen with crop"]),
    (BUCKET + "  select: {c: x}\n", ["6:15: datasets[0].select.c: expected a whole number; got 'x'"]),
    (BUCKET + "  series: {spacing: 0}\n", ["6:11: datasets[0].series.pattern: is missing", "6:21: datasets[0].series.spacing"]),
    (BUCKET + "  metadata: {axes: zyq}\n", ["6:20: datasets[0].metadata.axes: expected letters of tczyx"]),
    (BUCKET + "  metadata: {voxel_size: [5, 5]}\n", ["6:26: datasets[0].metadata.voxel_size: expected one number"]),
    (BUCKET + "  metadata: {voxel_size: [5, x, 5]}\n", ["6:30: datasets[0].metadata.voxel_size[1]: expected a number"]),
    (BUCKET + "  metadata: {voxel_size: [.inf, 5, 5]}\n", ["6:27: datasets[0].metadata.voxel_size[0]: expected a number"]),
    (BUCKET + "  metadata: {unit: parsnip}\n", ["6:20: datasets[0].metadata.unit: expected a unit of length"]),
    # crops
    (BUCKET + "  crop: 5\n", ["6:9: datasets[0].crop: expected {start, shape}, {at, shape} or {same_as}"]),
    (BUCKET + "  crop: {start: [0, 0, 0]}\n", ["6:9: datasets[0].crop.shape: is missing"]),
    (BUCKET + "  crop: {start: [0, 0, 0], shape: [1, -2, 3]}\n", ["6:39: datasets[0].crop.shape[1]: expected at least 1"]),
    (BUCKET + "  crop: {start: [0, 0, 0], shape: [1, 2]}\n", ["6:35: datasets[0].crop.shape: expected three whole"]),
    (BUCKET + "  crop: {start: 0, shape: [1, 2, 3]}\n", ["6:17: datasets[0].crop.start: expected three whole numbers"]),
    (BUCKET + "  crop: {start: [0, 0, 0.5], shape: [1, 2, 3]}\n", ["6:24: datasets[0].crop.start[2]: expected a whole"]),
    (BUCKET + "  crop: {start: [0, 0, 0], shap: [1, 2, 3]}\n", ["6:9: datasets[0].crop.shape: is", "6:28: datasets[0].crop.shap: unknown key; did you mean shape?"]),
    (BUCKET + "  crop: {at: middle, shape: [1, 2, 3]}\n", ["6:14: datasets[0].crop.at: expected 'random' or 'center'"]),
    (BUCKET + "  crop: {at: center, seed: 1, shape: [1, 2, 3]}\n", ["6:28: datasets[0].crop.seed: seed belongs to at: random"]),
    (
        BUCKET + "  crop: {at: random, shape: [9, 9, 9], within: {start: [0, 0, 0], shape: [8, 9, 9]}}\n",
        ["6:29: datasets[0].crop.shape: does not fit into within"],
    ),
    (BUCKET + "  crop: {at: random, shape: [1, 1, 1], min_nonzero: 2}\n", ["6:53: datasets[0].crop.min_nonzero: expected at most"]),
    (BUCKET + "  crop: {same_as: b}\n", ["6:19: datasets[0].crop.same_as: names no dataset of this manifest; got 'b'"]),
    (BUCKET + "  crop: {same_as: a}\n", ["6:19: datasets[0].crop.same_as: leads back to this dataset"]),
    (BUCKET + "  crop: {same_as: b, scale: 1}\n", ["6:19: datasets[0].crop.same_as: names no", "6:22: datasets[0].crop.scale: unknown key"]),
    (
        BUCKET + "- {id: b, source: bucket, url: 's3://bucket', crop: {same_as: a}}\n",
        ["6:63: datasets[1].crop.same_as: datasets[0] has no crop"],
    ),
    (
        BUCKET
        + "  crop: {same_as: b}\n"
        + "- {id: b, source: bucket, url: 's3://bucket', crop: {same_as: c}}\n"
        + "- {id: c, source: bucket, url: 's3://bucket', crop: {same_as: b}}\n",
        [
            "7:63: datasets[1].crop.same_as: leads back to this dataset",
            "8:63: datasets[2].crop.same_as: leads back to this dataset",
        ],
    ),
    (BUCKET + "  format: tiff\n  crop: {start: [0, 0, 0], shape: [1, 1, 1]}\n", ["7:9: datasets[0].crop: crop cannot be applied to format tiff"]),
    (BUCKET + "  format: raw\n  scales: [0]\n", ["7:11: datasets[0].scales: scales cannot be applied to format raw"]),
    # bucket
    (HEAD + "- id: a\n  source: bucket\n", ["3:3: datasets[0].url: is missing"]),
    (BUCKET.replace("s3://bucket/x", "ftp://bucket/x"), ["5:8: datasets[0].url: not a URL that can be fetched"]),
    (BUCKET.replace("s3://bucket/x", "'s3://[BUCKET-NAME-TBD]/x'"), ["5:8: datasets[0].url: expected the name of a bucket"]),
    (BUCKET.replace("s3://bucket/x", "https://h/x?y=1"), ["5:8: datasets[0].url: a bucket's URL has no query"]),
    (BUCKET + "  anonymous: 1\n", ["6:14: datasets[0].anonymous: expected true or false; got 1"]),
    (BUCKET + "  anonymous: no\n", ["6:14: datasets[0].anonymous: expected true or false; got 'no'"]),
    (BUCKET + "  requester_pays: true\n", ["6:19: datasets[0].requester_pays: who pays must be known"]),
    (BUCKET + "  region: US East\n", ["6:11: datasets[0].region: expected the name of a region"]),
    (BUCKET.replace("s3:", "gs:") + "  region: us-east-1\n", ["6:11: datasets[0].region: only S3 asks for a region"]),
    # archives
    (HEAD + "- {id: a, source: empiar, entry: EMPIAR-x}\n", ["3:34: datasets[0].entry: expected a whole number"]),
    (HEAD + "- {id: a, source: idr}\n", ["3:3: datasets[0]: name images: [number, ...] or dataset: number"]),
    (HEAD + "- {id: a, source: idr, images: [1], dataset: 2}\n", ["3:46: datasets[0].dataset: name images: [number"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 728}\n", ["3:36: datasets[0].dandiset: expected six digits such as"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 000728, version: 1.0}\n", ["3:53: datasets[0].version: expected draft"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 000728, instance: mine}\n", ["3:54: datasets[0].instance: expected dandi"]),
    (HEAD + "- {id: a, source: dandi, dandiset: 000728, instance: 'https://'}\n", ["3:54: datasets[0].instance: expected"]),
    (HEAD + "- {id: a, source: aind}\n", ["3:3: datasets[0]: name assets: [name, ...] or filter"]),
    (HEAD + "- {id: a, source: aind, assets: [a/b]}\n", ["3:34: datasets[0].assets[0]: expected one name"]),
    (HEAD + "- {id: a, source: aind, bucket: '[TBD]', assets: [x]}\n", ["3:33: datasets[0].bucket: expected the name"]),
    (HEAD + "- {id: a, source: aind, filter: {after: 2024-13-01}}\n", ["3:41: datasets[0].filter.after: expected a date"]),
    (
        HEAD + "- {id: a, source: aind, filter: {after: 2024-04-02, before: 2024-04-02}}\n",
        ["3:61: datasets[0].filter.before: before must be later than after"],
    ),
    (HEAD + "- {id: a, source: open_data}\n", ["3:3: datasets[0].registry: is missing"]),
    # web
    (WEB, ["3:3: datasets[0].files: is missing"]),
    (WEB + "  files: []\n", ["5:10: datasets[0].files: expected at least one, this list is empty"]),
    (WEB + "  files: https://h/x\n", ["5:10: datasets[0].files: expected a list; got 'https://h/x'"]),
    (WEB + "  files: [https://h/x]\n", ["5:11: datasets[0].files[0]: expected a mapping; got 'https://h/x'"]),
    (WEB + "  scales: [0]\n  files: [{url: 'https://h/x'}]\n", ["5:11: datasets[0].scales: files are taken whole here"]),
    (WEB + "  files: [{path: x}]\n", ["5:11: datasets[0].files[0].url: is missing"]),
    (WEB + "  files: [{url: 'https://h/x', sze: 3}]\n", ["5:32: datasets[0].files[0].sze: unknown key; did you mean size?"]),
    (WEB + "  files: [{url: 'https://h/x', w: 0..1}]\n", ["5:32: datasets[0].files[0].w: unknown key"]),
    (WEB + "  files: [{url: 'https://h/x', md5: abc}]\n", ["5:37: datasets[0].files[0].md5: expected a md5 of 32"]),
    (WEB + "  files: [{url: 'https://h/x', crc32c: AAAA!A==}]\n", ["5:40: datasets[0].files[0].crc32c: expected a crc32c"]),
    (WEB + "  files: [{url: 'https://h/x', etag: W/x}]\n", ["5:38: datasets[0].files[0].etag: a weak entity tag"]),
    (WEB + "  files: [{url: 'https://h/x', etag: '\"\"'}]\n", ["5:38: datasets[0].files[0].etag: expected an entity tag"]),
    (WEB + "  files: [{url: 'https://h/{z}'}]\n", ["5:17: datasets[0].files[0].url: a placeholder has no values"]),
    (WEB + "  files: [{url: 'https://h/{z!r}'}]\n", ["5:17: datasets[0].files[0].url: a placeholder is {name}"]),
    (WEB + "  files: [{url: 'https://h/{z:099}'}]\n", ["5:17: datasets[0].files[0].url: a placeholder is {name}"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: 5..3}]\n", ["5:37: datasets[0].files[0].z: expected a range such as 0..15"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: 00..15}]\n", ["5:37: datasets[0].files[0].z: expected a range such as"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: 0..99999999}]\n", ["5:37: datasets[0].files[0].z: expected a range such as"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: 3}]\n", ["5:37: datasets[0].files[0].z: expected a range such as"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: x}]\n", ["5:37: datasets[0].files[0].z: expected a range such as"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: []}]\n", ["5:37: datasets[0].files[0].z: expected a range such as"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: [a, a]}]\n", ["5:37: datasets[0].files[0].z: a value stands twice"]),
    (WEB + "  files: [{url: 'https://h/{z}', z: [1.5]}]\n", ["5:37: datasets[0].files[0].z: expected a list of numbers"]),
    (
        WEB + "  files: [{url: 'https://h/{z}{w}', z: 0..1, path: '{w}', w: 0..1}]\n",
        ["5:52: datasets[0].files[0].path: {z} is not in the file's path"],
    ),
    (WEB + "  files: [{url: 'https://h/{z}/x', z: 0..1}]\n", ["5:17: datasets[0].files[0].url: {z} is not in the file's"]),
    (WEB + "  files: [{url: 'https://h/x', path: 'x{w}', w: 0..1}]\n", ["5:46: datasets[0].files[0].w: not in url"]),
    (
        WEB + "  files: [{url: 'https://h/{a}{b}', a: 0..9999, b: 0..9999}]\n",
        ["5:11: datasets[0].files[0]: stands for 100,000,000 files; at most 10,000,000"],
    ),
    (
        WEB + "  files:\n" + "  - {url: 'https://h/{a}', a: 1..6000000}\n" * 2,
        ["6:3: datasets[0].files: more than 10,000,000 files"],
    ),
    (
        WEB + "  files: [{url: 'https://h/{z}', z: 0..1, md5: 14fc2fb6a5061ea4ea9b69a090c327c9}]\n",
        ["5:48: datasets[0].files[0].md5: one digest cannot fit many files"],
    ),
    (WEB + "  files: [{url: 'https://h/x/'}]\n", ["5:17: datasets[0].files[0].url: the URL ends in no file name"]),
    (WEB + "  files: [{url: 'https://h/x', path: ../x}]\n", ["5:38: datasets[0].files[0].path: expected a relative path"]),
    (WEB + "  files: [{url: 'https://h/x', path: a/}]\n", ["5:38: datasets[0].files[0].path: expected the path of a file"]),
    (WEB + "  files: [{url: 'https://h/a%2F..%2Fx'}]\n", ["5:17: datasets[0].files[0].url: gives a file a path that leaves"]),
    (
        WEB + "  files:\n  - url: https://h/a/x.tif\n  - url: https://h/b/x.tif\n  - {url: 'https://h/c', path: x.tif}\n",
        [
            "7:10: datasets[0].files[1].url: goes to the same path as files[0]",
            "8:32: datasets[0].files[2].path: goes to the same path as files[0]",
        ],
    ),
    (
        WEB + "  files: [{url: 'https://h/{a}{b}', a: [1, 11], b: [1, 11]}]\n",
        ["5:17: datasets[0].files[0].url: goes to the same path as another of its own files"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "prefixes"), TABLE)
def test_what_is_told(text: str, prefixes: list[str], problems: Problems) -> None:
    told = problems(text)
    # the head of the table's own manifests may lack a version: keys above it were put in front
    assert len(told) == len(prefixes), told
    for message, prefix in zip(told, prefixes, strict=True):
        assert message.startswith(f"m.yaml:{prefix}"), message


def test_all_at_once_in_order_of_position(problems: Problems) -> None:
    told = problems("""\
        version: 1
        datasets:
        - id: a
          source: bucket
          url: ftp://x
          scales: [x]
        - id: a
          source: dandi
          dandiset: 12
          colour: red
        settings: {workers: 0}
        """)
    assert [message.split(": ")[0] for message in told] == [
        "m.yaml:5:8",
        "m.yaml:6:12",
        "m.yaml:7:7",
        "m.yaml:9:13",
        "m.yaml:10:3",
        "m.yaml:11:21",
    ]


def test_no_more_is_told_than_can_be_read(problems: Problems) -> None:
    told = problems("version: 1\ndatasets:\n" + "- {}\n" * (MAX_PROBLEMS + 5))
    assert len(told) == MAX_PROBLEMS + 1
    assert told[-1].endswith("and 5 more problems after this line; mend these first")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: the manifest cannot be read: No such file"):
        load_manifest(tmp_path / "nowhere.yaml", environ={})
    with pytest.raises(InputError, match="Is a directory"):
        load_manifest(tmp_path, environ={})


def test_the_file_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, environ={})
    assert caught.value.problems[0].file == str(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"version": 1, 2: 3}, "<manifest>:1:1: keys are text; got 2"),
        ({"version": object()}, "<manifest>:1:1: version: a object cannot stand in a manifest"),
        ({"version": 1, "datasets": [{"id": b"x"}]}, "<manifest>:1:1: datasets[0].id: a bytes cannot stand"),
        ({"version": 1, "datasets": [{"id": "a", "source": "idr", "images": [float("nan")]}]}, "expected a whole"),
        ({"version": 1, "datasets": [{"id": "a", "source": "idr", "images": [-float("inf")]}]}, "got -.inf"),
    ],
)
def test_objects_pass_the_same_checks(data: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest_from_object(data)
    assert message in str(caught.value)


def test_an_object_that_holds_itself_is_refused() -> None:
    data: dict[str, object] = {"version": 1}
    data["datasets"] = [data]
    with pytest.raises(ManifestError, match="64 levels"):
        manifest_from_object(data)


def test_key_paths() -> None:
    assert key_path(("datasets", 2, "crop", "shape")) == "datasets[2].crop.shape"
    assert key_path(("settings", "hosts", "ftp.ebi.ac.uk")) == 'settings.hosts["ftp.ebi.ac.uk"]'


def test_values_are_shown_bounded_and_printable() -> None:
    assert len(clipped("x" * 1000)) == 80
    assert clipped("a\x1b[31m\n") == "a\\x1b[31m\\n"
    assert shown({"a": 1}) == "a mapping"
    assert shown(None) == "null"


def test_the_same_problem_is_told_once() -> None:
    problem = Problem(file="m", line=1, column=1, path="", message="x")
    assert manifest_error([problem, problem]).problems == (problem,)
