"""What goes wrong at public archives, one thing at a time, and how a run may end that meets it again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Shape = Literal["small", "ranged", "listing", "api"]
"""What meets the fault: small objects, a large one in ranges, the pages of a listing, the calls of an API."""

ANSWERS: Final[frozenset[Shape]] = frozenset({"small", "ranged", "listing", "api"})
OBJECTS: Final[frozenset[Shape]] = frozenset({"small", "ranged"})
RANGES: Final[frozenset[Shape]] = frozenset({"ranged"})
DOCUMENTS: Final[frozenset[Shape]] = frozenset({"listing", "api"})
PAGES: Final[frozenset[Shape]] = frozenset({"listing"})
CALLS: Final[frozenset[Shape]] = frozenset({"api"})


@dataclass(frozen=True, slots=True)
class BadDay:
    """One fault.

    Attributes
    ----------
    name : str
    always : mapping
        Spoils every request (Any: fields of :class:`~emasync.testing.faults.Fault`).
    kinds : mapping of str to str
        Failure by object (``small``, ``large``, ``unknown``: one of unknown size) when it always happens; objects
        that are not there arrive all the same.
    once : mapping or None
        Spoils the first requests; None: as `always`, one time.
    sure : bool
        False: whether a fault is noticed depends on how its bytes fall into packets.
    final : bool
        The answer is a statement: asking again at once would get the same, only the next run asks again.
    shapes : frozenset of Shape
        What can meet it.
    """

    name: str
    always: Mapping[str, Any]
    kinds: Mapping[str, str] = field(default_factory=dict)
    once: Mapping[str, Any] | None = None
    sure: bool = True
    final: bool = False
    shapes: frozenset[Shape] = ANSWERS

    @property
    def heals(self) -> Mapping[str, Any]:
        """The fault that spoils the first request for a key and no other (Any: as above)."""
        return {**(self.always if self.once is None else self.once), "times": 1}


def everywhere(kind: str) -> dict[str, str]:
    """All objects fail alike."""
    return dict.fromkeys(("small", "large", "unknown"), kind)


BAD_DAYS: Final = (
    BadDay(
        "reset after some bytes",
        {"reset_after": 200_000},
        everywhere("transient"),  # a reset may take bytes with it that had arrived
        once={"reset_after": 2_000},
        sure=False,
    ),
    BadDay("reset before the first byte", {"reset_after": 0}, everywhere("transient")),
    BadDay("no answer but a reset", {"drop": True}, everywhere("transient")),
    BadDay("half-close after some bytes", {"close_after": 200_000}, once={"close_after": 2_000}),
    BadDay("half-close before the first byte", {"close_after": 0}, everywhere("transient")),
    BadDay("stall in the body", {"stall_after": 0}, everywhere("stalled"), once={"stall_after": 2_000}),
    BadDay("stall before the answer", {"delay_s": 30.0}, everywhere("stalled")),
    BadDay("drip", {"drip": 1000.0, "times": 3}),
    BadDay("500", {"status": 500}, everywhere("transient")),
    BadDay("503", {"status": 503}, everywhere("throttled")),
    BadDay("429 with seconds", {"status": 429, "retry_after": 1}, everywhere("throttled")),
    BadDay("429 with a date", {"status": 429, "retry_after_date_s": 1.0}, everywhere("throttled")),
    BadDay("200 instead of 206", {"ignore_range": True}, shapes=RANGES),
    BadDay(
        "wrong Content-Range",
        {"wrong_content_range": 7},
        {"large": "refused", "unknown": "refused"},
        final=True,
        shapes=RANGES,
    ),
    BadDay(
        "wrong total", {"wrong_total": 7}, {"large": "size_mismatch", "unknown": "refused"}, final=True, shapes=RANGES
    ),
    BadDay("unknown total", {"unknown_total": True}, shapes=RANGES),
    BadDay("short body", {"short_body": 10_000}, everywhere("transient"), once={"short_body": 1_000}),
    BadDay("long body", {"long_body": 1_000}, everywhere("transient"), sure=False),
    BadDay(
        "truncated, and says so",
        {"truncate": 100},
        {**everywhere("refused"), "small": "size_mismatch"},
        final=True,
        shapes=OBJECTS,
    ),
    BadDay("error page", {"html_error": True}, everywhere("refused"), final=True),
    BadDay(
        "gzip on a range", {"gzip_range": True}, {"large": "refused", "unknown": "refused"}, final=True, shapes=RANGES
    ),
    BadDay("gzip on a whole object", {"gzip_whole": True}),
    BadDay("redirect loop", {"redirect": "loop"}, everywhere("refused"), final=True),
    BadDay("404", {"missing": True}, everywhere("not_found"), final=True),
    BadDay("403", {"forbidden": True}, everywhere("access_denied"), final=True),
    BadDay("header flood", {"garbage_headers": 1000}, everywhere("transient")),
    BadDay("no length", {"no_length": True}),
    BadDay("chunks", {"chunked": True}),
)  # fmt: skip
"""Each meets objects that are small, large and of unknown size in ``tests/integration/test_faults.py``."""

_NO_BUDGET: Final = {"RateLimit-Remaining": "0", "RateLimit-Reset": "1"}

STRANGE_DAYS: Final = (
    BadDay("stall in the header", {"stall_head": True}),
    BadDay("drip in the header", {"drip_head": 50.0}),
    BadDay("interim answers", {"interim": 3}),
    BadDay("interim answers without end", {"interim": 1000}),
    BadDay("each field twice", {"twice": True}),
    BadDay("two lengths", {"headers": {"Content-Length": "7"}}),
    BadDay("a length beyond all bounds", {"told_length": "9" * 30}),
    BadDay("a length that is none", {"told_length": "-1"}),
    BadDay("a kept connection that vanishes", {"vanish": True}),
    BadDay("429 with a delay that is none", {"status": 429, "retry_after": "soon"}),
    BadDay("503 with a date that has passed", {"status": 503, "retry_after_date_s": -1e9}),
    BadDay("redirect to a sign-in page", {"redirect": "/sign-in"}, final=True),
    BadDay("a document cut off, and says so", {"truncate": 40}, final=True, shapes=DOCUMENTS),
    BadDay("bytes from further on", {"shift": 1_000}, final=True, shapes=DOCUMENTS),
    BadDay("rows twice", {"misprint": "doubled"}, final=True, shapes=DOCUMENTS),
    BadDay("rows backwards", {"misprint": "backwards"}, final=True, shapes=DOCUMENTS),
    BadDay("the same page again", {"misprint": "same_page"}, final=True, shapes=DOCUMENTS),
    BadDay("pages without end", {"misprint": "endless"}, final=True, shapes=DOCUMENTS),
    BadDay("values of other types", {"misprint": "mistyped"}, final=True, shapes=DOCUMENTS),
    BadDay("lists in lists in lists", {"misprint": "deep"}, final=True, shapes=CALLS),
)  # fmt: skip
"""What no honest server says; most of it comes from proxies, captive portals and hostile hands."""

WORSE_DAYS: Final = (
    BadDay("storm of 503", {"status": 503, "probability": 0.4, "seed": 3}),
    BadDay("429 and a budget", {"status": 429, "headers": _NO_BUDGET, "times": 3}),
    BadDay("an empty budget", {"headers": _NO_BUDGET, "times": 2}),
    BadDay("credentials that expired", {"status": 403, "code": "ExpiredToken"}, final=True),
    BadDay("416 at the end", {"status": 416}, final=True, shapes=OBJECTS),
    BadDay("hang-up after the answer", {"hang_up": True}),
    BadDay("another object of the same size", {"change_etag_after": 1, "change": "content"}, final=True, shapes=RANGES),
    BadDay("another size", {"change_etag_after": 1, "change": "size"}, final=True, shapes=RANGES),
    BadDay("another tag for the same bytes", {"change_etag_after": 1, "change": "etag"}, shapes=RANGES),
    BadDay("replicas with tags of their own", {"change_etag_after": 1, "change": "flapping"}, shapes=RANGES),
)
"""Their outcomes depend on the order in which requests come: identical bytes, or a failure that is named."""
