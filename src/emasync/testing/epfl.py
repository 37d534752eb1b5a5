"""EPFL's hippocampus in the layout of the true files, of any size: pages and directories by turns, no calibration."""

from __future__ import annotations

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.pixels import DriftingVolume
from emasync.testing.sparse import SparseStore
from emasync.testing.tiff import itk_stack
from emasync.testing.volumes import Shape

HOST = "documents.epfl.ch"
FOLDER = f"{HOST}/groups/c/cv/cvlab-unit/www/data/ ElectronMicroscopy_Hippocampus"
"""As the server sees it, decoded: the name begins with a space."""

TRUE_SHAPE = (1065, 1536, 2048)
"""Pages, rows, columns of ``volumedata.tif``: 3,353,674,357 bytes."""

SMALL_SHAPE = (60, 96, 128)

_PARTS = ("training.tif", "training_groundtruth.tif", "testing.tif", "testing_groundtruth.tif")


def hippocampus(shape: Shape = SMALL_SHAPE, *, seed: int = 5) -> ArchiveTwin:
    """The five files; nothing of them is kept, so that :data:`TRUE_SHAPE` costs no more than the small one.

    Parameters
    ----------
    shape : tuple of int
        Of ``volumedata.tif``; the others have half its rows and columns, and 165 of 1065 pages.
    seed : int
    """
    volumes = volumes_of(shape, seed)
    return ArchiveTwin(
        store=SparseStore({f"{FOLDER}/{name}": itk_stack(volume) for name, volume in volumes.items()}),
        stands_for={f"https://{HOST}": HOST},
        truth={f"{FOLDER}/{name}": volume.whole() for name, volume in volumes.items()} if shape != TRUE_SHAPE else {},
    )


def volumes_of(shape: Shape, seed: int = 5) -> dict[str, DriftingVolume]:
    """Voxels by name of the file; for parts of volumes that no memory holds."""
    pages, rows, columns = shape
    part = (max(1, pages * 165 // 1065), rows // 2, columns // 2)
    found = {"volumedata.tif": DriftingVolume(shape, "uint8", seed)}
    return found | {name: DriftingVolume(part, "uint8", seed + 1 + number) for number, name in enumerate(_PARTS)}
