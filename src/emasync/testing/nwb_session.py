"""One session of neurophysiology as the nodes of an NWB file, for either of its containers.

Groups, attributes and types are those of the NWB core schema 2.7 and of hdmf-common 1.8; what is measured is made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emasync.testing.dandi_records import made_id

Layout = Literal["plain", "compressed", "checked", "mixed", "sparse", "unallocated", "compact"]
"""How HDF5 stores an array: contiguous; chunks of gzip and shuffle; these with Fletcher32; chunks of which one is
stored raw and says so in its filter mask; chunks of which only the first was written; contiguous and never written; in
the object header."""

RATE_HZ = 1250.0
FRAMES = 300
"""Samples of the small series."""

MOMENTS = ("session_start_time", "timestamps_reference_time", "file_create_date")
"""Texts that are dates."""

CHUNK_FRAMES = 512
"""Frames in a chunk of the large series; its last chunk overhangs."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to another node.

    Attributes
    ----------
    path : str
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A group, an array, a text or a link.

    Attributes
    ----------
    path : str
        Without leading slash; empty for the root.
    attributes : dict
        Any: text, numbers, lists of text, references.
    data : object
        None for a group; text, list of text, list of :class:`Reference`, ndarray; rows of (start, count, reference)
        for references into a series.
    layout : str
    link : str or None
        What it is another name of.
    """

    path: str
    attributes: dict[str, Any] = field(default_factory=dict)
    data: Any = None  # Any: see above
    layout: Layout = "plain"
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What differs between files.

    Attributes
    ----------
    identifier : str
    start : str
        ISO 8601, with its zone.
    subject : str or None
        None: a file without a subject.
    age : str
        ISO 8601 duration, as odd as archives have it.
    channels, samples : int
        Of the large series, 16 bits each.
    layouts : bool
        With one small series for each way to store an array.
    seed : int
    """

    identifier: str = "501560436"
    start: str = "2016-02-18T11:03:05.123456-08:00"
    subject: str | None = "491604983"
    age: str = "P147DT82800S"
    channels: int = 8
    samples: int = 5_000
    layouts: bool = True
    seed: int = 0

    def nodes(self) -> Iterator[Node]:
        """All nodes, groups before what is in them and references behind what they are to."""
        root = {"namespace": "core", "neurodata_type": "NWBFile", "nwb_version": "2.7.0"}
        yield Node(path="", attributes={**root, "object_id": made_id(self.identifier, "")})
        texts = {"identifier": self.identifier, "session_description": "natural scenes, in a zone of its own"}
        for name, value in {**texts, **dict.fromkeys(MOMENTS[:2], self.start)}.items():
            yield Node(path=name, data=value)
        yield Node(path=MOMENTS[2], data=[self.start])
        for path in _EMPTY:
            yield Node(path=path)
        yield from self._general()
        yield from self._electrodes()
        yield from self._acquisition()
        yield from self._trials()

    def _typed(self, path: str, kind: str, namespace: str = "core", **attributes: Any) -> Node:
        told = {"namespace": namespace, "neurodata_type": kind, "object_id": made_id(self.identifier, path)}
        return Node(path=path, attributes=told | attributes)

    def _column(self, path: str, data: Any, kind: str = "VectorData", **attributes: Any) -> Node:
        """A column of a table (Any: see :class:`Node`)."""
        typed = self._typed(path, kind, "hdmf-common", **attributes)
        return Node(path=path, attributes=typed.attributes, data=data)

    def _general(self) -> Iterator[Node]:
        yield Node(path="general")
        yield Node(path="general/session_id", data=f"{self.identifier}-StimC")
        yield Node(path="general/experimenter", data=["Experimenter, A."])
        yield Node(path="general/keywords", data=["visual cortex", "sehr süß"])
        yield Node(path="general/devices")
        yield self._typed("general/devices/probe", "Device", description="Neuropixels")
        if self.subject is not None:
            yield self._typed("general/subject", "Subject")
            told = {"subject_id": self.subject, "age": self.age, "sex": "M", "species": "Mus musculus"}
            for name, value in told.items():
                yield Node(path=f"general/subject/{name}", data=value)

    def _electrodes(self) -> Iterator[Node]:
        base = "general/extracellular_ephys"
        group = f"{base}/shank0"
        yield Node(path=base)
        yield self._typed(group, "ElectrodeGroup", description="one shank", location="VISp")
        yield Node(path=f"{group}/device", link="general/devices/probe")
        table = f"{base}/electrodes"
        names = ["location", "group", "group_name"]
        yield self._typed(table, "DynamicTable", "hdmf-common", description="electrodes", colnames=names)
        yield self._column(f"{table}/id", np.arange(self.channels), "ElementIdentifiers")
        yield self._column(f"{table}/location", ["VISp"] * self.channels, description="area")
        yield self._column(f"{table}/group", [Reference(group)] * self.channels, description="shank")
        yield self._column(f"{table}/group_name", ["shank0"] * self.channels, description="name of the shank")

    def _acquisition(self) -> Iterator[Node]:
        rng = np.random.default_rng(self.seed)
        traces = rng.integers(-800, 800, (self.samples, self.channels)).astype("<i2")
        path = "acquisition/ElectricalSeries"
        yield from self._series(path, "ElectricalSeries", traces, "compressed", unit="volts", conversion=1.95e-7)
        table = Reference("general/extracellular_ephys/electrodes")
        described = {"description": "all of them", "table": table}
        yield self._column(f"{path}/electrodes", np.arange(self.channels), "DynamicTableRegion", **described)
        speed = rng.normal(size=FRAMES)
        yield from self._series("acquisition/running_speed", "TimeSeries", speed, "plain", unit="cm/s")
        odd: tuple[Layout, ...] = ("checked", "mixed", "sparse", "unallocated", "compact")
        for layout in odd if self.layouts else ():
            values = rng.integers(1, 1000, FRAMES).astype("<i4")
            yield from self._series(f"acquisition/{layout}", "TimeSeries", values, layout, unit="a.u.")

    def _series(
        self, path: str, kind: str, data: NDArray[Any], layout: Layout, *, unit: str, conversion: float = 1.0
    ) -> Iterator[Node]:
        """A series that begins at the session's start (Any: the number type is the series')."""
        yield self._typed(path, kind, description="made up", comments="no comments")
        measured = {"unit": unit, "conversion": conversion, "resolution": -1.0, "offset": 0.0}
        yield Node(path=f"{path}/data", attributes=measured, data=data, layout=layout)
        yield Node(
            path=f"{path}/starting_time", attributes={"rate": RATE_HZ, "unit": "seconds"}, data=np.array(0.0, "<f8")
        )

    def _trials(self) -> Iterator[Node]:
        """A table whose last column says which samples of which series belong to a row: a compound with references."""
        table, count = "intervals/trials", 5
        names = ["start_time", "stop_time", "timeseries"]
        yield Node(path="intervals")
        yield self._typed(table, "TimeIntervals", description="trials", colnames=names)
        yield self._column(f"{table}/id", np.arange(count), "ElementIdentifiers")
        starts = np.arange(count) / 20
        yield self._column(f"{table}/start_time", starts, description="seconds")
        yield self._column(f"{table}/stop_time", starts + 0.05, description="seconds")
        series = Reference("acquisition/running_speed")
        rows = [(number * 60, 60, series) for number in range(count)]
        kind = "TimeSeriesReferenceVectorData"
        column = self._typed(f"{table}/timeseries", kind, description="samples of a trial")
        yield Node(path=column.path, attributes=column.attributes, data=rows)
        index = {"description": "one each", "target": Reference(column.path)}
        yield self._column(f"{table}/timeseries_index", np.arange(1, count + 1), "VectorIndex", **index)


_EMPTY = ("acquisition", "analysis", "processing", "stimulus", "stimulus/presentation", "stimulus/templates")
