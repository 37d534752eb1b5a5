"""Pictures, and what stands below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PNG: Final = "image/png"
SVG: Final = "image/svg+xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture.

    Attributes
    ----------
    data : bytes
    alt : str
        For who does not see it.
    caption : str
    kind : str
        Media type of `data`.
    """

    data: bytes
    alt: str
    caption: str
    kind: str = PNG


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPictures:
    """An array in pictures.

    Attributes
    ----------
    name : str
    about : str
        Level, shape, voxel size, type.
    planes : tuple of Picture
        Or the traces of a recording.
    coverage : Picture or None
        Of an array that is here in part.
    note : str or None
        Why something is not shown.
    """

    name: str
    about: str
    planes: tuple[Picture, ...] = ()
    coverage: Picture | None = None
    note: str | None = None

    @property
    def size_bytes(self) -> int:
        """Of all its pictures."""
        return sum(len(picture.data) for picture in (*self.planes, self.coverage) if picture is not None)
