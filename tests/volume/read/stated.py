"""What ``TRUTH.json`` states of each array, whatever the reader that stated it called things: rows of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Facts = Mapping[str, Any]
Size = tuple[float, str] | None

LENGTHS: Final = {2: "inch", 3: "cm"}
"""``ResolutionUnit`` of TIFF; without one it is the inch (TIFF 6.0, section 8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """One array as somebody else read it.

    Attributes
    ----------
    unit : str
        Entry of ``TRUTH.json``.
    name : str
        Of the array inside of it.
    number : int
        Among the arrays of its file, where these have no names.
    page : int or None
        Only this page of the file.
    shape : tuple of int or None
    dtype : str or list or None
        Little-endian.
    digest : str or None
        None where the other reader did not decode it.
    sizes : tuple of Size, or None
        Spacing and unit along the axes, as many as there are; None where none are stated.
    """

    unit: str
    name: str = ""
    number: int = 0
    page: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: Any = None
    digest: str | None = None
    sizes: tuple[Size, ...] | None = None


def stated_of(unit: str, facts: Facts) -> Iterator[Stated]:
    """Rows of one entry."""
    if any(name in facts for name in ("observed", "expected")) and "arrays" not in facts:
        return  # not to be read
    for member, rows in _ROWS.items():
        if member in facts:
            yield from rows(unit, facts)
            return
    if "shape" in facts:
        yield from _alone(unit, facts)


def _row(unit: str, name: str, facts: Facts, **more: Any) -> Stated:
    shape = facts.get("shape")
    dtype = facts.get("little_endian_dtype", facts.get("dtype"))
    found: dict[str, Any] = {
        "shape": None if shape is None else tuple(shape),
        "dtype": dtype,
        "digest": facts.get("sha256"),
    }
    return Stated(unit=unit, name=name, **(found | more))


def _tiff(unit: str, facts: Facts) -> Iterator[Stated]:
    plane = _resolution(facts)
    depth = facts["imagej"].get("spacing") if facts["is_imagej"] else None
    for number, series in enumerate(facts["series"]):
        axes = series["axes"]
        known = dict(zip("YX", plane, strict=True)) | {"Z": depth and (depth, facts["imagej"]["unit"])}
        yield _row(unit, "", series, number=number, sizes=tuple(known.get(axis) for axis in axes))
    for page in facts["pages"]:
        yield _row(unit, "", page, page=page["i"])


def _resolution(facts: Facts) -> tuple[Size, Size]:
    """Along y and x; ImageJ has pixels in a unit of its own."""
    page = facts["pages"][0]
    unit = facts["imagej"].get("unit") if facts["is_imagej"] else LENGTHS.get(page.get("ResolutionUnit", 2))
    return _spacing(page.get("YResolution"), unit), _spacing(page.get("XResolution"), unit)


def _spacing(ratio: list[int] | None, unit: str | None) -> Size:
    return None if ratio is None or unit is None or not all(ratio) else (ratio[1] / ratio[0], unit)


def _dm(unit: str, facts: Facts) -> Iterator[Stated]:
    """Both readers; the one that knows more types last."""
    for number, image in enumerate(facts["ncempy_file_order"]):
        if "error" not in image:
            pairs = zip(image["pixelSize"], image["pixelUnit"], strict=True)
            yield _row(unit, "", image, number=number, sizes=tuple(map(_calibrated, pairs)))
    for number, image in enumerate(facts["rosettasciio"]):
        stated = ((axis["scale"], axis["units"]) for axis in image["axes"])
        yield _row(unit, "", image, number=number, sizes=tuple(map(_calibrated, stated)))


def _calibrated(pair: tuple[float, str]) -> Size:
    """Scale 1 without a unit is what an axis has that nobody calibrated."""
    return None if pair == (1.0, "") else pair


def _hdf5(unit: str, facts: Facts) -> Iterator[Stated]:
    for name, dataset in facts["datasets"].items():
        yield _row(unit, name, dataset)


def _trees(unit: str, facts: Facts) -> Iterator[Stated]:
    """Arrays of Zarr, in folders or zip files, and of N5."""
    sizes = dict(_multiscales(facts))
    for name, array in facts["arrays"].items():
        if "sha256_reversed" in array or "metadata_only" in array:
            yield _n5(unit, name, array)
        else:
            yield _row(unit, "" if name == "." else name, array, sizes=sizes.get(name))


def _n5(unit: str, name: str, array: Facts) -> Stated:
    """N5 counts x, y, z; voxels are z, y, x here."""
    sizes = array.get("dimensions") or array["attributes"]["dimensions"]
    return _row(unit, name, array, shape=tuple(reversed(sizes)), digest=array.get("sha256_reversed"))


def _multiscales(facts: Facts) -> Iterator[tuple[str, tuple[Size, ...]]]:
    for group, (image, *_) in facts.get("ome_multiscales", {}).items():
        axes = image["axes"] or ()
        for path, transforms in image["datasets"]:
            scale = next((item["scale"] for item in transforms or () if item["type"] == "scale"), ())
            known = zip(scale, (axis.get("unit") for axis in axes), strict=False)
            yield f"{group}/{path}".removeprefix("./"), tuple(unit and (size, unit) for size, unit in known)


def _precomputed(unit: str, facts: Facts) -> Iterator[Stated]:
    for scale in facts["scales"]:
        x, y, z, *channels = scale.get("shape_xyzc", scale["size_xyz"])
        yield _row(
            unit,
            scale["key"],
            scale,
            shape=(*(count for count in channels if count > 1), z, y, x),
            dtype=scale.get("dtype"),
            digest=scale.get("sha256_czyx"),
            sizes=tuple((float(size), "nanometer") for size in reversed(scale["resolution_nm"])),
        )


def _files(unit: str, facts: Facts) -> Iterator[Stated]:
    for name, file in (facts.get("streams") or facts["files"]).items():
        rate = file.get("sample_rate")
        yield _row(unit, name, file, sizes=((1 / rate, "s"), None) if rate else None)


def _alone(unit: str, facts: Facts) -> Iterator[Stated]:
    """A volume of MRC, or a picture."""
    sizes = facts.get("voxel_size_A_xyz")
    if sizes is None:
        yield _row(unit, "", facts)
        return
    # mrcfile tells spacings along x, y, z of the cell; columns, rows and sections may be others of them
    along = [sizes[facts["mapc_mapr_maps"][at] - 1] for at in (2, 1, 0)]
    yield _row(unit, "", facts, sizes=tuple((size, "angstrom") if size > 0 else None for size in along))


_ROWS: Final[Mapping[str, Callable[[str, Facts], Iterator[Stated]]]] = {
    "series": _tiff,
    "rosettasciio": _dm,
    "datasets": _hdf5,
    "arrays": _trees,
    "scales": _precomputed,
    "streams": _files,
    "files": _files,
}
