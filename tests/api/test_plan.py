"""Plans from Python: numbers at once, objects one by one, nothing left behind."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

import emasync
from emasync.api.preview import room_of
from emasync.errors import InputError


@pytest.fixture
def described(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number:02d}.bin").write_bytes(bytes(number))
    return {"version": 1, "datasets": [{"id": "all", "source": "bucket", "url": f"file://{folder}"}]}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_plan_is_numbers_and_objects(described: dict[str, Any], tmp_path: Path, temporary: Path) -> None:
    root = tmp_path / "data"
    with emasync.plan(described, root=root) as plan:
        assert (plan.objects, plan.bytes) == (25, sum(range(25)))
        assert plan.failures == ()
        assert plan.problem is None
        found = {item.destination: item.size_bytes for item in plan}
        assert found == {f"all/{number:02d}.bin": number for number in range(25)}
        assert [item.location for item in plan] == [f"file://{tmp_path}/source/{n:02d}.bin" for n in range(25)]
    assert list(temporary.iterdir()) == []
    assert not root.exists()


def test_a_plan_nobody_closes_goes_with_its_last_reference(described: dict[str, Any], temporary: Path) -> None:
    plan = emasync.plan(described)
    assert len(list(temporary.iterdir())) == 1
    del plan
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_plan_that_fails_names_why(described: dict[str, Any], temporary: Path) -> None:
    described["datasets"][0]["include"] = ["*.tif"]
    with emasync.plan(described) as plan:
        (failure,) = plan.failures
    assert "include" in failure.message
    with pytest.raises(InputError):
        emasync.plan({"version": 2})
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_plan_is_compared_with_the_guards(described: dict[str, Any]) -> None:
    with emasync.plan(described, options=emasync.RunOptions(max_total_bytes=10)) as plan:
        assert plan.problem is not None
        assert "max_total is 10 bytes" in plan.problem


def test_room_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert room_of(tmp_path / "a" / "b").free_bytes > 0
