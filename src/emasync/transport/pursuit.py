"""One request until its end: what is still missing, under which validator, after how many failures. No I/O.

Methods change the state and say what to do next; ``governed.py`` does it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from emasync.errors import (
    ErrorKind,
    PreconditionFailedError,
    RefusedError,
    ThrottledError,
    TransientError,
)
from emasync.model.digest import Span, Tail, Validator
from emasync.settings import HostPolicy
from emasync.transport import answers, ranges
from emasync.transport.interface import Head
from emasync.transport.patience import backoff_s

MAX_DOUBTS = 3
"""Answers in a row that have to say that an object changed before it is believed."""


MAX_EXCUSES = 8
"""Requests in a row, without a new byte, that may go again at no cost because too many had been let in at once."""


class Pursuit:
    """State of one fetch.

    Parameters
    ----------
    name : str
        Of the object, for messages.
    span : Span, Tail or None
        What is wanted; None for all. A tail becomes a span with the first answer, which tells where it begins.
    validator : Validator or None
        What the object must be.
    accept_gzip : bool
        Ask for an encoded whole body.
    header_only : bool
        Ask what a store knows of the object, its checksums among it; no body comes.

    Attributes
    ----------
    head : Head or None
        Of the first accepted answer.
    failures : int
        Since the last new byte.
    by_date : bool
        The origin's entity tags differ from one replica to the next: compare date and size instead (law 3).
    """

    def __init__(
        self,
        name: str,
        span: Span | Tail | None = None,
        validator: Validator | None = None,
        *,
        accept_gzip: bool = False,
        header_only: bool = False,
    ) -> None:
        self.name = name
        self.head: Head | None = None
        self.failures = 0
        self.by_date = False
        self.header_only = header_only
        self._doubts = 0
        self._excuses = 0
        self._span = span
        self._accept_gzip = accept_gzip and span is None
        self._bound = validator
        self._position = span.start if isinstance(span, Span) else 0
        self._stop = span.stop if isinstance(span, Span) else None
        self._furthest = self._position
        self._total_bytes: int | None = None
        self._encoded = False
        self._failing_since_s: float | None = None
        self._answers = -1
        self._waits = 0

    def __repr__(self) -> str:
        end = "?" if self._stop is None else str(self._stop)
        return f"<Pursuit {self.name}: at {self._position} of {end}, {self.failures} failures>"

    # --- asking ------------------------------------------------------------------------------------------------

    @property
    def _ranged(self) -> bool:
        return self._span is not None or self._position > 0

    def request_headers(self) -> dict[str, str]:
        """Header fields of the next request: the missing tail, bound to what was accepted (law 3)."""
        if self._encoded:
            self._position = 0  # a tail of an encoded body cannot be decoded alone
        headers = {"Accept-Encoding": "gzip" if self._accept_gzip and not self._ranged else "identity"}
        if isinstance(self._span, Tail):
            headers["Range"] = ranges.ask_tail(self._span.size_bytes)
        elif self._ranged:
            headers["Range"] = ranges.ask(self._position, self._stop)
        if self.header_only:  # HeadObject: without it no checksum is told
            headers["x-amz-checksum-mode"] = "ENABLED"
        bound = self._bound
        if bound is not None and bound.generation is not None:
            headers["x-goog-if-generation-match"] = bound.generation
        elif bound is not None and bound.etag is not None and bound.strong and not self._dated(bound):
            headers["If-Match"] = bound.etag
        return headers

    # --- answers -----------------------------------------------------------------------------------------------

    def accept(self, status: int, headers: Mapping[str, str]) -> Head:
        """Check a 200 or 206 and take it; gives the head for the receiver.

        Raises
        ------
        RefusedError
            It does not answer what was asked.
        PreconditionFailedError
            It speaks of another object than the first answer, or than the validator given.
        """
        head = self._partial(headers) if status == answers.PARTIAL else self._whole(headers)
        self._bind(head)
        self._position = head.start
        self._encoded = head.content_encoding is not None
        self._stop = head.stop if head.stop is not None or head.status == answers.OK else self._stop
        self.head = self.head or head
        return head

    def _partial(self, headers: Mapping[str, str]) -> Head:
        if not self._ranged:
            raise RefusedError(f"{self.name}: a part of the object came (206), all of it was asked for")
        if isinstance(self._span, Tail):
            self._span = answers.tail_span(headers, self._span, self.name)
            self._position, self._stop = self._span.start, self._span.stop
        return answers.partial_head(headers, self._position, self._stop, self.name)

    def _whole(self, headers: Mapping[str, str]) -> Head:
        if isinstance(self._span, Tail) or (self._span is not None and self._span.start > 0):
            raise RefusedError(
                f"{self.name}: the server ignores byte ranges (asked for a part, got the whole object)",
                location=self.name,
            )
        return answers.whole_head(headers, self.name)

    def _bind(self, head: Head) -> None:
        total_bytes = head.total_bytes
        if self._bound is not None and not self._same(self._bound, head.validator):
            raise self._changed(f"{self._bound} was expected, the answer has {head.validator}")
        if None not in (self._total_bytes, total_bytes) and self._total_bytes != total_bytes:
            raise self._changed(f"it had {self._total_bytes} bytes, now it has {total_bytes}")
        if head.validator != Validator():
            self._bound = head.validator
        self._total_bytes = self._total_bytes if total_bytes is None else total_bytes

    def _same(self, bound: Validator, came: Validator) -> bool:
        if bound == Validator():
            return True
        if self._dated(bound) and self._dated(came):
            return bound.last_modified == came.last_modified
        return bound.same_object(came)

    def _dated(self, validator: Validator) -> bool:
        return self.by_date and validator.generation is None and validator.last_modified is not None

    def doubt(self) -> bool:
        """An answer says that the object is another one: whether to ask once more, before believing it.

        Replicas behind one name may give one object different entity tags; then the old tag is seen again. An object
        that changed never has its old tag again, so nothing is mixed up by asking.
        """
        if self._bound is None or not self._bound.strong or self._bound.generation is not None or self.by_date:
            return False
        self._doubts += 1
        return self._doubts < MAX_DOUBTS

    def dispelled(self) -> bool:
        """Whether the accepted answer has the old entity tag after another one was seen; told once."""
        doubts, self._doubts = self._doubts, 0
        return doubts > 0

    def _changed(self, reason: str) -> PreconditionFailedError:
        return PreconditionFailedError(f"{self.name}: is another object now ({reason})", location=self.name)

    # --- body --------------------------------------------------------------------------------------------------

    @property
    def satisfied(self) -> bool:
        """Whether every promised byte is here; the rest of the answer, if any, is not wanted."""
        return self._stop is not None and self._position >= self._stop

    def advance(self, data: bytes) -> bytes:
        """Count the next bytes of the body as sent; gives those that were promised."""
        return data[: self.advance_by(len(data))]

    def advance_by(self, size_bytes: int) -> int:
        """Count so many more bytes of the body; gives how many of them were promised.

        Only bytes never seen before reset the count of failures: an answer that begins again and again and always
        breaks at the same place must come to an end.
        """
        if self._stop is not None:
            size_bytes = min(size_bytes, self._stop - self._position)
        self._position += size_bytes
        if self._position > self._furthest:
            self._furthest = self._position
            self.failures, self._waits, self._excuses, self._failing_since_s = 0, 0, 0, None
        return size_bytes

    def end(self) -> None:
        """The body ended.

        Raises
        ------
        TransientError
            Too early.
        """
        if self._stop is not None and self._position < self._stop:
            raise TransientError(
                f"{self.name}: the body broke off at byte {self._position}, {self._stop} were promised",
                location=self.name,
            )

    def complete_at(self, total_bytes: int | None) -> bool:
        """Whether a 416 says that nothing is missing: the object ends where we stand."""
        return self.head is not None and total_bytes is not None and self._position == total_bytes and not self._encoded

    # --- failures ----------------------------------------------------------------------------------------------

    def excuse(self) -> bool:
        """A failure that is not this request's: whether it may go again without a wait and without a spent try."""
        self._excuses += 1
        return self._excuses <= MAX_EXCUSES

    def failed(
        self, error: TransientError, policy: HostPolicy, *, answers_seen: int, now_s: float, rng: random.Random
    ) -> float:
        """Count a failure; gives the delay in seconds before the next try.

        An origin that answers nobody spends no tries (its limiter gives it up in time); one that asks for patience
        gets as much as a dead one.

        Parameters
        ----------
        error : TransientError
        policy : HostPolicy
        answers_seen : int
            Answers of the origin so far, to any request.
        now_s : float
            Of the monotonic clock.
        rng : random.Random

        Raises
        ------
        TransientError
            `error` itself, when the tries are spent.
        """
        self._failing_since_s = now_s if self._failing_since_s is None else self._failing_since_s
        dead = error.kind == ErrorKind.UNREACHABLE and answers_seen == self._answers
        self._answers = answers_seen
        self.failures += 0 if dead and self.failures else 1
        patient = isinstance(error, ThrottledError) and now_s - self._failing_since_s < policy.give_up_after_s
        if self.failures >= policy.max_attempts and not patient:
            error.message = f"{error.message}; given up after {self.failures} tries without a new byte, run again later"
            error.args = (error.message,)
            raise error
        self._waits += 1
        return backoff_s(self._waits, rng)
