"""Keys of slices."""

from __future__ import annotations

import pytest

from emasync.model.digest import Span
from emasync.model.slices import parse_slice, slice_key
from emasync.model.task import Output, Request, Task, TaskSetSpec

SPANS = [Span(0, 5), Span(9, 10), Span(10, 1000), Span(2**40, 2**40 + 7)]


@pytest.mark.parametrize("name", ["0a3f.shard", "a@b/1+2", ""])
def test_keys_sort_as_slices_lie_and_are_read_back(name: str) -> None:
    keys = [slice_key(name, span) for span in SPANS]
    assert sorted(keys) == keys
    assert [parse_slice(key) for key in keys] == [(name, span) for span in SPANS]


@pytest.mark.parametrize("key", ["", "a", "a@1", "a@x+1"])
def test_other_keys_are_none(key: str) -> None:
    with pytest.raises(ValueError, match=r"int|literal"):
        parse_slice(key)


def test_a_task_asks_for_its_slice_of_the_object() -> None:
    spec = TaskSetSpec(dataset="d", base="gs://b/v/8", destination="d", slices="gzip")
    task = Task(spec, 1, slice_key("0a.shard", Span(5, 9)), "8/0-1_0-1_0-1")
    assert task.request == Request(spec.place_of_keys.join("0a.shard"), Span(5, 9))
    assert task.outputs == (Output("d/8/0-1_0-1_0-1", transform="gunzip"),)
    raw = TaskSetSpec(dataset="d", base="gs://b/v/8", destination="d", slices="raw")
    assert (
        len({spec.identity, raw.identity, TaskSetSpec(dataset="d", base="gs://b/v/8", destination="d").identity}) == 3
    )
