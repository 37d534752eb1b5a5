"""Base of all manifest records, and their validation: pydantic's errors → faults with key paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError

from emasync.manifest.docstrings import attribute_docstrings
from emasync.manifest.fields import RULE
from emasync.manifest.problems import Fault, KeyPath, clipped, shown

R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """A frozen mapping of a manifest; keys it does not know are refused.

    The JSON Schema describes each key by the text below it in the class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """For pydantic, which would parse the source of every record at import to the same end."""
        found = handler(core_schema)
        properties = handler.resolve_ref_schema(found).get("properties", {})
        for name, text in attribute_docstrings(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return found


def several(title: str, errors: Iterable[tuple[KeyPath, PydanticCustomError]]) -> ValidationError:
    """Errors at several places below one validated value, to be raised by a validator.

    Parameters
    ----------
    title : str
    errors : iterable of (tuple of str or int, PydanticCustomError)
        Paths relative to the value.
    """
    details = [InitErrorDetails(type=error, loc=path, input=None) for path, error in errors]
    return ValidationError.from_exception_data(title, details)


def validated(model: type[R], data: Mapping[str, object], path: KeyPath, faults: list[Fault]) -> R | None:
    """Validate one mapping.

    Parameters
    ----------
    model : type of Record
    data : mapping
    path : tuple of str or int
        Where `data` stands in the document.
    faults : list of Fault
        What is wrong is appended.

    Returns
    -------
    Record or None
        None when anything is wrong.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=True)
        faults.extend(_fault(model, item, path) for item in details)
        return None


def _fault(model: type[Record], error: ErrorDetails, path: KeyPath) -> Fault:
    place = error["loc"]
    at_key = place[-1:] == ("[key]",)
    where = (*path, *(place[:-1] if at_key else place))
    if error["type"] == "extra_forbidden":
        return unknown_key(where, _known_keys(model, place[:-1]))
    rule, detail = _message(error)
    return Fault(where, rule, detail, at_key)


def unknown_key(path: KeyPath, known: Iterable[str]) -> Fault:
    """Fault of a key that is not `known`; says which one may have been meant.

    Parameters
    ----------
    path : tuple of str or int
        Ends with the key.
    known : iterable of str
    """
    names = sorted(known)
    close = get_close_matches(str(path[-1]), names, 1)
    meant = f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}" if names else ""
    return Fault(path, f"unknown key{meant}", at_key=True)


_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_RULES = {
    **dict.fromkeys(("tuple_type", "list_type"), "expected a list"),
    "string_too_short": "expected some text",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected a mapping"),
}


def _message(error: ErrorDetails) -> tuple[str, str]:
    """Rule and detail of a validation error, without pydantic's own vocabulary."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == RULE:
        return str(context["rule"]), str(context["detail"])
    if kind == "missing":
        return "is missing", ""
    return _rule(kind, context, error["msg"]), f"; got {shown(error['input'])}"


def _rule(kind: str, context: Mapping[str, object], message: str) -> str:
    if kind in _LIMITS:
        field, words = _LIMITS[kind]
        return f"expected {words} {context[field]}"
    if kind == "literal_error":
        return f"expected {context['expected']}"
    return _RULES.get(kind) or clipped(message[:1].lower() + message[1:])


def _known_keys(model: type[Record], place: KeyPath) -> frozenset[str]:
    """Keys that the record at `place` below `model` knows."""
    options: list[Any] = [model]  # Any: annotations
    for part in place:
        options = [inner for option in options for inner in _step(option, part)]
    records = [option for choice in options for option in _records(choice)]
    return frozenset(name for record in records for name in record.model_fields)


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    """Annotations one element of a location further down (Any: annotations)."""
    for option in _alternatives(annotation):
        if isinstance(option, type) and issubclass(option, Record):
            if part in option.model_fields:
                yield option.model_fields[str(part)].annotation
            elif isinstance(part, str) and option.__name__ == part:
                yield option  # the tag of a union
        elif get_origin(option) in (tuple, list, dict):
            yield get_args(option)[-2 if get_args(option)[-1] is Ellipsis else -1]


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Members of a union, without Annotated (Any: annotations)."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _alternatives(option)
    else:
        yield annotation


def _records(annotation: Any) -> Iterator[type[Record]]:
    for option in _alternatives(annotation):
        if isinstance(option, type) and issubclass(option, Record):
            yield option
