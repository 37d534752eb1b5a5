"""Refusals of what all datasets may say: line:column: path: what is right (``@`` is ``datasets[0].``)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

HEAD = "version: 1\ndatasets:\n"
BUCKET = HEAD + "- id: a\n  source: bucket\n  url: s3://bucket/x\n"

TABLE = [
    # what all datasets share
    (
        BUCKET.replace("id: a", "id: 7") + "- {id: 7, source: idr, images: [1]}\n",
        ["6:8: datasets[1].id: is also the id"],
    ),
    (BUCKET + "  metadata: {license: ''}\n", ["6:23: @metadata.license: expected some text; got ''"]),
    (BUCKET + "  metadata: [1]\n", ["6:13: @metadata: expected a mapping; got a list"]),
    (BUCKET + "  colour: red\n", ["6:3: @colour: unknown key; known here: allow_missing, anonymous,"]),
    (BUCKET + "  format: tif\n", ["6:11: @format: expected one of auto, zarr, n5,"]),
    (BUCKET + "  role: picture\n", ["6:9: @role: expected 'image' or 'labels'; got 'picture'"]),
    (BUCKET + "  scales: [-1]\n", ["6:12: @scales[0]: expected at least 0; got -1"]),
    (BUCKET + "  scales: 3\n", ["6:11: @scales: expected a list; got 3"]),
    (BUCKET + "  scales: [3, 3]\n", ["6:11: @scales: each of them once"]),
    (BUCKET + "  arrays: [../x]\n", ["6:12: @arrays[0]: expected a relative path"]),
    (BUCKET + "  arrays: [/x]\n", ["6:12: @arrays[0]: expected a relative path"]),
    (BUCKET + "  include: ['[a', 'ok', 'b/']\n", ["6:13: @include[0]: not a glob", "6:25: @include[2]"]),
    (BUCKET + "  include: data\n", ["6:12: @include: expected a list; got 'data'"]),
    (BUCKET + "  allow_missing: ['a**']\n", ["6:19: @allow_missing[0]: not a glob"]),
    (BUCKET + "  select: {z: 0}\n", ["6:11: @select: z, y and x are chosen with crop"]),
    (BUCKET + "  select: {c: x}\n", ["6:15: @select.c: expected a whole number; got 'x'"]),
    (BUCKET + "  series: {spacing: 0}\n", ["6:11: @series.pattern: is missing", "6:21: @series.spacing"]),
    (BUCKET + "  metadata: {axes: zyq}\n", ["6:20: @metadata.axes: expected letters of tczyx"]),
    (BUCKET + "  metadata: {voxel_size: [5, 5]}\n", ["6:26: @metadata.voxel_size: expected one number"]),
    (BUCKET + "  metadata: {voxel_size: [5, x, 5]}\n", ["6:30: @metadata.voxel_size[1]: expected a number"]),
    (BUCKET + "  metadata: {voxel_size: [.inf, 5, 5]}\n", ["6:27: @metadata.voxel_size[0]: expected a number"]),
    (BUCKET + "  metadata: {unit: parsnip}\n", ["6:20: @metadata.unit: expected a unit of length"]),
    # crops
    (BUCKET + "  crop: 5\n", ["6:9: @crop: expected {start, shape}, {at, shape} or {same_as}"]),
    (BUCKET + "  crop: {start: [0, 0, 0]}\n", ["6:9: @crop.shape: is missing"]),
    (BUCKET + "  crop: {start: [0, 0, 0], shape: [1, -2, 3]}\n", ["6:39: @crop.shape[1]: expected at least 1"]),
    (BUCKET + "  crop: {start: [0, 0, 0], shape: [1, 2]}\n", ["6:35: @crop.shape: expected three whole"]),
    (BUCKET + "  crop: {start: 0, shape: [1, 2, 3]}\n", ["6:17: @crop.start: expected three whole numbers"]),
    (BUCKET + "  crop: {start: [0, 0, 0.5], shape: [1, 2, 3]}\n", ["6:24: @crop.start[2]: expected a whole"]),
    (
        BUCKET + "  crop: {start: [0, 0, 0], shap: [1, 2, 3]}\n",
        ["6:9: @crop.shape: is", "6:28: @crop.shap: unknown key; did you mean shape?"],
    ),
    (BUCKET + "  crop: {at: middle, shape: [1, 2, 3]}\n", ["6:14: @crop.at: expected 'random' or 'center'"]),
    (BUCKET + "  crop: {at: center, seed: 1, shape: [1, 2, 3]}\n", ["6:28: @crop.seed: seed belongs to at: random"]),
    (
        BUCKET + "  crop: {at: random, shape: [9, 9, 9], within: {start: [0, 0, 0], shape: [8, 9, 9]}}\n",
        ["6:29: @crop.shape: does not fit into within"],
    ),
    (
        BUCKET + "  crop: {at: random, shape: [1, 1, 1], min_nonzero: 2}\n",
        ["6:53: @crop.min_nonzero: expected at most"],
    ),
    (BUCKET + "  crop: {same_as: b}\n", ["6:19: @crop.same_as: names no dataset of this manifest; got 'b'"]),
    (BUCKET + "  crop: {same_as: a}\n", ["6:19: @crop.same_as: leads back to this dataset"]),
    (BUCKET + "  crop: {same_as: b, scale: 1}\n", ["6:19: @crop.same_as: names no", "6:22: @crop.scale: unknown key"]),
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
    (
        BUCKET + "  format: tiff\n  crop: {start: [0, 0, 0], shape: [1, 1, 1]}\n",
        ["7:9: @crop: crop cannot be applied to format tiff"],
    ),
    (BUCKET + "  format: raw\n  scales: [0]\n", ["7:11: @scales: scales cannot be applied to format raw"]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_what_is_told(text: str, expected: list[str], problems: Callable[[str], list[str]]) -> None:
    told = problems(text)
    assert len(told) == len(expected), told
    for message, prefix in zip(told, expected, strict=True):
        assert message.startswith("m.yaml:" + prefix.replace("@", "datasets[0].")), message
