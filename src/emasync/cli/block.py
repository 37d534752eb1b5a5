"""``emasync block``: one block of a volume, as figures or as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from emasync import api
from emasync.errors import InputError
from emasync.model.task import escape_for_log


def block(
    root: Annotated[Path, typer.Argument(help="The root of earlier runs.")],
    dataset: Annotated[str, typer.Argument(metavar="ID", help="A dataset of it.")],
    *,
    start: Annotated[str, typer.Option(help="First voxel, source coordinates: Z,Y,X.")],
    shape: Annotated[str, typer.Option(help="Voxels: Z,Y,X.")],
    asset: Annotated[str | None, typer.Option(help="Where the dataset has several.")] = None,
    array: Annotated[str | None, typer.Option(help="Where there are several.")] = None,
    scale: Annotated[int, typer.Option(help="Level, 0 for the finest.")] = 0,
    select: Annotated[list[str] | None, typer.Option(help="AXIS=POSITION, such as t=0; may be repeated.")] = None,
    pad: Annotated[str, typer.Option(help="Beyond the array: error, constant, edge, reflect, symmetric, wrap.")] = (
        "error"
    ),
    lazy: Annotated[bool, typer.Option("--lazy", help="Fetch chunks that are planned and not here.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the block there, as .npy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read one block: print its shape, type and figures, or write it to a file for numpy.

    Exit codes: 0 read; 1 voxels are not here, damaged or out of bounds, or several arrays are meant; 2 no such dataset,
    or the command line is wrong; 4 disk full, no permission.
    """
    volume = api.open_volume(root, dataset, asset, array, scale, select=_selected(select or ()), lazy=lazy)
    voxels = volume.read(_numbers("--start", start), _numbers("--shape", shape), pad=pad)  # type: ignore[arg-type]
    if out is not None:
        api.save_block(out, voxels)
    told: dict[str, Any] = {  # Any: JSON
        "volume": "/".join(part for part in (volume.array.dataset, volume.array.asset, volume.array.array) if part),
        "axes": list(volume.axes),
        "shape": list(voxels.shape),
        "dtype": str(voxels.dtype),
        "voxel_size_nm": volume.voxel_size_nm,
        **_figures(voxels),
        "out": None if out is None else str(out),
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    for name, value in told.items():
        if value is not None:
            typer.echo(f"{name}: {escape_for_log(_shown(value))}")


def _shown(value: object) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _figures(voxels: Any) -> dict[str, Any]:
    """What is in a block of numbers (Any: an array of any type; JSON)."""
    if voxels.size == 0 or voxels.dtype.kind not in "biuf":
        return {}
    return {
        "min": voxels.min().item(),
        "max": voxels.max().item(),
        "mean": float(voxels.mean(dtype="float64")),
        "zeros": float((voxels == 0).mean()),
    }


def _numbers(option: str, text: str) -> Sequence[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: expected whole numbers such as 0,64,64") from None


def _selected(texts: Sequence[str]) -> dict[str, int]:
    selected = {}
    for text in texts:
        axis, _, at = text.partition("=")
        try:
            selected[axis] = int(at)
        except ValueError:
            raise InputError(f"--select {text}: expected AXIS=POSITION, such as t=0") from None
    return selected
