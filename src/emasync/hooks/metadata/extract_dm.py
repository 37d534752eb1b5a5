"""Tags of DM3 and DM4 files: microscope, slices, date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from emasync.formats.dm.tags import read_tags
from emasync.formats.stored import ByteSource, HeaderBytes
from emasync.hooks.metadata.claims import Claims, number_of, shown

Tags = Mapping[str, object]

_DIMENSION: Final = "Meta Data/Dimension info/2"
_THICKNESS: Final = "SBFSEM/Record/Slice thickness"
_STAMP: Final = re.compile(r"\w{3} (?P<month>\w{3}) +(?P<day>\d{1,2}) (?P<time>\d\d:\d\d:\d\d) (?P<year>\d{4})")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DOTTED: Final = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})")


def dm_claims(file: ByteSource, claims: Claims) -> None:
    """What the image tags of the main image say.

    There is no specification of them; names are those of Gatan's own acquisition programs (EMPIAR-11759, 3View).

    Parameters
    ----------
    file : ByteSource
    claims : Claims
        Grows.

    Raises
    ------
    FormatError
        The file contradicts itself.
    """
    number, tags = _main(file)
    where = f"ImageList/{number}/ImageTags"
    scale, units = tags.get(f"{_DIMENSION}/Scale"), tags.get(f"{_DIMENSION}/Units")
    if scale not in (None, 1.0, 0.0) or units:
        claims.voxel("z", scale, units, f"{where}/{_DIMENSION}")
    claims.length("voxel_size_z_nm", tags.get(_THICKNESS), "nanometer", f"{where}/{_THICKNESS}")
    claims.text("instrument", tags.get("Microscope Info/Name"), f"{where}/Microscope Info/Name")
    _volts(tags, claims, where)
    current = tags.get("Microscope Info/Probe Current (nA)")
    if current:
        claims.number("current_na", current, f"{where}/Microscope Info/Probe Current (nA)", unit="nA")
    dwell = tags.get("DigiScan/Sample Time")
    if dwell:
        claims.number("dwell_time_us", dwell, f"{where}/DigiScan/Sample Time", unit="us")
    moment_claims(tags, claims, where)


def _main(file: ByteSource) -> tuple[int, Tags]:
    """Tags of the first image that is no thumbnail, by path below its ``ImageTags``."""
    images: dict[int, dict[str, object]] = {}
    thumbnails: set[int] = set()
    for tag in read_tags(HeaderBytes(file)):
        match tag.path:
            case ("ImageList", number, "ImageTags", *rest) if number.isdigit():
                images.setdefault(int(number), {})["/".join(rest)] = tag.value
            case ("Thumbnails", _, "ImageIndex") if isinstance(tag.value, int):
                thumbnails.add(tag.value)
    main = min((number for number in images if number not in thumbnails), default=0)
    return main, images.get(main, {})


def _volts(tags: Tags, claims: Claims, where: str) -> None:
    volts = tags.get("Microscope Info/Voltage")
    if volts:
        claims.number("voltage_kv", volts, f"{where}/Microscope Info/Voltage", factor=1e-3, unit="V")


def moment_claims(tags: Tags, claims: Claims, where: str) -> None:
    """Date and time; ``11.06.2018`` is the 11th of June, other orders are not guessed.

    Parameters
    ----------
    tags : mapping of str to object
        By path below ``ImageTags``.
    claims : Claims
        Grows.
    where : str
        Path of the tags.
    """
    stamp, date = tags.get("DigiScan/TimeStamp"), tags.get("DataBar/Acquisition Date")
    if isinstance(stamp, str) and (found := _STAMP.match(stamp.strip())) and found["month"] in _MONTHS:
        month = _MONTHS.index(found["month"]) + 1
        text = f"{found['year']}-{month:02d}-{int(found['day']):02d}T{found['time']}"
        claims.claim("acquired_at", text, f"{where}/DigiScan/TimeStamp", original=shown(stamp.strip()))
        return
    if isinstance(date, str) and (found := _DOTTED.fullmatch(date.strip())):
        text = f"{found['year']}-{int(found['month']):02d}-{int(found['day']):02d}"
        note = "day before month, as dates with full stops are written"
        claims.claim("acquired_at", text, f"{where}/DataBar/Acquisition Date", original=shown(date), note=note)
    elif date and number_of(date) is None:
        claims.reject("acquired_at", date, "month and day cannot be told apart", f"{where}/DataBar/Acquisition Date")
