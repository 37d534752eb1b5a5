"""The layer of faults around a site: applies to an answer what the fault book says."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from emasync.testing.alteration import AlteredStore
from emasync.testing.conditions import http_date
from emasync.testing.content import error
from emasync.testing.faults import Fault, FaultBook, Working
from emasync.testing.messages import Answer, Asked, Headers, Wire, of_bytes
from emasync.testing.misprints import misprinted
from emasync.testing.objects import Reader
from emasync.testing.site import Site

_CODES = {403: "AccessDenied", 404: "NoSuchKey", 429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
_FOUND = 302
_PARTIAL, _WHOLE = 206, 200
_HTML: Headers = (("Content-Type", "text/html; charset=utf-8"),)
_SAME = ("delay_s", "stall_head", "interim", "twice", "told_length")
"""Called alike in faults and on the wire."""

_PAGE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>Please come back later.</body></html>\n"


@dataclass(slots=True)
class FaultySite:
    """A site that misbehaves as its book of faults says.

    Attributes
    ----------
    site : Site
        What it would answer on a good day.
    book : FaultBook
        May be replaced while serving.
    """

    site: Site
    book: FaultBook = field(default_factory=lambda: FaultBook({}))

    def answer(self, asked: Asked) -> Answer:
        """Answer one request."""
        if not self.book:
            return self.site.answer(asked)
        working = self.book.at_work(asked)
        if not working:
            return self.site.answer(asked)
        faults = [one.fault for one in working]
        answer = _instead(asked, faults)
        if answer is None:
            answer = _changed_site(self.site, working).answer(_changed_request(asked, faults))
        for fault in faults:
            answer = _with_wire(_altered(asked, answer, fault), fault)
        return answer


def _changed_site(site: Site, working: Sequence[Working]) -> Site:
    for one in working:
        if one.fault.change_etag_after is not None:
            site = replace(site, store=AlteredStore(site.store, one.fault.change, one.round))
    return site


def _changed_request(asked: Asked, faults: Sequence[Fault]) -> Asked:
    if any(fault.ignore_range for fault in faults) and "range" in asked.headers:
        return asked._replace(headers={name: text for name, text in asked.headers.items() if name != "range"})
    return asked


def _instead(asked: Asked, faults: Sequence[Fault]) -> Answer | None:
    """Answer that has nothing to do with the object, of the first fault that gives one."""
    for fault in faults:
        if fault.redirect is not None:
            target = asked.path if fault.redirect == "loop" else fault.redirect
            return of_bytes(fault.status or _FOUND, (("Location", target),), b"")
        if fault.html_error:
            return of_bytes(_WHOLE, _HTML, _PAGE, bodiless=asked.method == "HEAD")
        if fault.body is not None:
            kind = (("Content-Type", "text/plain"),)
            return of_bytes(fault.status or _WHOLE, kind, fault.body.encode(), bodiless=asked.method == "HEAD")
        status = 404 if fault.missing else 403 if fault.forbidden else fault.status
        if status is not None:
            code = fault.code or _CODES.get(status, "Error")
            return error(asked, status, code, "This was arranged.", tuple(_retry_after(fault)))
    return None


def _retry_after(fault: Fault) -> list[tuple[str, str]]:
    """Retry-After in either spelling (RFC 9110, section 10.2.3)."""
    if fault.retry_after_date_s is not None:
        return [("Retry-After", http_date(int(time.time() + fault.retry_after_date_s)))]
    if fault.retry_after is None:
        return []
    told = fault.retry_after
    return [("Retry-After", told if isinstance(told, str) else f"{told:g}")]


def _altered(asked: Asked, answer: Answer, fault: Fault) -> Answer:
    if fault.misprint is not None:
        answer = _of_other_bytes(answer, misprinted(bytes(answer.read(0, answer.stop)), fault.misprint, asked))
    headers = answer.headers
    if fault.headers:
        headers = (*headers, *fault.headers.items())
    if fault.garbage_headers:
        headers = (*headers, *((f"X-Garbage-{number}", "g" * 1000) for number in range(fault.garbage_headers)))
    if answer.status == _PARTIAL:
        headers = tuple(
            (name, _wrong_range(text, fault)) if name == "Content-Range" else (name, text) for name, text in headers
        )
    if fault.shift:
        answer = replace(answer, read=_shifted(answer, fault.shift))
    altered = replace(answer, headers=headers, stop=max(answer.start, answer.stop - fault.truncate))
    if (fault.gzip_range and answer.status == _PARTIAL) or (fault.gzip_whole and answer.status == _WHOLE):
        return _gzipped(altered)
    return altered


def _wrong_range(text: str, fault: Fault) -> str:
    span, _, total = text.removeprefix("bytes ").partition("/")
    first, _, last = span.partition("-")
    shift = fault.wrong_content_range
    told = "*" if fault.unknown_total else str(int(total) + fault.wrong_total)
    return f"bytes {int(first) + shift}-{int(last) + shift}/{told}"


def _gzipped(answer: Answer) -> Answer:
    packed = gzip.compress(bytes(answer.read(answer.start, answer.stop)), mtime=0)
    return replace(_of_other_bytes(answer, packed), headers=(*answer.headers, ("Content-Encoding", "gzip")))


def _of_other_bytes(answer: Answer, data: bytes) -> Answer:
    return replace(answer, read=lambda start, stop: data[start:stop], start=0, stop=len(data))


def _shifted(answer: Answer, by: int) -> Reader:
    """Reads the body as if it began `by` bytes later; what lies behind its end is its beginning."""
    size = answer.stop - answer.start
    body = bytes(answer.read(answer.start, answer.stop)) * 2
    at = by % size if size else 0
    return lambda start, stop: body[at + start - answer.start : at + stop - answer.start]


def _with_wire(answer: Answer, fault: Fault) -> Answer:
    wire = answer.wire
    changes: dict[str, object] = {}
    for then, after in _cuts(answer, fault).items():
        changes.update(then=then, cut_at_bytes=after)
    if fault.drip is not None:
        changes["rate_bytes_per_s"] = fault.drip
    if fault.drip_head is not None:
        changes["head_rate_bytes_per_s"] = fault.drip_head
    changes |= {name: value for name in _SAME if (value := getattr(fault, name))}
    if fault.long_body:
        changes["extra_bytes"] = fault.long_body
    if fault.chunked or fault.no_length:
        changes["framing"] = "chunked" if fault.chunked else "close"
    return replace(answer, wire=_rewired(wire, changes)) if changes else answer


def _cuts(answer: Answer, fault: Fault) -> Mapping[str, int | None]:
    """How the body ends, and after how many bytes; the last one counts."""
    cuts: dict[str, int | None] = {}
    if fault.hang_up:
        cuts["close"] = None
    if fault.vanish:
        cuts["vanish"] = None
    if fault.short_body:
        cuts["close"] = max(0, answer.size_bytes - fault.short_body)
    told = {
        "close": fault.close_after,
        "cut": fault.cut_after,
        "reset": fault.reset_after,
        "stall": fault.stall_after,
    }
    cuts.update({then: after for then, after in told.items() if after is not None})
    if fault.drop:
        cuts["drop"] = None
    return cuts


def _rewired(wire: Wire, changes: Mapping[str, object]) -> Wire:
    return replace(wire, **changes)  # type: ignore[arg-type]  # names and types are those of Wire, set right above
