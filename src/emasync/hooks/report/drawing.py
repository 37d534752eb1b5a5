"""Voxels → PNG: contrast stretched, segments in colours of their own, true proportions, a scale bar."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emasync.hooks.report.cutting import Cut
from emasync.volume.cache import Voxels

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 360
"""Pixels along the longest side of an array's pictures, at most."""

LEAST: Final = 200
"""Pixels along the longest side, at least: small arrays are shown larger."""

PERCENTILES: Final = (0.5, 99.5)
"""That become black and white."""

BAR_SHARE: Final = 0.4
"""Of the picture's width: the longest scale bar."""

_SAMPLED: Final = 1 << 18
"""Voxels that percentiles are told from."""

_BAR: Final = 4
"""Pixels: thickness of the scale bar, and its distance from the edges."""


class Contrast(NamedTuple):
    """Values that become black and white."""

    black: float
    white: float


class Bar(NamedTuple):
    """A scale bar.

    Attributes
    ----------
    label : str
        Its length, for people.
    pixels : int
    """

    label: str
    pixels: int


def contrast_of(cuts: Sequence[Cut]) -> Contrast:
    """One contrast for all planes of an array, from what is there of them; infinities and NaN do not count."""
    parts = [_sample(cut) for cut in cuts]
    values = np.concatenate(parts) if parts else np.empty(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return Contrast(0.0, 1.0)
    with np.errstate(over="ignore"):
        black, white = map(float, np.percentile(values, PERCENTILES))
    return Contrast(black, white) if white > black else Contrast(black, black + 1.0)


def _sample(cut: Cut) -> npt.NDArray[np.float64]:
    seen = real(cut.voxels[cut.there])
    return seen[:: max(1, len(seen) // _SAMPLED)].astype(np.float64).reshape(-1)


def real(voxels: Voxels) -> Voxels:
    """Voxels, or the magnitudes of complex ones."""
    return np.abs(voxels) if voxels.dtype.kind == "c" else voxels


def grey(voxels: Voxels, contrast: Contrast) -> npt.NDArray[np.uint8]:
    """Voxels as brightness."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (real(voxels).astype(np.float64) - contrast.black) / (contrast.white - contrast.black) * 255.0
    return np.nan_to_num(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def coloured(voxels: Voxels) -> npt.NDArray[np.uint8]:
    """Names of segments as colours, the same name in the same colour everywhere; 0 is background."""
    mixed = voxels.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: neighbours lie far apart
    channels = [(mixed >> np.uint64(shift)) & np.uint64(0x7F) for shift in (57, 47, 37)]
    colours = np.stack(channels, axis=-1).astype(np.uint8) + np.uint8(96)
    return np.where((voxels == 0)[..., np.newaxis], np.uint8(0), colours)


class Side(NamedTuple):
    """Rows or columns of a plane.

    Attributes
    ----------
    voxels : int
    step : float
        From one to the next: nanometres; or 1, where that is not known of all axes.
    """

    voxels: int
    step: float

    @property
    def extent(self) -> float:
        """From edge to edge."""
        return self.voxels * self.step


def pixels_for(sides: Iterable[Side]) -> float:
    """Pixels a nanometre (or voxel) for all planes of an array: they are drawn at one scale, true to the specimen."""
    longest = max(sides, key=lambda side: side.extent)
    return min(SIDE, max(LEAST, longest.voxels)) / longest.extent


def bar_of(whole_nm: float, pixels_a_nm: float) -> Bar:
    """The longest bar of a round length that fits into a picture of so many nanometres."""
    exponent = 10.0 ** np.floor(np.log10(whole_nm * BAR_SHARE))
    length_nm = max(factor * exponent for factor in (1, 2, 5) if factor * exponent <= whole_nm * BAR_SHARE)
    return Bar(length(length_nm), max(1, round(length_nm * pixels_a_nm)))


def length(size_nm: float) -> str:
    """A length as people read it."""
    for unit, unit_nm in (("mm", 1e6), ("\u00b5m", 1e3), ("nm", 1.0)):
        if size_nm >= unit_nm or unit == "nm":
            return f"{size_nm / unit_nm:.4g} {unit}"
    raise AssertionError("the last unit ends the loop")


def png(cut: Cut, size: tuple[int, int], *, contrast: Contrast | None, bar: Bar | None) -> bytes:
    """A picture; what is not here is transparent.

    Parameters
    ----------
    cut : Cut
    size : (int, int)
        Width and height.
    contrast : Contrast or None
        None for segments.
    bar : Bar or None
    """
    picture = _picture(cut, contrast, size)
    if bar is not None:
        _draw(picture, bar)
    out = io.BytesIO()
    picture.save(out, format="PNG", optimize=True)
    return out.getvalue()


def _picture(cut: Cut, contrast: Contrast | None, size: tuple[int, int]) -> Image:
    from PIL import Image  # noqa: PLC0415 - an extra

    near, smooth = Image.Resampling.NEAREST, Image.Resampling.BOX
    shrinks = size[0] < cut.there.shape[1]
    pixels = coloured(cut.voxels) if contrast is None else grey(cut.voxels, contrast)
    picture = Image.fromarray(pixels).resize(size, near if contrast is None or not shrinks else smooth)
    if cut.there.all():
        return picture
    picture = picture.convert("LA" if picture.mode == "L" else "RGBA")
    picture.putalpha(Image.fromarray(cut.there).convert("L").resize(size, near))
    return picture


def _draw(picture: Image, bar: Bar) -> None:
    """White with a black edge, in the lower right corner."""
    from PIL import ImageDraw  # noqa: PLC0415 - an extra

    draw = ImageDraw.Draw(picture)
    right, bottom = picture.width - _BAR - 1, picture.height - _BAR - 1
    colours: dict[str, Any] = {"fill": "white", "outline": "black"}  # Any: of Pillow
    draw.rectangle((right - bar.pixels, bottom - _BAR, right, bottom), **colours)
