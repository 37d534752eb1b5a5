"""One loopback archive in the place of all archives that the shipped manifests name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from emasync.testing.aind import exaspim
from emasync.testing.archive_twin import ArchiveTwin, together
from emasync.testing.empiar import retina
from emasync.testing.epfl import hippocampus
from emasync.testing.ephys import benchmark
from emasync.testing.idr import u2os
from emasync.testing.pasteur import interhemispheric
from emasync.testing.shipped import assets, files, hemibrain, openorganelle
from emasync.testing.shipped.truth import Truth
from emasync.testing.visual_coding import dandiset


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """Everything that the shipped manifests name, in little, and what they must leave on disk.

    Attributes
    ----------
    twin : ArchiveTwin
    truths : mapping of str to Truth
        By dataset id.
    facts : mapping of str to str
        What shipped manifests say of bytes that only the true archives have, and what holds for those in their place.
    """

    twin: ArchiveTwin
    truths: Mapping[str, Truth]
    facts: Mapping[str, str]

    def adapted(self, manifest: str) -> str:
        """Text of a shipped manifest, with what holds here."""
        for said, true in self.facts.items():
            manifest = manifest.replace(said, true)
        return manifest


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Make all content, in a folder that is gone afterwards; takes a second or two."""
    with TemporaryDirectory(prefix="emasync-archive-") as folder:
        yield _made(Path(folder))


def _made(folder: Path) -> StandIn:
    """Files in HDF5 are left out where h5py is not installed."""
    tiles, brains, sessions, mice = (folder / name for name in ("tiles", "brains", "sessions", "mice"))
    twin = together(
        hippocampus(),
        retina(),
        u2os(),
        openorganelle.twin(),
        hemibrain.twin(),
        dandiset(mice, hdf5=find_spec("h5py") is not None),
        exaspim(tiles),
        interhemispheric(brains),
        benchmark(sessions, simulated=False),
    )
    truths = {
        "epfl-hippocampus": files.epfl_truth(twin.store),
        "empiar-11759": files.empiar_truth(twin.store),
        "idr-u2os": files.idr_truth(twin.store),
        "visual-coding": files.dandi_truth(mice),
        **openorganelle.truths(twin.store),
        **hemibrain.truths(),
        **assets.truths(tiles, brains, sessions),
    }
    return StandIn(twin=twin, truths=truths, facts=files.epfl_facts(twin.store))
