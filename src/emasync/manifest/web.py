"""``source: web``: files that are named by their URLs, one by one or by template."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from emasync.manifest.entry import Entry
from emasync.manifest.fields import SizeBytes, Text, asked, not_empty, reject, relative_path
from emasync.manifest.problems import KeyPath, shown
from emasync.manifest.record import Record, several, unknown_key
from emasync.manifest.scalars import Plain
from emasync.manifest.template import AXIS_NAME, MAX_FILES, RANGE_PATTERN, Axis, Template, parse_range
from emasync.model.digest import Digest, DigestKind
from emasync.model.location import Location

MAX_COMPARED_FILES: Final = 100_000
"""Up to here the destinations of a dataset are compared here; beyond, by the ledger, which holds them anyway."""

_HEX_DIGITS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "crc32": 8, "crc32c": 8, "crc64nvme": 16}
_BASE64_DIGITS: Final = {"md5": 24, "sha1": 28, "sha256": 44, "crc32": 8, "crc32c": 8, "crc64nvme": 12}


def _digest(kind: DigestKind, text: str) -> str:
    """Lower-case hexadecimal; also as object stores write digests, in Base64."""
    if re.fullmatch(r"[0-9a-fA-F]+", text) and len(text) == _HEX_DIGITS[kind]:
        return text.lower()
    try:
        if text.endswith("=") and len(text) == _BASE64_DIGITS.get(kind):
            return binascii.a2b_base64(text, strict_mode=True).hex()
    except binascii.Error:
        pass
    raise reject(f"expected a {kind} of {_HEX_DIGITS[kind]} hexadecimal digits", f"; got {shown(text)}")


def _hexadecimal(kind: DigestKind) -> AfterValidator:
    return AfterValidator(lambda text: _digest(kind, text))


def _entity_tag(text: str) -> str:
    """An entity tag without its quotes (RFC 9110, section 8.8.3)."""
    if text.startswith("W/"):
        raise reject("a weak entity tag (W/) says nothing of the bytes; remove it")
    tag = text.removeprefix('"').removesuffix('"')
    if not tag or not tag.isprintable() or '"' in tag:
        raise reject("expected an entity tag as the server sends it", f"; got {shown(text)}")
    return tag


_parsed: Callable[[str], Template] = lru_cache(maxsize=16)(Template.parse)
_located: Callable[[str], Location] = lru_cache(maxsize=16)(Location.parse)
"""Several checks in a row read the same text: a manifest may name 100,000 files."""


def _last_segment(url: str) -> str:
    """Text after the last slash, placeholders and escapes as they are; queries and fragments are http's."""
    end = re.search(r"[?#]", url) if url.lower().startswith("http") else None
    return url[: end.start() if end else None].rpartition("/")[2]


def _template(text: str) -> str:
    asked(_parsed, text, "a placeholder is {name} or {name:04d}; write {{ or }} for a brace itself")
    return text


def _url_template(text: str) -> str:
    asked(_located, _template(text), "not a URL that can be fetched")
    return text


def _path_template(text: str) -> str:
    if relative_path(_template(text)) != text:
        raise reject("expected the path of a file, without a slash at its end")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFile:
    """One file to fetch.

    Attributes
    ----------
    url : str
    path : str
        Where it goes below the dataset's folder.
    size_bytes : int or None
        As the manifest says.
    digests : tuple of Digest
        As the manifest says.
    """

    url: str
    path: str
    size_bytes: int | None = None
    digests: tuple[Digest, ...] = ()

    @property
    def location(self) -> Location:
        """Where it lies."""
        return Location.parse(self.url)


def _axis_schema(schema: dict[str, Any]) -> None:
    """Ranges are keys beside ``url`` (Any: JSON Schema)."""
    schema["properties"].pop("axes")
    values = {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}}
    schema["patternProperties"] = {
        AXIS_NAME: {
            "description": "values of a placeholder of url and path: 0..15, both ends included, or a list",
            "anyOf": [{"type": "string", "pattern": RANGE_PATTERN}, values],
        }
    }
    # patternProperties also apply to the named keys: they must be told apart
    named = "|".join(sorted(schema["properties"]))
    schema["patternProperties"] = {f"^(?!({named})$)[a-z][a-z0-9_]*$": schema["patternProperties"][AXIS_NAME]}


class FileTemplate(Record):
    """One file, or as many as its placeholders have values."""

    model_config = ConfigDict(json_schema_extra=_axis_schema)

    url: Annotated[Text, AfterValidator(_url_template)]
    """Where the file is; ``{name}`` and ``{name:04d}`` are filled from a range or list beside it."""
    path: Annotated[Text, AfterValidator(_path_template)] | None = None
    """Where the file goes below the dataset's folder; last segment of the URL, decoded, when left out."""
    axes: dict[str, Axis] = Field(default_factory=dict)
    """Values of the placeholders."""
    size: SizeBytes | None = None
    """Size; checked."""
    md5: Annotated[Text, _hexadecimal("md5")] | None = None
    """MD5, hexadecimal; checked."""
    sha1: Annotated[Text, _hexadecimal("sha1")] | None = None
    """SHA-1, hexadecimal; checked."""
    sha256: Annotated[Text, _hexadecimal("sha256")] | None = None
    """SHA-256, hexadecimal; checked."""
    crc32c: Annotated[Text, _hexadecimal("crc32c")] | None = None
    """CRC-32C, hexadecimal; checked."""
    crc32: Annotated[Text, _hexadecimal("crc32")] | None = None
    """CRC-32 of gzip and zlib, hexadecimal; checked."""
    crc64nvme: Annotated[Text, _hexadecimal("crc64nvme")] | None = None
    """CRC-64 that S3 keeps of objects, hexadecimal or Base64; checked (needs the extra ``crc64``)."""
    etag: Annotated[Text, AfterValidator(_entity_tag)] | None = None
    """Entity tag; checked."""

    @model_validator(mode="before")
    @classmethod
    def _gather_axes(cls, data: object) -> object:
        """All keys that are no field are values of placeholders."""
        axes = data.get("axes") if isinstance(data, dict) else None
        if not isinstance(data, dict) or (isinstance(axes, dict) and any(isinstance(a, Axis) for a in axes.values())):
            return data  # from Python, parsed already
        own = {key: value for key, value in data.items() if key in cls.model_fields and key != "axes"}
        return own | {"axes": {key: value for key, value in data.items() if key not in own}}

    @field_validator("axes", mode="before")
    @classmethod
    def _parse_axes(cls, axes: dict[str, object], info: ValidationInfo) -> dict[str, Axis]:
        names: frozenset[str] = frozenset()
        for field in ("url", "path"):
            names |= _parsed(info.data.get(field) or "").names
        known = (*(field for field in cls.model_fields if field != "axes"), "placeholders of url")
        parsed: dict[str, Axis] = {}
        errors: list[tuple[KeyPath, PydanticCustomError]] = []
        for key, value in axes.items():
            try:
                parsed[key] = value if isinstance(value, Axis) else _axis(value)
                unknown = key not in names and "url" in info.data
            except PydanticCustomError as error:
                unknown = key not in names
                errors += [] if unknown else [((key,), error)]
            if unknown:
                errors.append(((key, "[key]"), reject(unknown_key((key,), known).rule)))
        if errors:
            raise several(cls.__name__, errors)
        return parsed

    @model_validator(mode="after")
    def _consistent(self) -> FileTemplate:
        if errors := list(self._faults()):
            raise several(type(self).__name__, errors)
        return self

    def _faults(self) -> Iterator[tuple[KeyPath, PydanticCustomError]]:
        url, path = _parsed(self.url), self._destination()
        for field, template in (("url", url), ("path", path)) if self.path is not None else (("url", url),):
            if missing := sorted(template.names - set(self.axes)):
                rule = (
                    "a placeholder has no values; write a range beside it, such as z: 0..15, or {{ for a brace itself"
                )
                yield (field,), reject(rule, f"; got {{{missing[0]}}}")
        several_values = {name for name, axis in self.axes.items() if axis.size > 1}
        if unused := sorted(several_values - url.names):
            yield (unused[0], "[key]"), reject("not in url: all its values would fetch the same file")
        elif self.path is None and not _last_segment(self.url):
            yield ("url",), reject("the URL ends in no file name; say with path: where the file goes")
        elif unused := sorted(several_values - path.names):
            yield (
                ("url" if self.path is None else "path",),
                reject(f"{{{unused[0]}}} is not in the file's path; write path: with it"),
            )
        if self.count > MAX_FILES:
            yield (), reject(f"stands for {self.count:,} files; at most {MAX_FILES:,}")
        if self.count > 1 and self.digests:
            yield (self.digests[0].kind,), reject("one digest cannot fit many files; name them one by one")

    def _destination(self) -> Template:
        """Template of the destination; escapes of the URL are decoded after it is filled."""
        if self.path is not None:
            return _parsed(self.path)
        return _parsed(_last_segment(self.url))

    @property
    def count(self) -> int:
        """How many files this stands for."""
        return prod(axis.size for axis in self.axes.values())

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Digests that are named."""
        named = ((kind, getattr(self, kind)) for kind in get_args(DigestKind) if kind in type(self).model_fields)
        return tuple(Digest(kind, value) for kind, value in named if value is not None)

    def files(self) -> Iterator[WebFile]:
        """All files, the last axis fastest."""
        url, path, digests = _parsed(self.url), self.path and _parsed(self.path), self.digests
        for values in product(*self.axes.values()):
            filled = dict(zip(self.axes, values, strict=True))
            address = url.fill(filled)
            place = path.fill(filled) if path else _located(address).name
            yield WebFile(url=address, path=place, size_bytes=self.size, digests=digests)


def _axis(value: object) -> Axis:
    """Read the values of one placeholder: ``0..15``, or a list."""
    if isinstance(value, str):
        return asked(parse_range, value, "expected a range such as 0..15, or a list")
    if not isinstance(value, list | tuple) or not value:
        raise reject("expected a range such as 0..15, or a list", f"; got {shown(value)}")
    words = tuple(_word(item) for item in value)
    if len({str(word) for word in words}) != len(words):
        raise reject("a value stands twice in this list")
    return Axis(words=words)


def _word(value: object) -> int | str:
    inner = value.value if isinstance(value, Plain) else value
    if isinstance(inner, int) and not isinstance(inner, bool):
        return inner if not isinstance(value, Plain) or str(inner) == value.written else value.written
    if isinstance(inner, str) and inner:
        return inner
    raise reject("expected a list of numbers or texts", f"; got {shown(value)}")


class WebEntry(Entry):
    """Files that are named by their URLs."""

    has_arrays: ClassVar[bool] = False

    source: Literal["web"] = "web"
    """This source."""
    files: Annotated[tuple[FileTemplate, ...], BeforeValidator(not_empty), Field(json_schema_extra={"minItems": 1})]
    """Files, one by one or by template."""

    @field_validator("files")
    @classmethod
    def _distinct(cls, files: tuple[FileTemplate, ...]) -> tuple[FileTemplate, ...]:
        if sum(item.count for item in files) > MAX_FILES:
            raise reject(f"more than {MAX_FILES:,} files; split the dataset")
        if errors := list(_clashes(files)):
            raise several(cls.__name__, errors)
        return files

    @property
    def immutable(self) -> bool:
        """Whether each file has a digest: whatever lies at its URL later is another file."""
        return all(next(iter(item.files())).digests for item in self.files)

    def expanded(self) -> Iterator[WebFile]:
        """All files, templates filled in, in the order of the manifest; bounded by :data:`MAX_FILES`."""
        for item in self.files:
            yield from item.files()


def _clashes(files: tuple[FileTemplate, ...]) -> Iterator[tuple[KeyPath, PydanticCustomError]]:
    """Files that would go to the same path, as far as they can be compared at once; and unsafe paths."""
    seen: dict[str, int] = {}
    for number, item in enumerate(files):
        if len(seen) + item.count > MAX_COMPARED_FILES:
            return
        error = _clash(number, item, seen)
        if error is not None:
            yield (number, "url" if item.path is None else "path"), error


def _clash(number: int, item: FileTemplate, seen: dict[str, int]) -> PydanticCustomError | None:
    for file in item.files():
        try:
            relative_path(file.path)
        except PydanticCustomError:
            return reject("gives a file a path that leaves the dataset's folder; say with path: where it goes")
        if (first := seen.get(file.path)) is not None:
            other = f"files[{first}]" if first != number else "another of its own files"
            return reject(f"goes to the same path as {other}; say with path: where it goes")
        seen[file.path] = number
    return None
