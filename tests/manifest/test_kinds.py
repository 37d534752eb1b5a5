"""Sources of other packages bring their own entry model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Literal, get_args

import pytest

from emasync.manifest.entry import Entry
from emasync.manifest.fields import Positive
from emasync.manifest.kinds import BUILT_IN, built_in_model, known_sources
from emasync.manifest.load import manifest_from_object
from emasync.registry import SOURCES


class ShelfEntry(Entry):
    source: Literal["shelf"] = "shelf"
    number: Positive


class ShelfSource:
    entry_model = ShelfEntry


class Modelless:
    pass


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = {"shelf": ShelfSource, "bare": Modelless}

    class Point(EntryPoint):
        def load(self) -> object:
            return known[self.name]

    points: list[EntryPoint] = [Point(name, f"x:{name}", SOURCES.group) for name in known]
    points.append(EntryPoint("broken", "no_such_module_anywhere:Source", SOURCES.group))
    found = "importlib.metadata.entry_points"
    monkeypatch.setattr(found, lambda *, group: [point for point in points if point.group == group])
    known_sources.cache_clear()
    yield
    known_sources.cache_clear()


def test_a_plug_in_reads_its_own_keys() -> None:
    data = {"version": 1, "datasets": [{"id": "a", "source": "shelf", "number": 3, "scales": [1]}]}
    assert manifest_from_object(data).datasets[0] == ShelfEntry(id="a", number=3, scales=(1,)).with_layout(
        manifest_from_object(data).layout
    )


def test_its_mistakes_are_told_like_all_others(refusal: Callable[..., list[str]]) -> None:
    assert refusal(source="shelf", number=0) == ["number: expected at least 1; got 0"]


def test_plug_ins_that_cannot_be_used(refusal: Callable[..., list[str]]) -> None:
    assert refusal(source="bare")[0].startswith("source: this plug-in has no entry_model")
    assert refusal(source="broken")[0].startswith("source: this plug-in cannot be loaded: No module named")


def test_unknown_names_list_plug_ins_too(refusal: Callable[..., list[str]]) -> None:
    assert "open_data, shelf, bare, broken" in refusal(source="shelv")[0]


def test_all_sources_of_the_registry_can_be_written() -> None:
    assert set(BUILT_IN) == set(SOURCES.built_in)
    for source in BUILT_IN:
        assert get_args(built_in_model(source).model_fields["source"].annotation) == (source,)
