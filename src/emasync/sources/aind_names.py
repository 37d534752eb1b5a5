"""Names of assets in a flat bucket, taken apart.

The patterns of ``aind-data-schema-models`` (``data_name_patterns.py``) overlap: those of raw data match derived names
as well. This one reads both, and names from before and after the platform was dropped from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from emasync.manifest.archives import AssetFilter

_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}"
_NAME = re.compile(
    rf"(?:(?P<platform>[A-Za-z][^_]*)_)?(?P<subject>[^_]+)_(?P<acquired>{_MOMENT})"
    rf"(?:_(?P<label>.+?)_(?P<processed>{_MOMENT}))?"
)
_DAY_CHARACTERS = len("2024-04-02")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetName:
    """What the name of an asset says.

    Attributes
    ----------
    name : str
    platform : str or None
        As spelled; None in names of schema v2, which have none.
    subject : str
        May be no subject at all (``SmartSPIM-template``).
    acquired : str
        ``YYYY-MM-DD_hh-mm-ss``, local time of the rig: the zone stands in the sidecars only.
    label : str or None
        Of what was done to derived data.
    processed : str or None
        When, as `acquired`.
    """

    name: str
    platform: str | None = None
    subject: str
    acquired: str
    label: str | None = None
    processed: str | None = None

    @classmethod
    def parse(cls, name: str) -> AssetName | None:
        """Take a folder's name apart; None when it is no asset's."""
        match = _NAME.fullmatch(name)
        return None if match is None else cls(name=name, **match.groupdict())

    @property
    def level(self) -> Literal["raw", "derived"]:
        """By the name alone: ``data_level`` of the sidecars is sometimes wrong."""
        return "raw" if self.label is None else "derived"

    @property
    def day(self) -> str:
        """Day of acquisition, ``YYYY-MM-DD``, local."""
        return self.acquired[:_DAY_CHARACTERS]

    def fits(self, wanted: AssetFilter) -> bool:
        """Whether all conditions hold; a name without platform fits no platform."""
        return self.fits_but_for_platform(wanted) and (
            wanted.platform is None or wanted.platform.casefold() == (self.platform or "").casefold()
        )

    def fits_but_for_platform(self, wanted: AssetFilter) -> bool:
        """Whether all other conditions hold."""
        return (
            wanted.subject in (None, self.subject)
            and wanted.level in (None, self.level)
            and (wanted.after is None or self.day >= wanted.after)
            and (wanted.before is None or self.day < wanted.before)
        )
