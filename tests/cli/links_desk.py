"""What tests of pasted links share: the program in this process, and archives it may be pointed at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from emasync.cli.main import main
from emasync.testing import Archive
from emasync.testing.idr import OMERO_HOST
from emasync.testing.messages import Answer, Asked, of_bytes

JSON = (("Content-Type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.document["rows"] if row["kind"] == kind]


class Program:
    """The program in this process, with the mirrors of one archive.

    Parameters
    ----------
    capsys
    mirrors : mapping of str to str
    """

    def __init__(self, capsys: pytest.CaptureFixture[str], mirrors: Mapping[str, str]) -> None:
        self._capsys = capsys
        self.mirrors = [f"--mirror={source}={target}" for source, target in mirrors.items()]

    def __call__(self, *arguments: str | Path) -> Said:
        """Run a command; mirrors are added."""
        return self.bare(*arguments, *self.mirrors)

    def bare(self, *arguments: str | Path) -> Said:
        """Run a command as it is."""
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        told = self._capsys.readouterr()
        return Said(int(left.value.code or 0), told.out, told.err)


def asked(server: Archive) -> list[str]:
    """Paths and queries of all requests since the last reset."""
    return [f"{seen.path}?{seen.query}" if seen.query else seen.path for seen in server.requests]


@dataclass(slots=True)
class Projects:
    """The part of OMERO.web's JSON API that knows projects: pages of all, and the datasets of one.

    Attributes
    ----------
    names : mapping of int to str
    datasets : mapping of int to mapping of int to str
        Names of datasets by their number, by project.
    page_limit : int
    """

    names: Mapping[int, str]
    datasets: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    page_limit: int = 1_000

    def answer(self, asked: Asked) -> Answer | None:
        """Answer a request about projects."""
        host, _, path = asked.key.partition("/")
        segments = path.strip("/").split("/")
        if host != OMERO_HOST or segments[:4] != ["api", "v0", "m", "projects"]:
            return None
        if segments[4:]:
            rows = self.datasets.get(int(segments[4]))
            return of_bytes(403, (), b"<h1>403 Forbidden</h1>") if rows is None else _page(rows, asked.query, 1_000)
        return _page(self.names, asked.query, self.page_limit)


def _page(rows: Mapping[int, str], query: str, most: int) -> Answer:
    wanted = {key: int(values[0]) for key, values in parse_qs(query).items()}
    offset, limit = wanted.get("offset", 0), min(most, wanted["limit"])
    data = [{"@id": number, "Name": name} for number, name in list(rows.items())[offset : offset + limit]]
    meta = {"totalCount": len(rows), "limit": limit, "offset": offset, "maxLimit": 1000}
    return of_bytes(200, JSON, orjson.dumps({"data": data, "meta": meta}))
