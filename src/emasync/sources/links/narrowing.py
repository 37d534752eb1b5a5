"""What is chosen of a link's datasets: keys of a manifest, said beside the link."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from emasync.errors import InputError
from emasync.formats.json_document import Json
from emasync.manifest.crop import AXES
from emasync.manifest.problems import shown
from emasync.sources.links.interface import Draft

_SPAN = re.compile(r"(?P<start>-?[0-9]{1,18}):(?P<stop>-?[0-9]{1,18})")
_CROP: Final = re.compile(r"(?:(?P<at>center|random):)?(?P<box>[-0-9:,]+)(?:@(?P<scale>[0-9]{1,3}))?")
_CROP_RULE: Final = "expected Z0:Z1,Y0:Y1,X0:X1, center:Z,Y,X or random:Z,Y,X, and @LEVEL behind it for another level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What is wanted of the datasets.

    Attributes
    ----------
    include, exclude : tuple of str
        Globs; ``include`` takes the place of what the link itself narrows to.
    arrays : tuple of str
    scales : tuple of int
    crop : str or None
        ``Z0:Z1,Y0:Y1,X0:X1[@LEVEL]``, ``center:Z,Y,X[@LEVEL]`` or ``random:Z,Y,X[@LEVEL]``.
    path : str or None
        Where the one file of a link goes below the dataset's folder.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    scales: tuple[int, ...] = ()
    crop: str | None = None
    path: str | None = None

    @property
    def anything(self) -> bool:
        """Whether it narrows at all."""
        return self != Narrowing()

    def applied(self, drafts: Sequence[Draft], ids: Sequence[str]) -> tuple[Draft, ...]:
        """The drafts, narrowed.

        A crop is the first dataset's; the others take it over in physical space, because a box in voxels means
        something else in each of them.

        Parameters
        ----------
        drafts : sequence of Draft
        ids : sequence of str
            Of the datasets, in the same order.

        Raises
        ------
        InputError
            A crop that cannot be read; a path where there is more than one file.
        """
        crops: list[Json] = [] if self.crop is None else [parse_crop(self.crop)]
        crops += [{"same_as": ids[0]}] * (len(drafts) - 1) if crops else []
        files = [_with_path(drafts, self.path)] if self.path is not None else drafts
        return tuple(
            replace(draft, entry={**draft.entry, **self._keys(), **({"crop": crops[at]} if crops else {})})
            for at, draft in enumerate(files)
        )

    def _keys(self) -> dict[str, Json]:
        lists: dict[str, Sequence[str] | Sequence[int]] = {
            "include": self.include,
            "exclude": self.exclude,
            "arrays": self.arrays,
            "scales": self.scales,
        }
        return {key: list(values) for key, values in lists.items() if values}


def _with_path(drafts: Sequence[Draft], path: str) -> Draft:
    files = drafts[0].entry.get("files") if len(drafts) == 1 else None
    if not isinstance(files, list) or len(files) != 1 or not isinstance(files[0], dict):
        raise InputError(f"--path {shown(path)} names one file, and this link is more than one; leave it out")
    escaped = path.replace("{", "{{").replace("}", "}}")
    return replace(drafts[0], entry={**drafts[0].entry, "files": [{**files[0], "path": escaped}]})


def parse_crop(text: str) -> dict[str, Json]:
    """Read a crop as the command line has it; z, y, x, half-open.

    Raises
    ------
    InputError
        Something else.
    """
    match = _CROP.fullmatch(text)
    parts = match["box"].split(",") if match is not None else []
    if match is None or len(parts) != AXES:
        raise InputError(f"crop {shown(text)}: {_CROP_RULE}")
    scale: dict[str, Json] = {"scale": int(match["scale"])} if match["scale"] else {}
    if match["at"] is not None:
        if not all(part.isdecimal() for part in parts):
            raise InputError(f"crop {shown(text)}: {_CROP_RULE}")
        return {"at": match["at"], "shape": [int(part) for part in parts], **scale}
    spans = [_SPAN.fullmatch(part) for part in parts]
    bounds = [(int(span["start"]), int(span["stop"])) for span in spans if span is not None]
    if len(bounds) != AXES or any(start >= stop for start, stop in bounds):
        raise InputError(f"crop {shown(text)}: {_CROP_RULE}, each span with a voxel in it")
    return {"start": [low for low, _ in bounds], "shape": [high - low for low, high in bounds], **scale}


def parse_scales(text: str) -> tuple[int, ...]:
    """Read levels: ``3`` or ``0,3``.

    Raises
    ------
    InputError
        Something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"scales {shown(text)}: expected levels such as 3 or 0,3; 0 is the finest")
    return tuple(int(part) for part in parts)
