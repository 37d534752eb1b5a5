"""Discovery of volumes: one ``info`` document each, and nothing is listed."""

from __future__ import annotations

from collections.abc import Sequence

from emasync.errors import SourceError
from emasync.formats.interface import (
    Answer,
    ArrayDescription,
    Axis,
    Found,
    LevelDescription,
    MultiscaleDescription,
    Need,
    Transform,
)
from emasync.formats.precomputed.info import INFO, ITEM_BYTES, Scale, Volume, parse_info
from emasync.model.task import escape_for_log

_UNIT = "nanometer"


class PrecomputedWalk:
    """Describes the volumes whose folders are named (:class:`~emasync.formats.interface.Walk`).

    Parameters
    ----------
    start : sequence of str
        Folders of volumes below the tree's base; the base itself by default. Volumes inside a folder that is none are
        not looked for: that would list every chunk there is.
    """

    def __init__(self, start: Sequence[str] = ("",)) -> None:
        self._open = {Need.document(f"{path}/{INFO}" if path else INFO): path for path in start}
        self._fresh = tuple(self._open)
        self._found: list[Found] = []

    def __repr__(self) -> str:
        return f"<PrecomputedWalk: {len(self._open)} needs open>"

    def needs(self) -> tuple[Need, ...]:
        """What can be asked for now; each need is handed out once."""
        fresh, self._fresh = self._fresh, ()
        return fresh

    def feed(self, need: Need, answer: Answer) -> None:
        """Take the answer to `need`.

        Raises
        ------
        FormatError
            A document breaks a rule.
        SourceError
            There is no volume.
        """
        folder = self._open.pop(need)
        if not isinstance(answer, bytes):
            place = escape_for_log(folder) or "the base"
            raise SourceError(
                f"{place}: no precomputed volume there, because it has no {INFO} document; check the url and arrays",
                location=need.key,
            )
        volume = parse_info(need.key, answer, folder)
        self._found.append(describe_volume(folder, volume, {need.key: answer}))

    def found(self) -> tuple[Found, ...]:
        """Descriptions completed since the last call."""
        found, self._found = tuple(self._found), []
        return found

    @property
    def done(self) -> bool:
        """Whether no need is open."""
        return not self._open

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing is passed over."""
        return ()


def describe_volume(folder: str, volume: Volume, documents: dict[str, bytes]) -> MultiscaleDescription:
    """A volume as an image of several levels, axes z, y, x behind the channels where there are several.

    Parameters
    ----------
    folder : str
        Below the tree's base.
    volume : Volume
    documents : dict of str to bytes
        The ``info`` document as received.
    """
    names = ("z", "y", "x") if volume.channels == 1 else ("c", "z", "y", "x")
    axes = tuple(Axis(name, "space", _UNIT) if name != "c" else Axis(name, "channel") for name in names)
    levels = tuple(
        LevelDescription(
            number=number, array=_describe(volume, scale, names), transform=_place(volume, scale), exact=True
        )
        for number, scale in enumerate(volume.scales)
    )
    flat = (1.0,) * len(names), (0.0,) * len(names)
    return MultiscaleDescription(
        path=folder,
        version="precomputed",
        axes=axes,
        levels=levels,
        transform=Transform(scale=flat[0], translation=flat[1]),
        documents=documents,
    )


def _describe(volume: Volume, scale: Scale, names: tuple[str, ...]) -> ArrayDescription:
    lead = (volume.channels,) if volume.channels > 1 else ()
    return ArrayDescription(
        path=scale.path,
        format="precomputed",
        shape=(*lead, *scale.size),
        chunks=(*lead, *scale.chunk),
        dtype=volume.dtype,
        itemsize_bytes=ITEM_BYTES[volume.dtype],
        fill_value=0,
        axes=names,
        encoding="voxels",
        origin=(*(0 for _ in lead), *scale.offset),
        sharding=scale.sharding,
    )


def _place(volume: Volume, scale: Scale) -> Transform:
    """Voxel n fills [n, n + 1) times the resolution: its centre lies half a voxel further."""
    lead = volume.channels > 1
    centres = tuple(size * (at + 0.5) for size, at in zip(scale.resolution, scale.offset, strict=True))
    return Transform(
        scale=(1.0, *scale.resolution) if lead else scale.resolution,
        translation=(0.0, *centres) if lead else centres,
    )
