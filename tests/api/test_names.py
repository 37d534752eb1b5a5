"""The public names of the package."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

import emasync


@pytest.mark.parametrize("name", emasync.__all__)
def test_public_names_are_there(name: str) -> None:
    found = getattr(emasync, name)
    assert found is not None
    assert not isinstance(found, ModuleType)
    assert name in dir(emasync)


def test_the_function_keeps_its_name_beside_the_package() -> None:
    importlib.import_module("emasync.plan.compile")
    assert callable(emasync.plan)
    from emasync import plan
    from emasync.plan import compile as module

    assert plan is emasync.plan
    assert isinstance(module, ModuleType)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pla'"):
        _ = emasync.pla
