"""Faults by key, as a layer around the site: what a bad day of a public archive looks like, on demand.

Faults are data. A mapping from globs over ``bucket/key`` (``*`` crosses slashes) to lists of faults; the listing of a
bucket has the key ``list:bucket``. Each list is a queue: the first fault that is not used up works on a request.
Faults of several globs that match one key add up.

::

    {
        "data/*.tif": [{"status": 503, "retry_after": 2, "times": 2}, {"reset_after": 100000, "times": 1}],
        "data/large.h5": [{"drip": 50, "probability": 0.1, "seed": 7}],
        "list:data": [{"stall_after": 500, "times": 1}]
    }
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import translate
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import orjson

from emasync.errors import InputError
from emasync.testing.alteration import Change
from emasync.testing.messages import Asked
from emasync.testing.misprints import Misprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and when. Several behaviours in one fault happen together.

    Attributes
    ----------
    times : int or None
        How often it works on one key; None for always.
    skip : int
        Requests to one key that pass before it works.
    probability : float
        Chance to work on a request.
    seed : int
        Of the chance; the same key and request number always decide alike.
    method : str or None
        Only requests of this method.
    ranged : bool or None
        True: only requests with a Range; False: only those without.
    reset_after, close_after, cut_after, stall_after : int or None
        The body ends after so many bytes with RST, with FIN, with a FIN that TLS does not announce, or never.
    drop : bool
        RST instead of an answer.
    stall_head : bool
        Half of the header, and no more.
    drip_head : float or None
        Bytes per second of the header.
    interim : int
        Interim answers (1xx) before the answer.
    hang_up : bool
        FIN after a whole answer that did not announce it.
    vanish : bool
        The connection is kept after a whole answer, and ends when something is asked over it again.
    drip : float or None
        Bytes per second.
    delay_s : float
        Before the first byte.
    short_body, long_body : int
        Bytes fewer (then FIN) or more than Content-Length promises.
    truncate : int
        Bytes missing at the end, and Content-Length agrees.
    told_length : str or None
        Content-Length says this.
    chunked, no_length : bool
        Framing without Content-Length: chunks, or the end of the connection.
    status : int or None
        Answer an error of this status.
    retry_after : float, str or None
        Seconds, or an HTTP date as it is.
    retry_after_date_s : float or None
        Retry-After as a date so many seconds from now.
    code : str or None
        S3 error code of the error document.
    body : str or None
        Text to answer instead of the object.
    headers : mapping of str to str
        Added to the answer.
    twice : bool
        Each header field comes twice.
    html_error : bool
        A page in HTML with status 200.
    misprint : {"doubled", "backwards", "same_page", "endless", "deep", "mistyped"} or None
        What a listing or the answer of an API says; see :data:`emasync.testing.misprints.Misprint`.
    missing, forbidden : bool
        404 NoSuchKey, 403 AccessDenied.
    redirect : str or None
        Location to redirect to; ``"loop"`` for the request's own.
    ignore_range : bool
        200 and the whole object instead of 206.
    wrong_content_range : int
        Offset that Content-Range is wrong by.
    shift : int
        The bytes come from so much further on (and from the beginning again at the end), and the header denies it.
    wrong_total : int
        Bytes that the total size in Content-Range is wrong by.
    unknown_total : bool
        ``*`` as the total size in Content-Range.
    gzip_range, gzip_whole : bool
        Content-Encoding gzip on a 206, on a 200.
    garbage_headers : int
        Useless header lines of 1,000 bytes.
    change_etag_after : int or None
        The object is another one after so many requests.
    change : {"etag", "content", "silent", "size", "flapping"}
        How it is another one; see :data:`emasync.testing.alteration.Change`.
    """

    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    method: str | None = None
    ranged: bool | None = None
    reset_after: int | None = None
    close_after: int | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    drop: bool = False
    stall_head: bool = False
    drip_head: float | None = None
    interim: int = 0
    hang_up: bool = False
    vanish: bool = False
    drip: float | None = None
    delay_s: float = 0.0
    short_body: int = 0
    long_body: int = 0
    truncate: int = 0
    told_length: str | None = None
    chunked: bool = False
    no_length: bool = False
    status: int | None = None
    retry_after: float | str | None = None
    retry_after_date_s: float | None = None
    code: str | None = None
    body: str | None = None
    headers: Mapping[str, str] | None = None
    twice: bool = False
    html_error: bool = False
    misprint: Misprint | None = None
    missing: bool = False
    forbidden: bool = False
    redirect: str | None = None
    ignore_range: bool = False
    wrong_content_range: int = 0
    shift: int = 0
    wrong_total: int = 0
    unknown_total: bool = False
    gzip_range: bool = False
    gzip_whole: bool = False
    garbage_headers: int = 0
    change_etag_after: int | None = None
    change: Change = "content"

    @property
    def passes(self) -> int:
        """Requests to one key that pass before it works."""
        return self.skip + (self.change_etag_after or 0)

    def concerns(self, asked: Asked) -> bool:
        """Whether the request is of the kind this fault works on."""
        if self.method is not None and asked.method != self.method:
            return False
        return self.ranged is None or self.ranged == ("range" in asked.headers)


FaultTable = Mapping[str, Sequence[Fault | Mapping[str, Any]]]
"""Glob to faults (Any: JSON objects with the fields of :class:`Fault`)."""


def load_faults(source: FaultTable | Path) -> dict[str, tuple[Fault, ...]]:
    """Read faults from a mapping or a JSON file.

    Raises
    ------
    InputError
        An unknown behaviour or a value of the wrong type; the message names glob, position and field.
    """
    table: Any = orjson.loads(source.read_bytes()) if isinstance(source, Path) else source  # Any: checked below
    if not isinstance(table, Mapping):
        raise InputError(f"faults: expected a mapping of globs to lists, got {type(table).__name__}")
    return {pattern: tuple(_faults(pattern, items)) for pattern, items in table.items()}


def _faults(pattern: str, items: object) -> Iterable[Fault]:
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise InputError(f"faults of {pattern!r}: expected a list, got {type(items).__name__}")
    for number, item in enumerate(items):
        if isinstance(item, Fault):
            yield item
        elif isinstance(item, Mapping):
            yield _fault(f"faults of {pattern!r}[{number}]", item)
        else:
            raise InputError(f"faults of {pattern!r}[{number}]: expected an object, got {type(item).__name__}")


def _fault(where: str, item: Mapping[str, Any]) -> Fault:
    unknown = sorted(set(item) - _TYPES.keys())
    if unknown:
        raise InputError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(_TYPES)}")
    for name, value in item.items():
        if not _fits(value, _TYPES[name]):
            raise InputError(f"{where}.{name}: {value!r} does not fit {_TYPES[name]}")
    return Fault(**item)


def _fits(value: object, kind: Any) -> bool:
    # Any: a type as annotated above
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if isinstance(kind, type):
        return isinstance(value, kind)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind == Mapping[str, str]:
        return isinstance(value, Mapping) and all(isinstance(text, str) for text in (*value, *value.values()))
    return any(_fits(value, one) for one in get_args(kind))


_TYPES: dict[str, Any] = {item.name: get_type_hints(Fault)[item.name] for item in fields(Fault)}
"""Field to type as annotated (Any: types and unions of them)."""


class _Use:
    """How often one fault met and worked on one key."""

    __slots__ = ("met", "worked")

    def __init__(self) -> None:
        self.met = 0
        self.worked = 0


@dataclass(frozen=True, slots=True)
class Working:
    """A fault that works on a request.

    Attributes
    ----------
    fault : Fault
    round : int
        How often it worked on this key before.
    """

    fault: Fault
    round: int


class FaultBook:
    """Decides which faults work on a request, and keeps count. Deterministic for each key's own order of requests.

    Parameters
    ----------
    table : mapping of str to sequence of Fault
    """

    def __init__(self, table: Mapping[str, Sequence[Fault]]) -> None:
        self._queues = [(re.compile(translate(pattern)), tuple(faults)) for pattern, faults in table.items()]
        self._uses: dict[tuple[int, int, str], _Use] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def at_work(self, asked: Asked) -> list[Working]:
        """Faults that work on this request; each call counts."""
        key = fault_key(asked)
        found = []
        for number, (pattern, faults) in enumerate(self._queues):
            if pattern.match(key):
                working = self._first(number, faults, key, asked)
                if working is not None:
                    found.append(working)
        return found

    def _first(self, queue: int, faults: Sequence[Fault], key: str, asked: Asked) -> Working | None:
        for number, fault in enumerate(faults):
            if not fault.concerns(asked):
                continue
            use = self._uses.setdefault((queue, number, key), _Use())
            if fault.times is not None and use.worked >= fault.times:
                continue
            use.met += 1
            if use.met <= fault.passes or not _drawn(fault, key, use.met):
                continue
            use.worked += 1
            return Working(fault, use.worked - 1)
        return None


def fault_key(asked: Asked) -> str:
    """Key that globs are matched with: ``bucket/key``, or ``list:bucket`` for a listing."""
    path = asked.key
    if path.startswith("storage/v1/b/"):
        bucket, _, rest = path.removeprefix("storage/v1/b/").partition("/")
        return f"{bucket}/{rest.removeprefix('o/')}" if rest.startswith("o/") else f"list:{bucket}"
    bucket, _, key = path.partition("/")
    return f"list:{bucket}" if asked.query and not key else path


def _drawn(fault: Fault, key: str, number: int) -> bool:
    return fault.probability >= 1 or random.Random(f"{fault.seed}:{key}:{number}").random() < fault.probability
