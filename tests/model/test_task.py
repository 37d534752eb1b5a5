from __future__ import annotations

import pytest

from emasync.model.digest import Digest, Validator
from emasync.model.grid import ChunkGrid
from emasync.model.packing import pack_digests, pack_validator
from emasync.model.task import Output, Request, Task, TaskSetSpec, escape_for_log, partial_name


def test_a_set_is_the_same_for_two_compiles_and_another_for_another_grid() -> None:
    spec = TaskSetSpec(dataset="d", asset="a", base="s3://b/p", destination="d")
    grid = ChunkGrid(start=(0,), shape=(3,), prefix="")

    assert spec.identity == TaskSetSpec(dataset="d", asset="a", base="s3://b/p", destination="d", rank=3).identity
    assert spec.identity != TaskSetSpec(dataset="d", asset="a", base="s3://b/p", destination="d", grid=grid).identity
    assert spec.identity != TaskSetSpec(dataset="d", asset="a", base="s3://b/p", destination="e").identity


@pytest.mark.parametrize(
    ("spec", "key", "location", "place"),
    [
        (TaskSetSpec(dataset="d", base="s3://b/p", destination="d/x"), "k k", "s3://b/p/k k", "d/x/k k"),
        (
            TaskSetSpec(dataset="d", base="https://h", destination="d", encoded=True),
            "/a%20b?c=1",
            "https://h/a%20b?c=1",
            "d//a%20b?c=1",
        ),
        (
            TaskSetSpec(
                dataset="d", base="s3://b", destination="", grid=ChunkGrid(start=(5,), shape=(3,), prefix="s/")
            ),
            1,
            "s3://b/s/6",
            "s/6",
        ),
    ],
)
def test_members_are_found_and_placed(spec: TaskSetSpec, key: str | int, location: str, place: str) -> None:
    assert str(spec.locate(key)) == location
    assert spec.place(key) == place


def test_a_mapped_path_replaces_the_key() -> None:
    assert TaskSetSpec(dataset="d", base="s3://b", destination="d").place("k", "mapped") == "d/mapped"


def test_partial_names_tell_sets_keys_and_generations_apart() -> None:
    names = {partial_name(set_id, key, number) for set_id in (1, 2) for key in ("a", "b", 3) for number in (0, 1)}

    assert len(names) == 12
    assert all("/" not in name for name in names)


def test_names_from_the_network_are_printed_without_harm() -> None:
    assert escape_for_log("a b/c\x1b[31m\né") == "a b/c%1B[31m%0A%C3%A9"


def test_a_task_says_what_its_row_says() -> None:
    digest, hint = Digest("md5", "00ff"), Validator(etag='"x%\n"', generation="7")
    spec = TaskSetSpec(dataset="d", base="https://h.org/a", destination="d/x", absent_ok=True)
    task = Task(spec, 3, "k k/ö", size_bytes=5, published=pack_digests((digest,)), listed=pack_validator(hint))

    assert (task.location, str(task.location)) == (spec.locate("k k/ö"), "https://h.org/a/k%20k/%C3%B6")
    assert (task.dataset, task.destination, task.absent_ok) == ("d", "d/x/k k/ö", True)
    assert (task.digests, task.hint) == ((digest,), hint)
    assert (task.request, task.outputs) == (Request(task.location), (Output("d/x/k k/ö"),))
    assert task._replace(path="mapped").destination == "d/x/mapped"
    assert (Task(spec, 3, "k").digests, Task(spec, 3, "k").hint) == ((), Validator())
