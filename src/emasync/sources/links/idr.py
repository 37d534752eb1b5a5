"""Pages of the Image Data Resource, and names of its studies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from emasync.errors import ErrorKind, FormatError, InputError, SourceError
from emasync.formats.json_document import Json
from emasync.manifest.problems import shown
from emasync.model.location import Location
from emasync.sources.idr_omero import SERVER, image_number, json_object, total_count
from emasync.sources.links.interface import Draft, Question, Reading

PAGE_ROWS: Final = 1_000
"""``maxLimit`` of the JSON API."""

MAX_PROJECTS: Final = 24
"""Experiments of a study that are asked for their datasets."""

_STUDY: Final = re.compile(r"(?P<study>idr[0-9]{4})(?:-[A-Za-z0-9-]+(?:/(?P<part>[A-Za-z0-9]+))?)?", re.IGNORECASE)
_SEARCH = re.compile(r"Name:\s*(?P<study>idr[0-9]{4})", re.IGNORECASE)
_NUMBERED = re.compile(
    r"/(?:webclient/(?:img_detail|imgData|metadata_details/image|render_[a-z_]+)|webgateway/(?:[a-z_]+/)?(?:imgData|"
    r"render_[a-z_]+|original_file_paths)|api/v[0-9.]+/m/images)/(?P<image>[0-9]+)(?:/.*)?"
)
_OBJECT = re.compile(r"/api/v[0-9.]+/m/(?P<kind>datasets|projects)/(?P<number>[0-9]+)(?:/(?:images|datasets))?/?")
_SHOWN = re.compile(r"(?P<kind>[a-z]+)-(?P<number>[0-9]{1,12})")
_HOST = urlsplit(SERVER).hostname


class IdrLinks:
    """Reads names of studies, and pages of OMERO.web and its viewers about images, datasets and projects."""

    forms = (
        "idr0086",
        f"{SERVER}/webclient/?show=image-9846137",
        f"{SERVER}/webclient/img_detail/9846137/",
        f"{SERVER}/iviewer/?images=9846137",
    )

    def read(self, text: str) -> Reading | Question | None:
        """Images, a dataset, or the question for the datasets of a project or a study.

        Raises
        ------
        InputError
            A page of the archive that names nothing, or plates.
        """
        if match := _STUDY.fullmatch(text):
            return _study(match["study"].lower(), match["part"] or "")
        parts = urlsplit(text)
        if parts.scheme.lower() not in ("http", "https") or parts.hostname != _HOST:
            return None
        found = _page(parts)
        if found is None:
            raise InputError(
                f"{shown(text)} names no image, dataset, project or study of the IDR; open one and copy its link "
                "(webclient/?show=image-...), or name a study such as idr0086"
            )
        return found


def _page(parts: SplitResult) -> Reading | Question | None:
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if match := _NUMBERED.fullmatch(parts.path):
        return _images([int(match["image"])])
    if match := _OBJECT.fullmatch(parts.path):
        number = int(match["number"])
        return _dataset(number) if match["kind"] == "datasets" else _Projects((Row(number, ""),)).outcome()
    if "images" in query:
        return _images([int(number) for number in query["images"].split(",") if number.isdecimal()])
    if "show" in query:
        return _selected(query["show"])
    if query.get("dataset", "").isdecimal():
        return _dataset(int(query["dataset"]))
    match = _SEARCH.search(unquote(query.get("query", "")))
    return None if match is None else _study(match["study"].lower())


def _selected(text: str) -> Reading | Question | None:
    """What the web client shows: ``image-1|image-2``, ``dataset-3``, ``project-4``."""
    found = [(match["kind"], int(match["number"])) for match in _SHOWN.finditer(text)]
    kinds = {kind for kind, _ in found}
    if kinds & {"screen", "plate", "well", "run", "acquisition"}:
        raise InputError(f"{shown(text)}: plates are not fetched as such; open one image of it and copy that link")
    numbers = [number for _, number in found]
    if kinds == {"image"}:
        return _images(numbers)
    if kinds == {"dataset"}:
        return Reading(drafts=tuple(_dataset_draft(Row(number, "")) for number in numbers))
    if kinds == {"project"}:
        return _Projects(tuple(Row(number, "") for number in numbers)).outcome()
    return None


def _images(numbers: Sequence[int]) -> Reading | None:
    if not numbers:
        return None
    name = f"idr-{numbers[0]}" + (f"-and-{len(numbers) - 1}-more" if len(numbers) > 1 else "")
    images: list[Json] = list(dict.fromkeys(numbers))
    return Reading(drafts=(Draft(name=name, entry={"source": "idr", "images": images}),))


def _dataset(number: int) -> Reading:
    return Reading(drafts=(_dataset_draft(Row(number, "")),))


# --- what takes questions --------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A project or dataset."""

    number: int
    name: str


def _dataset_draft(row: Row, project: str = "") -> Draft:
    comments = (f"dataset {row.name} of {project}",) if row.name and project else ()
    name = f"idr-{row.name}" if row.name else f"idr-dataset-{row.number}"
    return Draft(name=name, entry={"source": "idr", "dataset": row.number}, comments=comments)


def _study(study: str, part: str = "", offset: int = 0, found: tuple[Row, ...] = ()) -> Question:
    """Look through all projects: OMERO.web's JSON API finds none by name (``omeroweb/api/views.py``)."""
    location = _at(f"api/v0/m/projects/?limit={PAGE_ROWS}&offset={offset}")

    def answer(data: bytes | None) -> Reading | Question:
        rows, total = _rows(data, location)
        wanted = f"{study}-", f"/{part}" if part else ""
        known = (*found, *(row for row in rows if row.name.startswith(wanted[0]) and row.name.endswith(wanted[1])))
        if rows and offset + len(rows) < total:
            return _study(study, part, offset + len(rows), known)
        if known:
            return _Projects(known).outcome()
        raise SourceError(
            f"the IDR has no project of {study}{wanted[1]}; if it is a screen (plates), open one image of it and copy "
            "that link",
            kind=ErrorKind.NOT_FOUND,
            location=str(location),
        )

    return Question(location=location, why=f"which projects belong to {study}", answer=answer)


@dataclass(frozen=True, slots=True)
class _Projects:
    """Projects, and the datasets that were found in those before.

    Attributes
    ----------
    left : tuple of Row
    drafts : tuple of Draft
    notes : tuple of str
    """

    left: tuple[Row, ...]
    drafts: tuple[Draft, ...] = ()
    notes: tuple[str, ...] = ()

    def outcome(self) -> Reading | Question:
        """The next question, or what all answers say.

        Raises
        ------
        SourceError
            There is no dataset in any of them.
        """
        if self.left:
            bounded = self._bounded()
            return replace(bounded, left=bounded.left[1:]).question(bounded.left[0])
        if not self.drafts:
            raise SourceError("; ".join(self.notes) or "no dataset is in this project", kind=ErrorKind.NOT_FOUND)
        return Reading(drafts=self.drafts, notes=self.notes)

    def _bounded(self) -> _Projects:
        if len(self.left) <= MAX_PROJECTS:
            return self
        over = ", ".join(f"project-{row.number}" for row in self.left[MAX_PROJECTS:][:MAX_PROJECTS])
        note = f"{len(self.left) - MAX_PROJECTS:,} more projects left out; name them one by one: {over}"
        return replace(self, left=self.left[:MAX_PROJECTS], notes=(*self.notes, note))

    def question(self, project: Row) -> Question:
        """Ask for the datasets of `project`, which is not among those that are left."""
        location = _at(f"api/v0/m/projects/{project.number}/datasets/?limit={PAGE_ROWS}")

        def answer(data: bytes | None) -> Reading | Question:
            rows, total = _rows(data, location)
            called = project.name or f"project {project.number}"
            drafts = (*self.drafts, *(_dataset_draft(row, called) for row in rows))
            missing = total - len(rows)
            notes = (*self.notes, f"{called}: {missing:,} more datasets") if missing > 0 else self.notes
            return _Projects(self.left, drafts, notes).outcome()

        return Question(location=location, why="which datasets belong to the project", answer=answer)


def _rows(data: bytes | None, location: Location) -> tuple[list[Row], int]:
    """Rows of a page, and how many there are in all.

    Raises
    ------
    SourceError
        Unknown or not public; no page.
    """
    if data is None:
        message = f"{location} is unknown, or not public; check the number"
        raise SourceError(message, kind=ErrorKind.NOT_FOUND, location=str(location))
    value = json_object(data, str(location))
    return list(_named(value, location)), total_count(value, str(location))


def _named(value: dict[str, Json], location: Location) -> Iterator[Row]:
    data = value.get("data")
    for item in data if isinstance(data, list) else ():
        number, name = image_number(item), item.get("Name") if isinstance(item, dict) else None
        if number is None:
            raise FormatError(f"{location}: a row without @id", location=str(location))
        yield Row(number, name if isinstance(name, str) else "")


def _at(path: str) -> Location:
    return Location.parse(f"{SERVER}/{path}")
