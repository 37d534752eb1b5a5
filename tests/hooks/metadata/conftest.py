"""Roots that shipped manifests leave against the twins of their archives, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hooks.metadata.tables import Root

from emasync.testing.demonstration import chosen, read_shipped, run_again
from emasync.testing.shipped.stand_in import stand_in


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Root]]:
    """Gives the root of a shipped manifest, by its name."""
    made: dict[str, Root] = {}
    folder = tmp_path_factory.mktemp("shipped")
    with stand_in() as twins, twins.twin.serve() as archive:

        def root(name: str) -> Root:
            if name not in made:
                (entry,) = chosen([name])
                path: Path = folder / name
                receipt = run_again(read_shipped(entry, twins, archive.url), path)
                assert receipt.ok, receipt.failures
                made[name] = Root(path)
            return made[name]

        yield root
